"""A task from beginning to end: what was asked, who did what, who decided.

Read for many tasks at once, a query a table, so that a whole site costs no more queries
than one page.
"""

# ruff: noqa: S608 - statements are put together from the code's own words only
from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from core.model import Attempt, Event, Gate, Iteration, Session, Task, task_ref
from core.store import rows
from core.views.reading import Db, one, packed
from core.views.rows import EVENT, event_of

_IN = "IN (SELECT value FROM json_each(?))"


@dataclass(frozen=True, slots=True)
class Criterion:
    """One acceptance criterion; `state` is `open`, `ticked`, `passed` or `failed`."""

    position: int
    text: str
    command: str | None
    state: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One check that Bullpen ran: its command, whether it passed, the end of its output."""

    command: str
    passed: bool
    said: str


@dataclass(frozen=True, slots=True)
class QaResult:
    iteration: int
    result: str
    findings: tuple[Finding, ...]
    judged_by: str
    at: int


@dataclass(frozen=True, slots=True)
class Artifact:
    """One version of an artifact; a page holds the newest of each."""

    name: str
    version: int
    kind: str
    author: str
    sha256: str
    size: int
    at: int


@dataclass(frozen=True, slots=True)
class SessionStory:
    """A session with its processes and its turns."""

    session: Session
    attempts: tuple[Attempt, ...]
    iterations: tuple[Iteration, ...]
    qa: tuple[QaResult, ...]


@dataclass(frozen=True, slots=True)
class TaskPage:
    """All that a task's page tells. `needs` are the tasks it waits for, `needed_by` those that
    wait for it, as (id, title, state); `runs` those that it is or was part of, the newest last,
    as (id, title, its wave)."""

    task: Task
    criteria: tuple[Criterion, ...]
    labels: dict[str, tuple[str, ...]]
    reasons: tuple[str, ...]
    needs: tuple[tuple[int, str, str], ...]
    needed_by: tuple[tuple[int, str, str], ...]
    sessions: tuple[SessionStory, ...]
    gates: tuple[Gate, ...]
    artifacts: tuple[Artifact, ...]
    events: tuple[Event, ...]
    older_events: int = 0
    runs: tuple[tuple[int, str, int], ...] = ()

    @property
    def ref(self) -> str:
        return task_ref(self.task.id)

    @property
    def cost_usd(self) -> float:
        return sum(story.session.cost_usd for story in self.sessions)

    @property
    def tokens(self) -> int:
        return sum(s.session.tokens_in + s.session.tokens_out for s in self.sessions)

    @property
    def open_gates(self) -> tuple[Gate, ...]:
        return tuple(gate for gate in self.gates if gate.answered_at is None)


def task_page(db: Db, task_id: int, events: int = 200) -> TaskPage | None:
    """One task's page with its newest events; None when there is no such task."""
    return next(iter(task_pages(db, [task_id], events)), None)


def task_pages(db: Db, ids: Iterable[int], events: int = 200) -> tuple[TaskPage, ...]:
    """The pages of those tasks that exist, by id."""
    wanted = packed(ids)
    tasks = [
        rows.task(row)
        for row in db.execute(f"SELECT * FROM tasks WHERE id {_IN} ORDER BY id", (wanted,))
    ]
    parts = _Parts(db, wanted, events)
    return tuple(parts.page(task) for task in tasks)


def session_story(db: Db, session_id: str) -> tuple[SessionStory, str] | None:
    """One session with its turns, and the title of its task; None when there is none."""
    row = db.execute("SELECT task_id FROM sessions WHERE id = ?", (session_id,)).fetchone()
    if row is None:
        return None
    title = one(db, "SELECT title FROM tasks WHERE id = ?", (row[0],))
    stories = _stories(db, packed([row[0]]))[row[0]]
    return next(story for story in stories if story.session.id == session_id), title


def session_tasks(db: Db, session_ids: Iterable[str]) -> dict[str, int]:
    """The task of each of those sessions that exist."""
    return {
        row[0]: row[1]
        for row in db.execute(
            f"SELECT id, task_id FROM sessions WHERE id {_IN}", (packed(session_ids),)
        )
    }


def sessions_of_tasks(db: Db, task_ids: Iterable[int]) -> frozenset[str]:
    """The ids of those tasks' sessions."""
    return frozenset(
        row[0]
        for row in db.execute(f"SELECT id FROM sessions WHERE task_id {_IN}", (packed(task_ids),))
    )


class _Parts:
    """What belongs to some tasks, by task."""

    def __init__(self, db: Db, wanted: str, events: int) -> None:
        self._limit = events
        self._stories = _stories(db, wanted)
        self._criteria = _grouped(
            db,
            "SELECT task_id, position, text, command, state FROM criteria"
            f" WHERE task_id {_IN} ORDER BY task_id, position",
            wanted,
        )
        self._labels = _grouped(
            db,
            "SELECT task_id, kind, value FROM task_labels"
            f" WHERE task_id {_IN} ORDER BY task_id, kind, value",
            wanted,
        )
        self._reasons = _grouped(
            db,
            "SELECT task_id, reason FROM task_reasons"
            f" WHERE task_id {_IN} ORDER BY task_id, reason",
            wanted,
        )
        self._needs = _grouped(
            db,
            "SELECT d.task_id, t.id, t.title, t.state FROM dependencies d JOIN tasks t"
            f" ON t.id = d.needs_id WHERE d.task_id {_IN} ORDER BY t.id",
            wanted,
        )
        self._needed_by = _grouped(
            db,
            "SELECT d.needs_id, t.id, t.title, t.state FROM dependencies d JOIN tasks t"
            f" ON t.id = d.task_id WHERE d.needs_id {_IN} ORDER BY t.id",
            wanted,
        )
        self._gates = _gates(db, wanted)
        self._artifacts = _grouped(
            db,
            "SELECT task_id, name, version, kind, author, sha256, size, created_at"
            f" FROM artifacts WHERE task_id {_IN} ORDER BY task_id, name, version",
            wanted,
        )
        self._runs = _grouped(
            db,
            "SELECT m.task_id, r.id, r.title, m.wave FROM run_tasks m JOIN runs r"
            f" ON r.id = m.run_id WHERE m.task_id {_IN} ORDER BY r.id",
            wanted,
        )
        # The index lies by (task, seq): no sorting, and a busy task's old events stay unread.
        self._events = _grouped(
            db,
            f"SELECT j.task, {EVENT} FROM (SELECT value AS task FROM json_each(?)) j"
            " JOIN events e ON e.seq IN"
            " (SELECT seq FROM events WHERE task_id = j.task ORDER BY seq DESC"
            f" LIMIT {int(events) + 1}) ORDER BY e.seq",
            wanted,
        )

    def page(self, task: Task) -> TaskPage:
        labels: dict[str, list[str]] = defaultdict(list)
        for kind, value in self._labels[task.id]:
            labels[kind].append(value)
        events = tuple(event_of(row) for row in self._events[task.id])
        return TaskPage(
            task=task,
            criteria=tuple(Criterion(*row) for row in self._criteria[task.id]),
            labels={kind: tuple(values) for kind, values in labels.items()},
            reasons=tuple(row[0] for row in self._reasons[task.id]),
            needs=tuple(tuple(row) for row in self._needs[task.id]),
            needed_by=tuple(tuple(row) for row in self._needed_by[task.id]),
            sessions=self._stories[task.id],
            gates=self._gates[task.id],
            artifacts=tuple({row[0]: Artifact(*row) for row in self._artifacts[task.id]}.values()),
            events=events[-self._limit :],
            older_events=max(0, len(events) - self._limit),
            runs=tuple(tuple(row) for row in self._runs[task.id]),
        )


def _grouped(db: Db, sql: str, wanted: str) -> defaultdict[int, list[Any]]:
    found: defaultdict[int, list[Any]] = defaultdict(list)
    for key, *rest in db.execute(sql, (wanted,)):
        found[key].append(rest)
    return found


def _gates(db: Db, wanted: str) -> defaultdict[int, tuple[Gate, ...]]:
    found: defaultdict[int, tuple[Gate, ...]] = defaultdict(tuple)
    for row in db.execute(f"SELECT * FROM gates WHERE task_id {_IN} ORDER BY id", (wanted,)):
        found[row["task_id"]] += (rows.gate(row),)
    return found


def _stories(db: Db, wanted: str) -> defaultdict[int, tuple[SessionStory, ...]]:
    sessions = [
        rows.session(row)
        for row in db.execute(
            f"SELECT * FROM sessions WHERE task_id {_IN} ORDER BY created_at, id", (wanted,)
        )
    ]
    ids = packed(session.id for session in sessions)
    attempts = _of_sessions(
        db, f"SELECT * FROM attempts WHERE session_id {_IN} ORDER BY session_id, number", ids
    )
    turns = _of_sessions(
        db, f"SELECT * FROM iterations WHERE session_id {_IN} ORDER BY session_id, number", ids
    )
    qa = _of_sessions(
        db,
        "SELECT session_id, iteration, result, findings, judged_by, created_at"
        f" FROM qa_results WHERE session_id {_IN} ORDER BY id",
        ids,
    )
    found: defaultdict[int, tuple[SessionStory, ...]] = defaultdict(tuple)
    for session in sessions:
        found[session.task_id] += (
            SessionStory(
                session,
                tuple(rows.attempt(row) for row in attempts[session.id]),
                tuple(rows.iteration(row) for row in turns[session.id]),
                tuple(_qa_of(row) for row in qa[session.id]),
            ),
        )
    return found


def _of_sessions(db: Db, sql: str, ids: str) -> defaultdict[str, list[Any]]:
    found: defaultdict[str, list[Any]] = defaultdict(list)
    for row in db.execute(sql, (ids,)):
        found[row[0]].append(row)
    return found


def _qa_of(row: Any) -> QaResult:
    findings = tuple(_finding(entry) for entry in json.loads(row[3]))
    return QaResult(row[1], row[2], findings, row[4], row[5])


def _finding(entry: Any) -> Finding:
    return Finding(str(entry["command"]), bool(entry["passed"]), str(entry["said"]))
