"""What happened: events in order, and what has changed since one of them."""

# ruff: noqa: S608 - statements are put together from the code's own words only
from __future__ import annotations

from dataclasses import dataclass

from core.model import Event
from core.views.reading import Db, one
from core.views.rows import EVENT, event_of


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
    tasks: set[int] = set()
    sessions: set[str] = set()
    gates: set[int] = set()
    agents: set[str] = set()
    edited: set[int] = set()
    deleted: set[int] = set()
    told = {"task.edited": edited, "task.deleted": deleted}
    last = seq
    for number, kind, task, session, gate, agent in db.execute(
        "SELECT seq, type, task_id, session_id, gate_id, agent FROM events"
        " WHERE seq > ? ORDER BY seq",
        (seq,),
    ):
        last = number
        if kind in told:
            told[kind].add(task)
        tasks.add(task)
        sessions.add(session)
        gates.add(gate)
        agents.add(agent)
    for found in (tasks, sessions, gates, agents):
        found.discard(None)
    return Changes(
        seq,
        last,
        frozenset(tasks),
        frozenset(sessions),
        frozenset(gates),
        frozenset(agents),
        frozenset(edited),
        frozenset(deleted),
    )


def data_version(db: Db) -> tuple[int, int]:
    """Two numbers that change when another connection has written to either file."""
    return (one(db, "PRAGMA main.data_version"), one(db, "PRAGMA logs.data_version"))
