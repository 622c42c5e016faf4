"""Sessions at work for benchmarks: rows and folders as the bot makes them, output from a child."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from _bench import NOW

from core.house import House
from core.sessions.tailer import Tailer
from core.store import claims, sessions, tasks
from core.store.database import Store, Tx
from core.store.tasks import NewTask
from tests.house_bench import house

SPEAKER = r"""
import os, sys, time
rate, seconds, size, *paths = sys.argv[1:]
rate, seconds = int(rate), float(seconds)
lines = [line.encode() for line in open(size).read().splitlines()]
files = [os.open(path, os.O_WRONLY | os.O_APPEND) for path in paths]
dated = paths[0].endswith("output")
said, begun = 0, time.monotonic()
print("begun", flush=True)
while said < rate * seconds:
    for number, file in enumerate(files):  # one line at a time, as an agent says it
        now = b"%d o " % (time.time_ns() // 1_000_000) if dated else b""
        os.write(file, now + lines[(said + number) % len(lines)] + b"\n")
    said += 1
    time.sleep(max(0, begun + said / rate - time.monotonic()))
"""


@dataclass(frozen=True)
class Crew:
    """`outputs`: the file that each session's launcher would write."""

    house: House
    ids: Sequence[str]
    outputs: Sequence[Path]

    async def tailers(self) -> list[Tailer]:
        return [await Tailer.at(self.house, name, lambda: None) for name in self.ids]


@contextlib.asynccontextmanager
async def crew(folder: Path, many: int, driver: str = "claude") -> AsyncIterator[Crew]:
    """That many running sessions whose agents are played by `speaking`."""
    (folder / "data").mkdir(parents=True)
    store = await Store(folder / "data", lambda: NOW).open()
    home = house(store, folder / "data")
    ids = await store.write(lambda tx: [_begin(tx, home, driver) for _ in range(many)])
    outputs = []
    for name in ids:
        attempt = home.attempt_folder(name, 1)
        attempt.mkdir(parents=True)
        (attempt / "output").touch()
        outputs.append(attempt / "output")
    try:
        yield Crew(home, ids, outputs)
    finally:
        await store.close()


def _begin(tx: Tx, home: House, driver: str) -> str:
    task = tasks.add(tx, NewTask("Work", "quick", "work", repo="shop"))
    claims.claim(tx, task.id, "claude", tasks.TaskState.IN_FLIGHT)
    agent = replace(home.agents["claude"], driver=driver, sandbox="host")
    session = sessions.begin(tx, tasks.get(tx, task.id), agent, "Do it.", "/nowhere/{id}")
    sessions.attempt_started(tx, sessions.get_attempt(tx, session.id), "0:0:0")
    sessions.set_worktree(tx, session, sessions.WorktreeState.ACTIVE)
    sessions.move(tx, sessions.get(tx, session.id), sessions.SessionState.RUNNING)
    return session.id


def claude_lines(size: int = 530) -> list[str]:
    """What Claude Code prints: words, tool calls and their results, of about that many bytes."""
    def line(kind: str, content: dict[str, object]) -> str:
        about = {"type": kind, "session_id": "0" * 36, "uuid": "1" * 36, "parent_tool_use_id": None,
                 "message": {"id": "msg_0123456789", "role": kind, "model": "claude-x",
                             "content": [content]}}
        room = size - len(json.dumps(about))
        text = "word " * (room // 5)
        for key in ("text", "content"):
            if key in content:
                content[key] = text
        if "input" in content:
            content["input"] = {"command": text}
        return json.dumps(about)

    return [
        line("assistant", {"type": "text", "text": ""}),
        line("assistant", {"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": {}}),
        line("user", {"type": "tool_result", "tool_use_id": "toolu_1", "content": ""}),
    ]


@contextlib.contextmanager
def speaking(
    folder: Path, paths: Sequence[Path], rate: int, seconds: float
) -> Iterator[subprocess.Popen[bytes]]:
    """A child that writes so many lines a second to each file: records, or to pipes bare lines."""
    said = folder / "lines"
    said.write_text("\n".join(claude_lines()) + "\n")
    argv = [sys.executable, "-ISc", SPEAKER, str(rate), str(seconds), str(said), *map(str, paths)]
    child = subprocess.Popen(argv, stdout=subprocess.PIPE)
    try:
        yield child
    finally:
        child.kill()
        child.wait()


async def tail(home: House, tailer: Tailer, over: asyncio.Event, interval: float) -> None:
    """As a session's keeper does it."""
    stirred = asyncio.Event()
    waiting = asyncio.create_task(over.wait())
    waiting.add_done_callback(lambda _: stirred.set())
    home.beats.stir(stirred, tailer.due, interval)
    while not waiting.done():
        await stirred.wait()
        stirred.clear()
        await tailer.take()
    home.beats.leave(stirred)
    await tailer.drain()
