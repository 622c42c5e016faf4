"""Plays Bullpen as a user has it: the real command in a process of its own, a real repository,
a scripted agent. What is read is what stands on the screen, in the files and in the tables."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.agent_bench import FAKE_CLAUDE

ROOT = Path(__file__).parents[2]
LONG, PATIENCE = 100.0, 60.0
"""Seconds after which a bot that hangs fails the test: a run until idle; one answer."""

STATE = ("tasks", "gates", "sessions", "attempts", "iterations", "artifacts", "criteria",
         "dependencies", "task_labels", "task_places", "events", "settings", "agents", "people")
"""What a refused command leaves as it is."""

_WHO = {"GIT_AUTHOR_NAME": "Una", "GIT_AUTHOR_EMAIL": "una@localhost",
        "GIT_COMMITTER_NAME": "Una", "GIT_COMMITTER_EMAIL": "una@localhost",
        "GIT_CONFIG_GLOBAL": "/dev/null"}


@dataclass(frozen=True)
class Ran:
    """How one run until idle ended, and what it said."""

    status: int
    out: str
    err: str

    def said(self, *words: str) -> None:
        """These words stand on the screen, in this order."""
        at = 0
        for word in words:
            found = self.out.find(word, at)
            assert found >= 0, f"nobody said {word!r} after {self.out[:at][-200:]!r}:\n{self}"
            at = found + len(word)

    def __str__(self) -> str:
        return f"exit status {self.status}\n{self.out}\n-- errors --\n{self.err}"


CREW = """
[agents.shell]
driver = "command"
max_concurrent_tasks = 4

[agents.claude]
driver = "claude"
"""
"""The shipped crew; in which sandbox, the bench says."""


class Bench:
    """A folder with a repository `shop` in it, and a bot's data beside it. The agents are in
    `sandbox`: mostly on the plain host, as many plays have them leave signs outside of their
    workspaces. Wherever they are, they see the folder `shown`, where a play's scripts lie;
    `as_shipped` takes them as they come."""

    def __init__(self, folder: Path, sandbox: str = "host") -> None:
        self.folder = folder
        self.sandbox = sandbox
        self.shown = folder / "shown"
        self.data = folder / "data"
        self.repo = folder / "shop"
        self.quoted = ""
        self.environment = {
            "PATH": f"{folder / 'bin'}:/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8",
            "HOME": str(folder / "home"), "BULLPEN_API__PORT": "0",
            "PYTHONPATH": str(ROOT),
            "BULLPEN_LIMITS__GRACE_SECONDS": "1",
        }
        for name in ("bin", "home", "shown"):
            (folder / name).mkdir()
        self.configure(CREW, "config/agents.toml")
        self.repo.mkdir()
        self.git("init", "--quiet", "--initial-branch=main")
        self.commit({"README.md": "# Shop\n"}, "The beginning")

    # -- what there is ----------------------------------------------------------------

    def git(self, *words: str, repo: Path | None = None) -> str:
        done = subprocess.run(["git", *words], cwd=repo or self.repo, env=os.environ | _WHO,
                              capture_output=True, text=True, check=True, timeout=LONG)
        return done.stdout.strip()

    def commit(self, files: Mapping[str, str], words: str = "A change of the user's") -> None:
        for name, text in files.items():
            (self.repo / name).parent.mkdir(parents=True, exist_ok=True)
            (self.repo / name).write_text(text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "-m", words)

    def file(self, name: str) -> str | None:
        """A file of the user's checkout; None when it isn't there."""
        path = self.repo / name
        return path.read_text() if path.is_file() else None

    def install_claude(self) -> None:
        """The scripted agent, under the name that the driver looks for."""
        (self.folder / "bin" / "claude").symlink_to(FAKE_CLAUDE)

    def configure(self, toml: str, name: str = "bullpen.toml") -> None:
        """Write a configuration file. Agents that say no sandbox get the bench's."""
        if name.endswith("agents.toml") and "sandbox" not in toml:
            place = f'sandbox = "{self.sandbox}"'
            if self.sandbox != "host":
                seen = f'source = "{self.shown}", target = "{self.shown}", writable = true'
                place += f"\nmounts = [{{ {seen} }}]"
            toml = re.sub(r"(?m)^(\[agents\.[\w-]+\])$", rf"\1\n{place}", toml)
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(toml)

    def as_shipped(self) -> None:
        """No crew of one's own: each agent is walled off where this machine can do that."""
        (self.folder / "config/agents.toml").unlink()

    # -- one run until idle -----------------------------------------------------------

    def up(self, *lines: str, repo: str | None = "", status: int = 0, **more: str) -> Ran:
        """`bullpen up --until-idle` fed with these lines; fails on another exit status, and on
        whatever must never be seen. `repo=None`: as configured. `more`: environment."""
        done = subprocess.run(
            self._argv("--until-idle", repo=repo), cwd=self.folder, env=self.environment | more,
            input="".join(f"{line}\n" for line in lines), capture_output=True, text=True,
            timeout=LONG)
        ran = Ran(done.returncode, done.stdout, done.stderr)
        assert ran.status == status, str(ran)
        self.check_manners(ran.out + ran.err)
        return ran

    def _argv(self, *more: str, repo: str | None = "") -> list[str]:
        which = [] if repo is None else ["--repo", repo or str(self.repo)]
        return [sys.executable, "-m", "bot.cli", "up", "--data", str(self.data), *which, *more]

    def check_manners(self, screen: str) -> None:
        """No traceback on the screen, and nothing in the log that broke inside. What an agent
        says of its own, `quoted`, may be shown."""
        screen = screen.replace(self.quoted, "") if self.quoted else screen
        assert "Traceback" not in screen, screen
        assert "went wrong inside" not in screen, screen
        log = self.data / "logs" / "bullpen.log"
        words = log.read_text() if log.is_file() else ""
        broken = [line for line in words.splitlines() if "broke" in line or "Traceback" in line]
        assert not broken, "\n".join(broken)[:3000]

    # -- a bot that goes on -----------------------------------------------------------

    @contextlib.asynccontextmanager
    async def running(
        self, *options: str, repo: str | None = "", **more: str
    ) -> AsyncIterator[Live]:
        """`bullpen up` until the block ends, then Control-C; agents are stopped with it.
        `repo=None`: as configured."""
        process = await asyncio.create_subprocess_exec(
            *self._argv("--stop-agents", *options, repo=repo), cwd=self.folder,
            env=self.environment | more, stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT)
        live = Live(process)
        try:
            yield live
            await live.end()
            self.check_manners(live.screen)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    # -- what became of it ------------------------------------------------------------

    def rows(self, sql: str, *params: Any) -> list[sqlite3.Row]:
        with contextlib.closing(sqlite3.connect(self.data / "bullpen.db")) as db:
            db.row_factory = sqlite3.Row
            return db.execute(sql, params).fetchall()

    def log_rows(self, sql: str, *params: Any) -> list[sqlite3.Row]:
        """Rows of what the agents said (logs.db)."""
        with contextlib.closing(sqlite3.connect(self.data / "logs.db")) as db:
            return db.execute(sql, params).fetchall()

    def output(self) -> str:
        """All that agents have said, as their attempts' own files have it."""
        found = sorted((self.data / "sessions").glob("*/attempts/*/output"))
        return "".join(path.read_text("utf-8", "replace") for path in found)

    def value(self, sql: str, *params: Any) -> Any:
        found = self.rows(sql, *params)
        return found[0][0] if found else None

    def states(self) -> dict[int, str]:
        return {row["id"]: row["state"] for row in self.rows("SELECT id, state FROM tasks")}

    def counts(self) -> dict[str, int]:
        """How many rows stand in each table of the state."""
        return {table: self.value(f"SELECT count(*) FROM {table}") for table in STATE}

    def task_folder(self, place: str, task: int = 1) -> Path:
        found = list((self.data / "tasks" / place).glob(f"TASK-{task:03d}--*"))
        assert len(found) == 1, f"in {place}: {found}"
        return found[0]

    def prompts(self, task: int = 1) -> list[str]:
        """What the task's agents were told, as files, in order."""
        return [path.read_text() for row in self.rows(
            "SELECT id FROM sessions WHERE task_id = ? ORDER BY created_at", task)
            for path in sorted((self.data / "sessions" / row["id"]).glob("prompt-*.md"))]


class Live:
    """A bot that goes on while the test talks to it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.screen = ""
        self._heard = 0
        self._news = asyncio.Event()
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self._process.stdout is not None
        while chunk := await self._process.stdout.read(65536):
            self.screen += chunk.decode(errors="replace")
            self._news.set()
        self._news.set()

    async def say(self, line: str, *answers: str) -> str:
        """Type a line; wait for these words in what follows."""
        assert self._process.stdin is not None
        self._heard = len(self.screen)
        self._process.stdin.write(f"{line}\n".encode())
        await self._process.stdin.drain()
        for words in answers:
            await self.told(words)
        return self.screen[self._heard:]

    async def told(self, words: str) -> None:
        """Wait for these words since the last line typed."""
        await self.until(lambda: words in self.screen[self._heard:], words)

    async def until(self, ready: Callable[[], Any], what: str) -> Any:
        deadline = time.monotonic() + PATIENCE
        while not (found := ready()):
            left = deadline - time.monotonic()
            if left <= 0 or self._reading.done():
                raise AssertionError(f"waited for {what!r}; the screen shows:\n{self.screen}")
            self._news.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), min(left, 0.1))
        return found

    def send(self, number: signal.Signals) -> None:
        """Send a signal; what is waited for next is what follows it."""
        self._heard = len(self.screen)
        self._process.send_signal(number)

    async def end(self) -> int:
        """Control-C, and the exit status."""
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGINT)
        status = await asyncio.wait_for(self._process.wait(), LONG)
        await self._reading
        return status
