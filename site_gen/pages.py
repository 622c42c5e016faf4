"""Which page is made of what."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

from core import views
from core.model import task_ref
from core.views import Db, SessionRow, SessionStory, TaskPage
from site_gen import crew_pages, run_pages
from site_gen.crew import Crew, Member
from site_gen.render import Renderer, session_file
from site_gen.replace import Folder

LINES = 1000
"""Lines of a log on one page; the newest page has up to twice as many."""
EVENTS = 200
ROWS = 50
TAIL = 12
CARDS = 8
NEWS = 25


@dataclass(frozen=True, slots=True)
class Around:
    """What the pages of deleted tasks led to: tasks, runs, agents."""

    tasks: set[int] = field(default_factory=set)
    runs: set[int] = field(default_factory=set)
    agents: set[str] = field(default_factory=set)


def blocks(last: int, size: int) -> int:
    """How many full pages lie before the newest one, which is never nearly empty."""
    return max(0, last // size - 1)


class Pages:
    """Renders pages into the folder. `kept` are the names of all that it made."""

    def __init__(self, folder: Folder, renderer: Renderer, crew: Crew) -> None:
        self._folder = folder
        self._renderer = renderer
        self._crew = crew
        self._marks: dict[str, tuple[int, ...]] = {}
        self.kept: set[str] = set()

    def tasks(self, db: Db, ids: Iterable[int]) -> list[str]:
        """The tasks' pages; returns the ids of their sessions."""
        found: list[str] = []
        for page in views.task_pages(db, ids):
            self.put(
                f"tasks/{page.ref}.html",
                "task.html",
                root="../",
                page=page,
                tails=_tails(db, page),
                receipts=views.receipts(db, page.task.id),
                versions=views.versions(db, page.task.id) if page.artifacts else (),
                as_of=_newest(page),
            )
            found += [story.session.id for story in page.sessions]
        return found

    def sessions(self, db: Db, ids: Iterable[str]) -> None:
        """The sessions' pages with their logs; pages that are full are made once."""
        for session_id in ids:
            if (found := views.session_story(db, session_id)) is not None:
                self._session(db, *found)

    def runs(self, db: Db, ids: Collection[int] | None) -> None:
        """Those runs' pages, and the list of runs; None means all."""
        if ids is None or ids:
            run_pages.runs(
                db, self.put, views.run_ids(db) if ids is None else ids, self._crew.slots
            )
            run_pages.run_list(db, self.put, self._crew.slots)

    def agents(self, db: Db, names: Iterable[str] | None, now: int) -> None:
        """Those agents' pages; None means all, and no others."""
        if names is None:
            names = views.agents_ever(db) | set(self._crew.by_name)
            there = {session_file(name) for name in names}
            for gone in self._folder.stems("agents") - there:
                self._folder.drop(f"agents/{gone}.html")
        crew_pages.agents(db, self.put, names, self._crew, now)

    def money(self, db: Db, now: int) -> None:
        """The page about money."""
        crew_pages.money(db, self.put, self._crew, now)

    def task_lists(self, db: Db, changed: Collection[int] | None, now: int) -> None:
        """The lists of all tasks by id that the changed ones stand in; None means all."""
        last = views.last_task(db)
        full = blocks(last, ROWS)
        old = self._list_pages(full)
        for gone in range(full, old):
            self._folder.drop(_numbered("tasks", gone, old))
        if changed is None:
            dirty = set(range(full + 1))
        else:
            dirty = {min((task - 1) // ROWS, full) for task in changed}
            dirty |= set(_grown(min(old, full), full))
        for block in dirty:
            end = last if block == full else (block + 1) * ROWS
            rows = views.task_range(db, block * ROWS + 1, end, now)
            self.put(
                _numbered("tasks", block, full),
                "tasks.html",
                root="",
                rows=rows[::-1],
                turn=_turn("tasks", block, full),
                last=last,
                as_of=max((row.revision for row in rows), default=0),
            )

    def events(self, db: Db, since: int, altered: Collection[int] = ()) -> None:
        """The pages of events that have grown since that one, and those of the altered."""
        last = views.last_event(db)[0]
        full = blocks(last, EVENTS)
        dirty = {min((seq - 1) // EVENTS, full) for seq in altered}
        for block in sorted(dirty | set(_grown(blocks(since, EVENTS), full))):
            n = EVENTS if block < full else 2 * EVENTS
            found = views.events(db, after=block * EVENTS, n=n)
            self.put(
                _numbered("events", block, full),
                "events.html",
                root="",
                events=found[::-1],
                gone=run_pages.gone(db, found),
                turn=_turn("events", block, full),
                as_of=found[-1] if found else None,
            )

    def front(self, db: Db, now: int) -> None:
        """The overview: state, what waits, board, runs, crew, news."""
        news = views.events(db, n=NEWS, loud=True)[::-1]
        self.put(
            "index.html",
            "index.html",
            root="",
            it=views.overview(db, now, self._crew.timezone),
            gates=views.open_gates(db),
            crew=self._members(db),
            resting=views.resting(db),
            board={column.state.value: column for column in views.board(db, CARDS, now)},
            runs=views.runs(db, CARDS, 0, self._crew.slots),
            days=views.done_per_day(db, now, timezone=self._crew.timezone),
            news=news,
            gone=run_pages.gone(db, news),
        )

    def _members(self, db: Db) -> list[tuple[Member, str, tuple[SessionRow, ...]]]:
        """Who is on the crew or still at work, how each stands, and the sessions."""
        at_work = {row.name: row.sessions for row in views.agents(db)}
        known = self._crew.by_name
        found = [known.get(name, Member(name)) for name in sorted(known.keys() | at_work.keys())]
        return [
            (one, crew_pages.status(one.missing is not None, sessions), sessions)
            for one in found
            for sessions in [at_work.get(one.name, ())]
        ]

    def forget(self, task: int) -> Around:
        """Remove the page of a deleted task; returns where it led to: what lies around the task
        is known to its page alone by now."""
        name = f"tasks/{task_ref(task)}.html"
        text = self._folder.read(name)
        self._folder.drop(name)
        return Around(
            {int(found) for found in re.findall(r'href="TASK-(\d+)\.html"', text)},
            {int(found) for found in re.findall(r'href="\.\./runs/RUN-(\d+)\.html"', text)},
            set(re.findall(r'href="\.\./agents/([\w-]+)\.html"', text)),
        )

    def forget_sessions(self, db: Db) -> None:
        """Remove the pages of sessions that are no more."""
        names = self._folder.stems("sessions")
        # A later page is named after its session with a number: both readings are asked for.
        stems = {name: {name, name.rpartition("-")[0]} for name in names}
        there = views.session_tasks(db, {stem for both in stems.values() for stem in both})
        for name, both in stems.items():
            if not both & set(there):
                self._folder.drop(f"sessions/{name}.html")

    def _list_pages(self, expected: int) -> int:
        """How many full pages of tasks there are in the folder by now."""
        found = expected
        while self._folder.has(_numbered("tasks", found, -1)):
            found += 1
        while found and not self._folder.has(_numbered("tasks", found - 1, -1)):
            found -= 1
        return found

    def _session(self, db: Db, story: SessionStory, title: str) -> None:
        session = story.session
        name = session_file(session.id)
        old = self._marks.get(session.id, ())
        marks = old + views.log_marks(db, session.id, old[-1] if old else 0, LINES)
        full = max(0, len(marks) - 1)
        for block in _grown(max(0, len(old) - 1), full):
            after = marks[block - 1] if block else 0
            lines = views.log_after(db, session.id, after, LINES if block < full else 2 * LINES)
            self.put(
                f"sessions/{_numbered(name, block, full)}",
                "session.html",
                root="../",
                story=story if block == full else None,
                session=session,
                member=self._crew.by_name.get(session.agent),
                title=title,
                lines=lines,
                first=block * LINES + 1,
                turn=_turn(name, block, full),
                ref=task_ref(session.task_id),
            )
        self._remember(session.id, marks, over=session.ended_at is not None)

    def _remember(self, session_id: str, marks: tuple[int, ...], over: bool) -> None:
        if over or not marks:
            self._marks.pop(session_id, None)
        else:
            self._marks[session_id] = marks

    def put(self, name: str, template: str, /, **values: Any) -> None:
        self._folder.put(name, self._renderer.page(template, **values))
        self.kept.add(name)


def _numbered(name: str, block: int, full: int) -> str:
    """The newest page bears the plain name; the others are numbered from the oldest on."""
    return f"{name}.html" if block == full else f"{name}-{block + 1}.html"


def _grown(old: int, full: int) -> range:
    """The pages to make when there were `old` full ones and are `full` now: where some came,
    the one before them gets another link to what is newer."""
    return range(full, full + 1) if old == full else range(max(0, old - 1), full + 1)


def _turn(name: str, block: int, full: int) -> dict[str, str | None]:
    """Where older and newer lie, seen from that page."""
    older = _numbered(name, block - 1, full) if block else None
    newer = _numbered(name, block + 1, full) if block < full else None
    return {"older": older, "newer": newer}


def _tails(db: Db, page: TaskPage) -> dict[str, Any]:
    return {story.session.id: views.log_tail(db, story.session.id, TAIL) for story in page.sessions}


def _newest(page: TaskPage) -> Any:
    return page.events[-1] if page.events else None
