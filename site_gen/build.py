"""One tick: find what changed, render those pages, replace those files."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from core import views
from core.views import Changes
from site_gen.memory import Memory
from site_gen.pages import Around, Pages
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
        self._pages = Pages(self._folder, Renderer(settings), settings.crew)
        self._version: tuple[int, int] | None = None
        self._passing: int | None = None

    def close(self) -> None:
        self._db.close()

    def tick(self) -> Report:
        """Bring the pages up to now. Costs what has changed, not what there is."""
        begun = time.perf_counter()
        now = self._now()
        zone = self._settings.crew.timezone
        day = f"{views.day_start(now, zone)} {views.date_of(now, zone)}"
        version = views.data_version(self._db)
        passes = self._passing is not None and now >= self._passing
        if version != self._version or day != self._memory.day or passes:
            self._update(now, day)
            self._version = version
        self._heartbeat(now)
        written, removed = self._folder.take()
        return Report(written, removed, time.perf_counter() - begun, self._memory.seq)

    def _update(self, now: int, day: str) -> None:
        """All within one snapshot, so that no page contradicts another."""
        self._db.execute("BEGIN")
        try:
            last, log_last = views.last_event(self._db)[0], views.last_log_seq(self._db)
            known = self._memory
            if known.key != self._key or last < known.seq or log_last < known.log_seq:
                self._everything(now)
            else:
                self._changes(now, day)
            self._passing = views.next_passing(self._db, now)
        finally:
            self._db.execute("COMMIT")
        known.key, known.seq, known.log_seq = self._key, last, log_last
        known.day, known.at, known.crew = day, now, self._settings.crew.mark
        known.save(self._folder)

    def _everything(self, now: int) -> None:
        db, pages, known = self._db, self._pages, self._memory
        pages.kept.clear()
        for name, data in assets():
            self._folder.put(name, data)
        first = 0
        while ids := views.task_ids(db, first, PART):
            sessions = pages.tasks(db, ids)
            pages.sessions(db, sessions)
            first = ids[-1]
        pages.runs(db, None)
        known.held = {str(run): {} for run in views.run_ids(db)}
        for run in views.open_runs(db):
            known.hold(run, views.held_in(db, run))
        pages.task_lists(db, None, now)
        pages.events(db, 0)
        pages.agents(db, None, now)
        pages.money(db, now)
        known.money = views.money_mark(db)
        pages.front(db, now)
        self._folder.sweep(pages.kept.__contains__)

    def _changes(self, now: int, day: str) -> None:
        db, pages, known = self._db, self._pages, self._memory
        changes = views.changed_since(db, known.seq)
        heard = views.sessions_heard(db, known.log_seq)
        passed = views.passed(db, known.at, now)
        anew = day != known.day or self._settings.crew.mark != known.crew
        spent = views.money_mark(db)
        if not changes and not heard and not passed and not anew and spent == known.money:
            return
        around = self._forget(changes)
        sessions = changes.sessions | heard | views.sessions_of_tasks(db, changes.edited)
        owners = views.session_tasks(db, sessions)
        tasks = changes.tasks | views.task_neighbours(db, changes.tasks) | set(owners.values())
        runs = changes.runs | views.runs_of(db, changes.tasks) | around.runs
        tasks |= around.tasks | self._held(runs)
        for part in _parts(sorted(tasks)):
            pages.tasks(db, part)
        pages.sessions(db, sorted(owners))
        if changes.tasks or passed:
            pages.task_lists(db, tasks | passed, now)
        if changes or anew:
            # What ends anywhere says something about how long a run may still take.
            pages.runs(db, runs | views.open_runs(db))
            pages.events(db, known.seq, views.event_seqs(db, changes.deleted))
        self._crew(changes, owners, now, anew)
        pages.agents(db, around.agents, now)
        if spent != known.money or anew or changes.deleted:
            pages.money(db, now)
            known.money = spent
        if changes or passed or anew:
            pages.front(db, now)

    def _crew(self, changes: Changes, owners: Mapping[str, int], now: int, anew: bool) -> None:
        """The pages of agents of whom something is told; everybody's on a new day."""
        if anew:
            self._pages.agents(self._db, None, now)
        elif changes or owners:
            told = views.agents_of(self._db, changes.tasks | set(owners.values()))
            self._pages.agents(self._db, told | changes.agents, now)

    def _held(self, runs: Iterable[int]) -> set[int]:
        """The tasks of those runs of which something else is said to hold them back; all of a
        run that is new."""
        found: set[int] = set()
        for run in runs:
            changed = self._memory.hold(run, views.held_in(self._db, run))
            found |= views.members(self._db, run) if changed is None else changed
        return found

    def _forget(self, changes: Changes) -> Around:
        """Remove the pages of deleted tasks and of their sessions; returns whose pages led
        there."""
        found = Around()
        for task in changes.deleted:
            around = self._pages.forget(task)
            found.tasks.update(around.tasks - changes.deleted)
            found.runs.update(around.runs)
            found.agents.update(around.agents)
        if changes.deleted:
            self._pages.forget_sessions(self._db)
        return found

    def _heartbeat(self, now: int) -> None:
        beat = json.dumps({"at": now, "interval": self._settings.interval})
        before = self._folder.written
        self._folder.put("heartbeat.js", f"window.bullpenHeartbeat = {beat};\n".encode())
        self._folder.written = before


def _parts(ids: list[int]) -> Iterable[list[int]]:
    return (ids[at : at + PART] for at in range(0, len(ids), PART))
