"""What happened: events in order, and what has changed since one of them."""

# ruff: noqa: S608 - statements are put together from the code's own words only
from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from core.model import Event
from core.views.reading import Db, one, packed
from core.views.rows import EVENT, event_of

# The columns of an event that name somebody, as they are called in `Changes`.
_TOLD = ("tasks", "sessions", "gates", "agents", "runs")
_SPECIAL = {"task.edited": "edited", "task.deleted": "deleted"}


@dataclass(frozen=True, slots=True)
class Changes:
    """Whom the events after `since` tell of; `seq` is the newest event's number."""

    since: int
    seq: int
    tasks: frozenset[int]
    sessions: frozenset[str]
    gates: frozenset[int]
    agents: frozenset[str]
    edited: frozenset[int] = frozenset()
    deleted: frozenset[int] = frozenset()
    runs: frozenset[int] = frozenset()

    def __bool__(self) -> bool:
        return self.seq != self.since


def last_event(db: Db) -> tuple[int, int]:
    """The newest event's sequence number and time (ms); zeros when nothing has happened."""
    row = db.execute(
        "SELECT seq, at FROM events WHERE seq = (SELECT max(seq) FROM events)"
    ).fetchone()
    return (row[0], row[1]) if row else (0, 0)


def events(
    db: Db,
    *,
    after: int | None = None,
    before: int | None = None,
    n: int = 50,
    task: int | None = None,
    loud: bool = False,
) -> tuple[Event, ...]:
    """At most n events, oldest first: the first ones after `after`, else the last ones
    before `before`, else the newest. `loud`: without those of severity debug."""
    where, params = _range(after, before)
    if task is not None:
        where, params = f"{where} AND task_id = ?", [*params, task]
    if loud:
        where = f"{where} AND severity <> 'debug'"
    order = "ASC" if after is not None else "DESC"
    rows = db.execute(
        f"SELECT {EVENT} FROM events WHERE {where} ORDER BY seq {order} LIMIT ?", [*params, n]
    ).fetchall()
    found = tuple(event_of(row) for row in rows)
    return found if after is not None else found[::-1]


def _range(after: int | None, before: int | None) -> tuple[str, list[int]]:
    if after is not None:
        return "seq > ?", [after]
    if before is not None:
        return "seq < ?", [before]
    return "seq > 0", []


def changed_since(db: Db, seq: int) -> Changes:
    """Whom the events after `seq` tell of. Costs what has changed, not what there is."""
    found: dict[str, set[Any]] = {name: set() for name in (*_TOLD, *_SPECIAL.values())}
    last = seq
    for row in db.execute(
        "SELECT seq, type, task_id, session_id, gate_id, agent, run_id FROM events"
        " WHERE seq > ? ORDER BY seq",
        (seq,),
    ):
        last, kind, task, *_ = row
        for name, told in zip(_TOLD, row[2:], strict=True):
            found[name].add(told)
        if kind in _SPECIAL:
            found[_SPECIAL[kind]].add(task)
    return Changes(seq, last, **{name: frozenset(ids - {None}) for name, ids in found.items()})


def runs_of(db: Db, tasks: Iterable[int]) -> frozenset[int]:
    """The runs that those tasks are or were part of."""
    return _ids(db, "SELECT DISTINCT run_id FROM run_tasks WHERE task_id", tasks)


def run_ids(db: Db) -> tuple[int, ...]:
    """All runs, the oldest first."""
    return tuple(row[0] for row in db.execute("SELECT id FROM runs ORDER BY id"))


def open_runs(db: Db) -> frozenset[int]:
    """The runs that have not ended."""
    rows = db.execute(
        "SELECT id FROM runs INDEXED BY runs_open WHERE state IN ('planned', 'running', 'paused')"
    )
    return frozenset(row[0] for row in rows)


def last_event_of_run(db: Db, run: int) -> tuple[int, int]:
    """The number and time (ms) of the newest event that tells of the run or of a task of it."""
    row = db.execute(
        "SELECT seq, at FROM events WHERE seq = max((SELECT revision FROM runs WHERE id = ?1),"
        " (SELECT coalesce(max(t.revision), 0) FROM run_tasks m JOIN tasks t ON t.id = m.task_id"
        " WHERE m.run_id = ?1))",
        (run,),
    ).fetchone()
    return (row[0], row[1]) if row else (0, 0)


def members(db: Db, run: int) -> frozenset[int]:
    """The tasks that the run has or had."""
    return _ids(db, "SELECT task_id FROM run_tasks WHERE run_id", [run])


def held_in(db: Db, run: int) -> dict[int, str]:
    """What holds tasks of that run back, as far as it is open: what is said of it on a page
    changes without an event that tells of the task."""
    rows = db.execute(
        "SELECT id, held, held_by FROM tasks INDEXED BY tasks_of_run"
        " WHERE run_id IS NOT NULL AND run_id = ? AND held IS NOT NULL",
        (run,),
    )
    return {row[0]: f"{row[1]} {row[2] or ''}".strip() for row in rows}


def event_seqs(db: Db, tasks: Iterable[int]) -> frozenset[int]:
    """The numbers of all events that tell of those tasks."""
    return _ids(
        db,
        "SELECT seq FROM events INDEXED BY events_of_task WHERE task_id IS NOT NULL AND task_id",
        tasks,
    )


def there(db: Db, tasks: Iterable[int]) -> frozenset[int]:
    """Which of those tasks still exist."""
    return _ids(db, "SELECT id FROM tasks WHERE id", tasks)


def _ids(db: Db, sql: str, wanted: Iterable[int]) -> frozenset[int]:
    """Numbers by a statement that ends in the column to look for."""
    asked = packed(wanted)
    if asked == "[]":
        return frozenset()
    found = db.execute(f"{sql} IN (SELECT value FROM json_each(?))", (asked,))
    return frozenset(row[0] for row in found)


def data_version(db: Db) -> tuple[int, int]:
    """Two numbers that change when another connection has written to either file."""
    return (one(db, "PRAGMA main.data_version"), one(db, "PRAGMA logs.data_version"))
