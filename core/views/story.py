"""A task from beginning to end: what was asked, who did what, who decided.

Read for many tasks at once, a query a table, so that a whole site costs no more queries
than one page.
"""

# ruff: noqa: S608 - statements are put together from the code's own words only
from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from core.model import Event, Gate, Task, task_ref
from core.store import rows
from core.views.reading import Db, packed
from core.views.rows import EVENT, event_of
from core.views.turns import SessionStory, stories

_IN = "IN (SELECT value FROM json_each(?))"


@dataclass(frozen=True, slots=True)
class Criterion:
    """One acceptance criterion; `state` is `open`, `ticked`, `passed` or `failed`."""

    position: int
    text: str
    command: str | None
    state: str


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


# What hangs on tasks, the task's id first.
_OF_TASKS = {
    "criteria": "SELECT task_id, position, text, command, state FROM criteria"
    f" WHERE task_id {_IN} ORDER BY task_id, position",
    "labels": "SELECT task_id, kind, value FROM task_labels"
    f" WHERE task_id {_IN} ORDER BY task_id, kind, value",
    "reasons": "SELECT task_id, reason FROM task_reasons"
    f" WHERE task_id {_IN} ORDER BY task_id, reason",
    "needs": "SELECT d.task_id, t.id, t.title, t.state FROM dependencies d JOIN tasks t"
    f" ON t.id = d.needs_id WHERE d.task_id {_IN} ORDER BY t.id",
    "needed_by": "SELECT d.needs_id, t.id, t.title, t.state FROM dependencies d JOIN tasks t"
    f" ON t.id = d.task_id WHERE d.needs_id {_IN} ORDER BY t.id",
    "artifacts": "SELECT task_id, name, version, kind, author, sha256, size, created_at"
    f" FROM artifacts WHERE task_id {_IN} ORDER BY task_id, name, version",
    "runs": "SELECT m.task_id, r.id, r.title, m.wave FROM run_tasks m JOIN runs r"
    f" ON r.id = m.run_id WHERE m.task_id {_IN} ORDER BY r.id",
}
# The index lies by (task, seq): no sorting, and a busy task's old events stay unread.
_EVENTS = (
    f"SELECT j.task, {EVENT} FROM (SELECT value AS task FROM json_each(?)) j"
    " JOIN events e ON e.seq IN"
    " (SELECT seq FROM events WHERE task_id = j.task ORDER BY seq DESC"
    " LIMIT {}) ORDER BY e.seq"
)


class _Parts:
    """What belongs to some tasks, by task."""

    def __init__(self, db: Db, wanted: str, events: int) -> None:
        self._limit = events
        self._stories = stories(db, wanted)
        self._gates = _gates(db, wanted)
        self._found = {name: _grouped(db, sql, wanted) for name, sql in _OF_TASKS.items()}
        self._events = _grouped(db, _EVENTS.format(int(events) + 1), wanted)

    def page(self, task: Task) -> TaskPage:
        labels: dict[str, list[str]] = defaultdict(list)
        for kind, value in self._found["labels"][task.id]:
            labels[kind].append(value)
        events = tuple(event_of(row) for row in self._events[task.id])
        return TaskPage(
            task=task,
            criteria=tuple(Criterion(*row) for row in self._found["criteria"][task.id]),
            labels={kind: tuple(values) for kind, values in labels.items()},
            reasons=tuple(row[0] for row in self._found["reasons"][task.id]),
            needs=tuple(tuple(row) for row in self._found["needs"][task.id]),
            needed_by=tuple(tuple(row) for row in self._found["needed_by"][task.id]),
            sessions=self._stories[task.id],
            gates=self._gates[task.id],
            artifacts=tuple(
                {row[0]: Artifact(*row) for row in self._found["artifacts"][task.id]}.values()
            ),
            events=events[-self._limit :],
            older_events=max(0, len(events) - self._limit),
            runs=tuple(tuple(row) for row in self._found["runs"][task.id]),
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
