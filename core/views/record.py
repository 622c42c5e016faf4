"""What agents have done and spent, for their pages and the one about money."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from core.days import day_of
from core.model import TaskState
from core.planning.budgets import Amount, share
from core.views import money
from core.views.money import Used
from core.views.reading import Db, packed

Limit = tuple[int | None, float | None]
"""Tokens and US dollars that may be spent in a day; None: no limit."""


@dataclass(frozen=True, slots=True)
class LaneRecord:
    """How an agent's sessions on a lane ended; `lane` is empty for tasks without one."""

    lane: str
    completed: int
    failed: int


def records(db: Db, agent: str) -> tuple[LaneRecord, ...]:
    """By lane, where it has done most first."""
    return tuple(
        LaneRecord(*row)
        for row in db.execute(
            "SELECT lane, completed, failed FROM records WHERE agent = ?"
            " ORDER BY completed + failed DESC, lane",
            (agent,),
        )
    )


def under_way(db: Db, agent: str) -> dict[TaskState, int]:
    """The tasks that the agent has begun and that go on or are blocked, by state."""
    rows = db.execute(
        "SELECT state, count(*) FROM tasks INDEXED BY tasks_active WHERE state IN"
        " ('planning', 'in_flight', 'review', 'blocked') AND assignee = ? GROUP BY state",
        (agent,),
    )
    return {TaskState(row[0]): row[1] for row in rows}


def with_process(db: Db, agent: str) -> int:
    """How many of the agent's sessions hold a place."""
    found = db.execute(
        "SELECT count(*) FROM sessions INDEXED BY sessions_open WHERE state <> 'terminated'"
        " AND state IN ('starting', 'running', 'terminating') AND agent = ?",
        (agent,),
    ).fetchone()
    return int(found[0])


def agents_of(db: Db, tasks: Iterable[int]) -> frozenset[str]:
    """Who worked on those tasks, and to whom they are assigned."""
    wanted = packed(tasks)
    rows = db.execute(
        "SELECT agent FROM sessions WHERE task_id IN (SELECT value FROM json_each(?1))"
        " UNION SELECT assignee FROM tasks WHERE assignee IS NOT NULL"
        " AND id IN (SELECT value FROM json_each(?1))",
        (wanted,),
    )
    return frozenset(row[0] for row in rows)


def agents_ever(db: Db) -> frozenset[str]:
    """Every agent that has had a session."""
    return frozenset(row[0] for row in db.execute("SELECT DISTINCT agent FROM sessions"))


def resting(db: Db) -> dict[str, int]:
    """Accounts at their provider's usage limit, with when they are tried again (ms)."""
    rows = db.execute(
        "SELECT account, until FROM limits INDEXED BY limits_standing WHERE lifted_at IS NULL"
    )
    return {row[0]: row[1] for row in rows}


def money_mark(db: Db) -> str:
    """Another one whenever something was spent or granted."""
    row = db.execute("SELECT count(*), total(cost_usd), total(tokens) FROM budgets").fetchone()
    more = db.execute("SELECT total(more_usd), total(more_tokens) FROM budgets").fetchone()
    return " ".join(map(str, (*row, *more)))


def date_of(now: int, timezone: str) -> str:
    """The calendar day of budgets, `2026-11-21`."""
    return day_of(now, timezone)


def budgets(
    db: Db, now: int, timezone: str, day: Limit, agents: Mapping[str, Limit]
) -> tuple[tuple[Used, float], ...]:
    """Those of today, of the agents, of open runs and of tasks that have spent, each with the
    share that is used. `day` and `agents`: as configured, for each day."""
    today = day_of(now, timezone)
    asked = [("everybody today", "day", today, day)]
    asked += [
        (f"{name} today", "agent", f"{name} {today}", agents[name]) for name in sorted(agents)
    ]
    found = [
        money.used(db, words, scope, key, Amount(*limit))
        for words, scope, key, limit in asked
        if limit != (None, None)
    ]
    found += [one for one in money.used_by_work(db) if one.usd or one.tokens]
    return tuple((one, share(one.tokens, one.usd, one.limit)) for one in found)
