"""One tick: find what changed, render those pages, replace those files."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from core import views
from core.model import task_ref
from core.views import Changes
from site_gen.memory import Memory
from site_gen.pages import Pages
from site_gen.render import Renderer, Settings, assets
from site_gen.replace import Folder

PART = 250
"""How many tasks are read at once while everything is built."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a tick did: files written and removed (without `heartbeat.js`), seconds it took,
    the newest event that the pages show."""

    written: int
    removed: int
    seconds: float
    seq: int


class Builder:
    """The site of one data folder. Not shared between threads."""

    def __init__(
        self,
        data: Path,
        out: Path,
        settings: Settings,
        now: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._settings = settings
        self._now = now
        self._db = views.open_reader(data)
        self._folder = Folder(out)
        self._memory = Memory.load(out)
        self._key = self._memory.key_of(settings)
        self._pages = Pages(self._folder, Renderer(settings))
        self._version: tuple[int, int] | None = None

    def close(self) -> None:
        self._db.close()

    def tick(self) -> Report:
        """Bring the pages up to now. Costs what has changed, not what there is."""
        begun = time.perf_counter()
        now = self._now()
        day = views.day_start(now)
        version = views.data_version(self._db)
        if version != self._version or day != self._memory.day:
            self._update(now, day)
            self._version = version
        self._heartbeat(now)
        written, removed = self._folder.take()
        return Report(written, removed, time.perf_counter() - begun, self._memory.seq)

    def _update(self, now: int, day: int) -> None:
        """All within one snapshot, so that no page contradicts another."""
        self._db.execute("BEGIN")
        try:
            last, log_last = views.last_event(self._db)[0], views.last_log_seq(self._db)
            known = self._memory
            if known.key != self._key or last < known.seq or log_last < known.log_seq:
                self._everything(now)
            else:
                self._changes(now, day)
        finally:
            self._db.execute("COMMIT")
        known.key, known.seq, known.log_seq, known.day = self._key, last, log_last, day
        known.save(self._folder)

    def _everything(self, now: int) -> None:
        db, pages = self._db, self._pages
        pages.kept.clear()
        for name, data in assets():
            self._folder.put(name, data)
        first = 0
        while ids := views.task_ids(db, first, PART):
            sessions = pages.tasks(db, ids)
            pages.sessions(db, sessions)
            first = ids[-1]
        pages.task_lists(db, None)
        pages.events(db, 0)
        pages.front(db, now)
        self._folder.sweep(pages.kept.__contains__)

    def _changes(self, now: int, day: int) -> None:
        db, pages, known = self._db, self._pages, self._memory
        changes = views.changed_since(db, known.seq)
        heard = views.sessions_heard(db, known.log_seq)
        if not changes and not heard and day == known.day:
            return
        sessions = changes.sessions | heard | views.sessions_of_tasks(db, changes.edited)
        owners = views.session_tasks(db, sessions)
        tasks = changes.tasks | views.task_neighbours(db, changes.tasks) | set(owners.values())
        for part in _parts(sorted(tasks)):
            pages.tasks(db, part)
        pages.sessions(db, sorted(owners))
        if changes.tasks:
            pages.task_lists(db, tasks)
        if changes:
            pages.events(db, known.seq)
        self._forget(changes)
        if changes or day != known.day:
            pages.front(db, now)

    def _forget(self, changes: Changes) -> None:
        """Remove the pages of deleted tasks and of their sessions."""
        if not changes.deleted:
            return
        for task in changes.deleted:
            self._folder.drop(f"tasks/{task_ref(task)}.html")
        self._pages.forget_sessions(self._db)

    def _heartbeat(self, now: int) -> None:
        beat = json.dumps({"at": now, "interval": self._settings.interval})
        before = self._folder.written
        self._folder.put("heartbeat.js", f"window.bullpenHeartbeat = {beat};\n".encode())
        self._folder.written = before


def _parts(ids: list[int]) -> Iterable[list[int]]:
    return (ids[at : at + PART] for at in range(0, len(ids), PART))
