"""What the roads are walked with: a bot in its own process, a chat on loopback, a transcript.

Everything is said and read from outside: lines into the terminal, messages into the chat,
exit statuses, files and rows.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PATIENCE = 90.0
"""Seconds after which a road that hangs has not ended as it should."""
TOKEN = "4200:the-fake-token"
ME, CRITICAL = 100, -1000
"""The chat with the person who walks the roads, and the group for what is critical."""


class Astray(Exception):
    """A road didn't go where it should; the words say what was waited for."""


def until(ready: Callable[[], Any], what: str) -> Any:
    """Wait until `ready()` is true and return that; raises Astray when it never is."""
    deadline = time.monotonic() + PATIENCE
    while not (found := ready()):
        if time.monotonic() > deadline:
            raise Astray(f"waited {PATIENCE:.0f} s for {what}")
        time.sleep(0.02)
    return found


def expect(true: object, what: str) -> None:
    if not true:
        raise Astray(f"expected {what}")


def readme(line: str) -> str:
    """A line to type, which has to stand in the README word for word."""
    if line not in (ROOT / "README.md").read_text("utf-8"):
        raise Astray(f"a line that stands in the README: {line}")
    return line


def tell(words: str) -> None:
    """What the person does, in the transcript."""
    print(f"--- {words}", flush=True)


def show(text: str) -> None:
    """What the person sees."""
    print("\n".join(f"    {line}".rstrip() for line in text.strip("\n").split("\n")), flush=True)


# -- the machine -------------------------------------------------------------------------------


@dataclass
class Machine:
    """A person's machine: a home, programs, one data folder, and the bots started on it."""

    base: Path
    settings: dict[str, str] = field(default_factory=dict)
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name in ("home", "bin", "config"):
            (self.base / name).mkdir(parents=True, exist_ok=True)

    @property
    def data(self) -> Path:
        return self.base / "data"

    @property
    def demo(self) -> Path:
        return self.data / "demo"

    def _start(self, *options: str, **streams: Any) -> subprocess.Popen[str]:
        path = f"{self.base / 'bin'}:{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"
        environment = {
            "PATH": path,
            "HOME": str(self.base / "home"),
            "LANG": "C.UTF-8",
            "BULLPEN_API__PORT": "0",
            **self.settings,
        }
        process = subprocess.Popen(
            ["bullpen", "up", "--data", str(self.data), *options],
            cwd=self.base,
            text=True,
            executable=Path(sys.executable).parent / "bullpen",
            env=environment,
            **streams,
        )
        self.started.append(process)
        return process

    def until_idle(self, *lines: str, status: int = 0) -> str:
        """`bullpen up --until-idle` with these lines typed; what it printed. Raises Astray
        on any other exit status."""
        pipe = subprocess.PIPE
        bot = self._start("--until-idle", stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT)
        out, _ = bot.communicate("".join(f"{line}\n" for line in lines), timeout=PATIENCE)
        if bot.returncode != status:
            raise Astray(f"exit status {status}, not {bot.returncode}; it printed:\n{out}")
        return out

    @contextlib.contextmanager
    def up(self, *options: str) -> Iterator[Bot]:
        """A bot that goes on until the block ends."""
        printed = self.base / f"terminal-{len(self.started) + 1}.txt"
        with printed.open("w") as out:
            process = self._start(
                *options, stdin=subprocess.PIPE, stdout=out, stderr=subprocess.STDOUT
            )
        bot = Bot(process, printed)
        try:
            yield bot
        finally:
            bot.end()

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with contextlib.closing(sqlite3.connect(self.data / "bullpen.db")) as db:
            return db.execute(sql).fetchall()

    def git(self, *words: str) -> str:
        """What git says in the demo repository."""
        done = subprocess.run(
            ["git", *words],
            cwd=self.demo,
            capture_output=True,
            text=True,
            check=True,
            timeout=PATIENCE,
        )
        return done.stdout.strip()

    def bury(self) -> None:
        """End whatever a road that went astray has left behind: bots, and their agents."""
        for process in self.started:
            if process.poll() is None:
                process.kill()
                process.wait()
        for (handle,) in (
            self.rows("SELECT handle FROM attempts WHERE state = 'running'")
            if (self.data / "bullpen.db").exists()
            else []
        ):
            for pid in (json.loads(handle or "{}").get("pid"),):
                if pid:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGTERM)


@dataclass
class Bot:
    """A running bot and its terminal."""

    process: subprocess.Popen[str]
    printed: Path

    def screen(self) -> str:
        return self.printed.read_text("utf-8", "replace")

    def types(self, *lines: str) -> None:
        """Type lines into its terminal."""
        assert self.process.stdin is not None
        self.process.stdin.write("".join(f"{line}\n" for line in lines))
        self.process.stdin.flush()

    def code(self) -> str:
        """The pairing code that it shows."""
        found = until(lambda: re.search(r"/start (\w{4}-\w{4})", self.screen()), "a pairing code")
        return str(found[1])

    def kill(self) -> None:
        """As a power cut would."""
        self.process.kill()
        self.process.wait()

    def end(self) -> None:
        """Control-C."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(PATIENCE)


# -- the chat ----------------------------------------------------------------------------------


class Chat:
    """A Telegram server on loopback, and the person's hands at the other end."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.fakes.telegram_server", "--token", TOKEN],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.url = str(json.loads(self._process.stdout.readline())["url"])

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(PATIENCE)

    def _do(self, name: str, **given: Any) -> Any:
        request = urllib.request.Request(
            f"{self.url}/control/{name}", json.dumps(given).encode(), method="POST"
        )
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                return json.load(answer)["result"]
        except urllib.error.HTTPError as error:
            raise Astray(f"{name}: {json.load(error)['error']}") from None

    def screen(self, chat: int = ME) -> list[dict[str, Any]]:
        return list(self._do("screen", chat=chat))

    def says(self, text: str, reply_to: dict[str, Any] | None = None) -> None:
        tell(f"you write{' in reply to that card' if reply_to else ''}: {text}")
        self._do("says", text=text, reply_to=reply_to["id"] if reply_to else None)

    def presses(self, label: str, message: dict[str, Any]) -> None:
        tell(f"you press [{label}]")
        self._do("press", label=label, message=message["id"], chat=message["chat"])

    def waits_for(
        self, *words: str, button: str | None = None, after: int = 0, chat: int = ME
    ) -> dict[str, Any]:
        """The first message of the bot after number `after` with these words and button."""

        def look() -> dict[str, Any] | None:
            return next(
                (
                    m
                    for m in self.screen(chat)
                    if m["id"] > after
                    and m["sender"] != ME
                    and all(word in m["text"] for word in words)
                    and (button is None or button in m["labels"])
                ),
                None,
            )

        try:
            return dict(until(look, f"a message with {words} [{button}] in the chat"))
        except Astray as error:
            raise Astray(f"{error}; the chat shows:\n{self.picture(chat)}") from None

    def picture(self, chat: int = ME, after: int = 0) -> str:
        """The chat as it stands, with what each message said before it was edited."""
        return "\n\n".join(_message(m) for m in self.screen(chat) if m["id"] > after)

    def last(self, chat: int = ME) -> int:
        return max((m["id"] for m in self.screen(chat)), default=0)


def _message(shown: dict[str, Any]) -> str:
    """A message as it stands, then what it said before each edit."""
    who = "you    " if shown["sender"] == ME else "bullpen"
    lines = _lines(shown["text"])
    if shown["document"]:
        lines.append(f"📎 {shown['document']}")
    if shown["labels"]:
        lines.append(" ".join(f"[{label}]" for label in shown["labels"]))
    if shown["sender"] != ME and not shown["silent"]:
        lines[0] += "    (with a sound)"
    for old in shown["versions"]:
        lines += ["before that:", *(f"  {line}" for line in _lines(old))]
    return "\n".join([f"{who}  {lines[0]}", *(f"         {line}" for line in lines[1:])])


def _lines(text: str) -> list[str]:
    return text.split("\n")
