"""What was spent: by day, agent, lane and model; and how far budgets are used."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from core.model import run_ref, task_ref
from core.planning.budgets import Amount
from core.views.reading import Db

_SESSIONS = (
    "SELECT {what} AS name, sum(s.tokens_in + s.tokens_out) AS tokens, total(s.cost_usd) AS usd"
    " FROM (SELECT * FROM sessions INDEXED BY sessions_ended"
    " WHERE ended_at IS NOT NULL AND ended_at >= ? UNION ALL"
    " SELECT * FROM sessions INDEXED BY sessions_open WHERE state <> 'terminated') s"
    " JOIN tasks t ON t.id = s.task_id GROUP BY 1 HAVING tokens > 0 OR usd > 0"
    " ORDER BY usd DESC, tokens DESC LIMIT 5"
)


@dataclass(frozen=True, slots=True)
class Spent:
    """What a name has cost; `unpriced` of its tokens belong to models without a price."""

    name: str
    usd: float = 0.0
    tokens: int = 0
    unpriced: int = 0


@dataclass(frozen=True, slots=True)
class Used:
    """How far a budget is used: `limit` with what was granted on top."""

    name: str
    usd: float
    tokens: int
    limit: Amount


@dataclass(frozen=True, slots=True)
class Cost:
    """The sums of today, of the last seven days and of all; and the last days by who and what."""

    today: Spent
    week: Spent
    whole: Spent
    agents: tuple[Spent, ...]
    lanes: tuple[Spent, ...]
    models: tuple[Spent, ...]
    unpriced: tuple[str, ...]


def cost(db: Db, now: int, timezone: str, *, agent: str | None = None, days: int = 7) -> Cost:
    """Everybody's, or one agent's; by agent, lane and model over the last `days` days, today
    being one."""
    today, week = _days(now, timezone, 1)[0], set(_days(now, timezone, 7))
    rows = _kept(db, agent)
    names = set(_days(now, timezone, days))
    since = _midnight(now, timezone, days)
    return Cost(
        _sum("today", (row for row in rows if row["day"] == today)),
        _sum("7 days", (row for row in rows if row["day"] in week)),
        _sum("in all", rows),
        () if agent else _by_agent(db, names),
        () if agent else _by(db, "coalesce(t.lane, 'no lane')", since),
        () if agent else _by(db, "coalesce(s.model, 'unknown model')", since),
        _unpriced(db),
    )


def lane_cost(db: Db, lane: str) -> Spent:
    """What the tasks of a lane have cost so far."""
    row = db.execute(
        "SELECT count(*), total(cost_usd), coalesce(sum(tokens), 0) FROM tasks"
        " INDEXED BY tasks_of_lane WHERE lane IS NOT NULL AND lane = ?",
        (lane,),
    ).fetchone()
    return Spent(f"{row[0]} task{'' if row[0] == 1 else 's'}", row[1], row[2])


def dearest(db: Db, run_id: int) -> tuple[Spent, ...]:
    """The five tasks of a run that cost most."""
    return tuple(
        Spent(task_ref(row[0]), row[1], row[2])
        for row in db.execute(
            "SELECT id, cost_usd, tokens FROM tasks WHERE id IN"
            " (SELECT task_id FROM run_tasks WHERE run_id = ?)"
            " AND tokens > 0 ORDER BY cost_usd DESC, tokens DESC LIMIT 5",
            (run_id,),
        )
    )


def used(db: Db, name: str, scope: str, key: str, limit: Amount) -> Used:
    """How far one budget is used."""
    row = db.execute("SELECT * FROM budgets WHERE scope = ? AND key = ?", (scope, key)).fetchone()
    if row is None:
        return Used(name, 0.0, 0, limit)
    whole = limit.plus(row["more_tokens"], row["more_usd"])
    return Used(name, row["cost_usd"], row["tokens"], whole)


def used_by_work(db: Db) -> tuple[Used, ...]:
    """The budgets of open runs and of tasks under way."""
    found = [
        used(db, run_ref(row["id"]), "run", str(row["id"]), _limit(row))
        for row in db.execute(
            "SELECT * FROM runs INDEXED BY runs_open WHERE state IN"
            " ('planned', 'running', 'paused') AND (budget_usd > 0 OR budget_tokens > 0) LIMIT 3"
        )
    ]
    found += [
        used(db, task_ref(row["id"]), "task", str(row["id"]), _limit(row))
        for row in db.execute(
            "SELECT * FROM tasks INDEXED BY tasks_active WHERE state IN"
            " ('planning', 'in_flight', 'review', 'blocked')"
            " AND (budget_usd > 0 OR budget_tokens > 0) LIMIT 5"
        )
    ]
    return tuple(found)


def _limit(row: Any) -> Amount:
    return Amount(row["budget_tokens"], row["budget_usd"])


def _kept(db: Db, agent: str | None) -> list[Any]:
    if agent is None:
        sql = "SELECT key AS day, cost_usd, tokens, unpriced FROM budgets WHERE scope = 'day'"
        return db.execute(sql).fetchall()
    return db.execute(
        "SELECT substr(key, length(?) + 2) AS day, cost_usd, tokens, unpriced FROM budgets"
        " WHERE scope = 'agent' AND key > ? || ' ' AND key < ? || '!'",
        (agent, agent, agent),
    ).fetchall()


def _sum(name: str, rows: Iterable[Any]) -> Spent:
    usd, tokens, unpriced = 0.0, 0, 0
    for row in rows:
        usd += row["cost_usd"]
        tokens += row["tokens"]
        unpriced += row["unpriced"]
    return Spent(name, usd, tokens, unpriced)


def _by_agent(db: Db, days: set[str]) -> tuple[Spent, ...]:
    """By the days that are kept for each agent."""
    found: dict[str, list[Any]] = {}
    sql = "SELECT key, cost_usd, tokens, unpriced FROM budgets WHERE scope = 'agent'"
    for row in db.execute(sql):
        name, _, day = row["key"].rpartition(" ")
        if day in days:
            found.setdefault(name, []).append(row)
    sums = [_sum(name, rows) for name, rows in found.items()]
    return tuple(sorted(sums, key=lambda one: (-one.usd, -one.tokens, one.name))[:5])


def _by(db: Db, what: str, since: int) -> tuple[Spent, ...]:
    return tuple(
        Spent(row["name"], row["usd"], row["tokens"])
        for row in db.execute(_SESSIONS.format(what=what), (since,))
    )


def _unpriced(db: Db) -> tuple[str, ...]:
    sql = "SELECT key FROM meta WHERE key >= 'unpriced:' AND key < 'unpriced;' ORDER BY key LIMIT 5"
    return tuple(row[0].partition(":")[2] for row in db.execute(sql))


def _days(now: int, timezone: str, count: int) -> list[str]:
    """The last calendar days, today first."""
    today = datetime.fromtimestamp(now / 1000, _zone(timezone)).date()
    return [(today - timedelta(days=back)).isoformat() for back in range(count)]


def _midnight(now: int, timezone: str, days: int) -> int:
    """When the first of the last days began, ms since the epoch."""
    first = datetime.fromisoformat(_days(now, timezone, days)[-1])
    return round(first.replace(tzinfo=_zone(timezone)).timestamp() * 1000)


def _zone(name: str) -> tzinfo:
    return UTC if name == "UTC" else ZoneInfo(name)
