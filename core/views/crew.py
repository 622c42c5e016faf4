"""Who works, and what waits for a person."""

# ruff: noqa: S608 - statements are put together from the code's own words only
from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from core.days import day_of, local
from core.model import ACTIVE, Gate, Session, TaskState, task_ref
from core.planning.status import AgentStatus, agent_status
from core.store import rows
from core.views.history import last_event
from core.views.lists import state_counts
from core.views.reading import Db, one


@dataclass(frozen=True, slots=True)
class Overview:
    """The line of state. `working`: sessions with a process; `stopping`: those whose
    process is asked to end; `waiting`: open gates; `as_of`:
    the time (ms) of the newest event, `last_seq` its number; costs in US dollars."""

    counts: dict[TaskState, int]
    working: int
    waiting: int
    queued: int
    done_today: int
    cost_today: float
    last_seq: int
    as_of: int
    stopping: int = 0

    @property
    def total(self) -> int:
        return sum(self.counts.values())


@dataclass(frozen=True, slots=True)
class GateRow:
    """A gate with the title of its task."""

    gate: Gate
    task_title: str | None

    @property
    def task_ref(self) -> str | None:
        return None if self.gate.task_id is None else task_ref(self.gate.task_id)


@dataclass(frozen=True, slots=True)
class SessionRow:
    """A session with the title of its task, and whether it waits at a gate."""

    session: Session
    task_title: str
    waits: bool

    @property
    def task_ref(self) -> str:
        return task_ref(self.session.task_id)


@dataclass(frozen=True, slots=True)
class AgentRow:
    """An agent that has sessions which are not over. `status`, which doesn't know whether it is
    enabled and healthy: `working`, `blocked` (it waits at a gate) or `idle` (all of its sessions
    are suspended)."""

    name: str
    status: str
    sessions: tuple[SessionRow, ...]


@dataclass(frozen=True, slots=True)
class Workload:
    """The tasks that an agent has worked on or is to do, by their state. `awaiting_merge`: its
    work is done, and a person or the merge is next; `sessions`: those with a process."""

    by_state: dict[TaskState, int]
    awaiting_merge: int
    sessions: int

    @property
    def total(self) -> int:
        return sum(self.by_state.values())

    @property
    def in_progress(self) -> int:
        return sum(n for state, n in self.by_state.items() if state in ACTIVE)


_DAY = "SELECT cost_usd FROM budgets WHERE scope = 'day' AND key = ?"
"""What was spent on a day is kept, whatever becomes of its tasks."""


def overview(db: Db, now: int, timezone: str = "UTC") -> Overview:
    """How it stands; `now` (ms) only says which day is today, in that zone."""
    counts = state_counts(db)
    last_seq, as_of = last_event(db)
    today = day_starts(now, 1, timezone)[0]
    working, stopping = db.execute(
        "SELECT total(state IN ('starting', 'running')), total(state = 'terminating')"
        " FROM sessions INDEXED BY sessions_open WHERE state <> 'terminated'"
    ).fetchone()
    waiting = one(db, "SELECT count(*) FROM gates WHERE state = 'open'")
    return Overview(
        counts,
        int(working),
        waiting,
        counts[TaskState.READY],
        _done_since(db, today),
        float(one(db, _DAY, (day_of(now, timezone),)) or 0),
        last_seq,
        as_of,
        int(stopping),
    )


def done_per_day(
    db: Db, now: int, days: int = 14, timezone: str = "UTC"
) -> tuple[tuple[int, int], ...]:
    """(start of the day in ms, tasks done in it) for the last days, today the last."""
    starts = day_starts(now, days, timezone)
    ends = (*starts[1:], now + 86_400_000)
    return tuple(
        (start, _done_since(db, start, end)) for start, end in zip(starts, ends, strict=True)
    )


def day_start(now: int, timezone: str = "UTC") -> int:
    """The midnight (ms) at which today began."""
    return day_starts(now, 1, timezone)[0]


def day_starts(now: int, days: int, timezone: str = "UTC") -> tuple[int, ...]:
    """The midnights (ms) at which the last days began, in that zone."""
    midnight = local(now, timezone).replace(hour=0, minute=0, second=0, microsecond=0)
    return tuple(
        int((midnight - timedelta(days=back)).timestamp() * 1000)
        for back in range(days - 1, -1, -1)
    )


def open_gates(db: Db) -> tuple[GateRow, ...]:
    """What waits for a person, oldest first."""
    return tuple(
        GateRow(rows.gate(row), row["task_title"])
        for row in db.execute(
            "SELECT g.*, t.title AS task_title FROM gates g LEFT JOIN tasks t ON t.id = g.task_id"
            " WHERE g.state = 'open' ORDER BY g.opened_at, g.id"
        )
    )


def gate(db: Db, gate_id: int) -> Gate | None:
    """One gate, whatever its state; None when there is none of that number."""
    row = db.execute("SELECT * FROM gates WHERE id = ?", (gate_id,)).fetchone()
    return None if row is None else rows.gate(row)


def sessions(
    db: Db, *, task: int | None = None, agent: str | None = None, n: int = 50
) -> tuple[SessionRow, ...]:
    """The sessions of a task or an agent, newest first; of neither: all that are not over."""
    if task is not None:
        return _sessions(db, "s.task_id = ?", [task, n])
    if agent is not None:
        return _sessions(db, "s.agent = ?", [agent, n])
    return _sessions(db, "s.state <> 'terminated'", [n])


def agents(db: Db) -> tuple[AgentRow, ...]:
    """Every agent with a session that is not over, by name."""
    by_name: dict[str, list[SessionRow]] = {}
    for row in _sessions(db, "s.state <> 'terminated'", [-1]):
        by_name.setdefault(row.session.agent, []).append(row)
    return tuple(
        AgentRow(name, status_of(found), tuple(found)) for name, found in sorted(by_name.items())
    )


def status_of(found: Iterable[SessionRow], able: bool = True) -> AgentStatus:
    """How an agent stands that has these sessions."""
    return agent_status(able, ((row.session.state, row.waits) for row in found))


_HAS_TASKS = """
SELECT task_id AS id FROM sessions INDEXED BY sessions_of_agent WHERE agent = ?1
UNION SELECT id FROM tasks INDEXED BY tasks_ready WHERE state = 'ready' AND assignee = ?1
UNION SELECT id FROM tasks INDEXED BY tasks_standing
  WHERE state IN ('inbox', 'failed') AND assignee = ?1
UNION SELECT id FROM tasks INDEXED BY tasks_active
  WHERE state IN ('planning', 'in_flight', 'review', 'blocked') AND assignee = ?1
"""
_WITH_PROCESS = """
SELECT count(*) FROM sessions INDEXED BY sessions_open
WHERE state <> 'terminated' AND state IN ('starting', 'running', 'terminating') AND agent = ?
"""


def workload(db: Db, agent: str) -> Workload:
    """What one agent has to do and has done."""
    counts = {
        TaskState(row["state"]): int(row["n"])
        for row in db.execute(
            f"SELECT state, count(*) AS n FROM tasks WHERE id IN ({_HAS_TASKS}) GROUP BY state",
            (agent,),
        )
    }
    live = int(one(db, _WITH_PROCESS, (agent,)))
    return Workload(counts, counts.get(TaskState.REVIEW, 0), live)


def _sessions(db: Db, where: str, params: list[object]) -> tuple[SessionRow, ...]:
    sql = (
        "SELECT s.*, t.title AS task_title, EXISTS (SELECT 1 FROM gates WHERE"
        " task_id = s.task_id AND session_id = s.id AND state = 'open') AS waits"
        f" FROM sessions s JOIN tasks t ON t.id = s.task_id WHERE {where}"
        " ORDER BY s.created_at DESC, s.id LIMIT ?"
    )
    return tuple(
        SessionRow(rows.session(row), row["task_title"], bool(row["waits"]))
        for row in db.execute(sql, params)
    )


def _done_since(db: Db, start: int, end: int | None = None) -> int:
    return int(
        one(
            db,
            "SELECT count(*) FROM tasks INDEXED BY tasks_ended WHERE"
            " ended_at IS NOT NULL AND ended_at >= ? AND ended_at < ?"
            " AND state = 'done'",
            (start, end or 1 << 62),
        )
    )
