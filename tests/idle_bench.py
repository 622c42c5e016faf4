"""Counts what a tick costs when nothing has changed: files written, SQL statements run.

The bot is composed as it runs, on a data folder that an earlier bot has left; its ticks are
made by hand, so that nothing depends on time.
"""

from __future__ import annotations

import contextlib
import io
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bot.app import build
from bot.life import App, Options
from config.load import load
from core.redaction import Redactor
from core.taskfolders import TaskFolders
from site_gen.build import Builder
from site_gen.render import Settings

ROUNDS = 5


@dataclass(frozen=True)
class Cost:
    """Of one tick: statements by whom, files that were written, connections that were opened."""

    orchestrator: int
    folders: int
    pages: int
    files: frozenset[str]
    connections: int

    @property
    def statements(self) -> int:
        return self.orchestrator + self.folders + self.pages


class Counter:
    """Counts statements of one connection, and takes the count away when asked."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def __call__(self, statement: str) -> None:
        self.seen.append(statement)

    def take(self) -> int:
        count = len(self.seen)
        self.seen.clear()
        return count


_opened: list[Any] = []
_listening = False


def _hear_connections() -> None:
    """Every SQLite connection of this process is heard of; a hook can't be taken back."""
    global _listening
    if not _listening:
        sys.addaudithook(lambda name, given: _opened.append(given)
                         if name == "sqlite3.connect" else None)
        _listening = True


async def measure(data: Path, repo: Path) -> list[Cost]:
    """The costs of several idle ticks, after a first one that finds out what there is."""
    _hear_connections()
    configuration = load(data=str(data), repo=str(repo), folder=data, environ={})
    options = Options(io.StringIO(), io.StringIO(), data=str(data), repo=str(repo))
    async with contextlib.AsyncExitStack() as stack:
        app = await build(options, configuration, Redactor(()), stack)
        builder = Builder(data, data / "site", Settings())
        stack.callback(builder.close)
        await _tick(app, TaskFolders(app.house, Redactor()), builder, Counter(), Counter())
        reads, pages = Counter(), Counter()
        assert app.store._reader is not None
        await app.store._reader.set_trace_callback(reads)
        builder._db.set_trace_callback(pages)
        return [await _tick(app, TaskFolders(app.house, Redactor()), builder, reads, pages)
                for _ in range(ROUNDS)]


async def _tick(app: App, folders: TaskFolders, builder: Builder, reads: Counter,
                pages: Counter) -> Cost:
    before, opened, written = _files(app.house.data), len(_opened), _written(app)
    await app.orchestrator.turn()
    orchestrator = reads.take() + _written(app) - written
    written = _written(app)
    await folders.sync()
    synced = reads.take() + _written(app) - written
    builder.tick()
    after = _files(app.house.data)
    changed = frozenset(name for name in before.keys() | after.keys()
                        if before.get(name) != after.get(name))
    return Cost(orchestrator, synced, pages.take(), changed, len(_opened) - opened)


def _written(app: App) -> int:
    """Statements of both writers so far."""
    return app.store.state.statements + app.store.logs.statements


def _files(data: Path) -> dict[str, tuple[int, int, int]]:
    """Every file with inode, time of change and size. The journal's shared memory is no file
    in this sense: readers mark themselves in it, and it is never written to disk."""
    found = {}
    for path in data.rglob("*"):
        if path.is_file() and not path.name.endswith("-shm"):
            seen = path.stat()
            found[str(path.relative_to(data))] = (seen.st_ino, seen.st_mtime_ns, seen.st_size)
    return found
