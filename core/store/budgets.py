"""What was spent and what may be, a row for each scope and key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from core.model import Gate, Task
from core.planning.budgets import Amount
from core.store import gates, rows
from core.store.database import Tx

LARGEST_TOKENS, LARGEST_USD = 10**15, 1e12
"""No sum is larger: thousands of such still fit into SQLite's integers, and into JSON's."""


@dataclass(frozen=True, slots=True)
class Spent:
    """One budget's row. `more_*`: granted on top; `asked_*`: the limit its gate was
    opened for, or at which it stopped; below zero when a person's answer was to stop."""

    scope: str
    key: str
    tokens: int = 0
    cost_usd: float = 0.0
    unpriced: int = 0
    more_tokens: int = 0
    more_usd: float = 0.0
    asked_tokens: int = 0
    asked_usd: float = 0.0
    stopped: bool = False

    def asked_for(self, limit: Amount) -> bool:
        """Whether its gate was opened for just this limit already, or it stopped at it."""
        asked = (abs(self.asked_tokens), abs(self.asked_usd))
        return asked == (limit.tokens or 0, limit.usd or 0.0)

    def refused(self, limit: Amount) -> bool:
        """Whether a person said that just this limit is all there is."""
        return (self.asked_tokens < 0 or self.asked_usd < 0) and self.asked_for(limit)


def get(tx: Tx, scope: str, key: str) -> Spent:
    """The row; nothing spent yet where there is none."""
    row = tx.one("SELECT * FROM budgets WHERE scope = ? AND key = ?", (scope, key))
    return Spent(scope, key) if row is None else _spent(row)


def _spent(row: Any) -> Spent:
    return Spent(
        row["scope"],
        row["key"],
        row["tokens"],
        row["cost_usd"],
        row["unpriced"],
        row["more_tokens"],
        row["more_usd"],
        row["asked_tokens"],
        row["asked_usd"],
        bool(row["stopped"]),
    )


def stopped(tx: Tx) -> list[Spent]:
    """Those that are used up, with all that they hold."""
    sql = "SELECT * FROM budgets INDEXED BY budgets_stopped WHERE stopped = 1"
    return [_spent(row) for row in tx.all(sql)]


def add(tx: Tx, scope: str, key: str, tokens: int, usd: float, unpriced: int) -> Spent:
    """Add what was spent. A correction may take away, but not more than there is; and no sum
    grows beyond the largest."""
    tx.run(
        "INSERT INTO budgets (scope, key, tokens, cost_usd, unpriced, updated_at) "
        "VALUES (?, ?, max(?, 0), max(?, 0.0), max(?, 0), ?) "
        "ON CONFLICT (scope, key) DO UPDATE SET tokens = min(max(0, tokens + ?), ?), "
        "cost_usd = min(max(0.0, cost_usd + ?), ?), unpriced = min(max(0, unpriced + ?), ?), "
        "updated_at = excluded.updated_at",
        (
            *(scope, key, tokens, float(usd), unpriced, tx.now),
            *(tokens, LARGEST_TOKENS, float(usd), LARGEST_USD, unpriced, LARGEST_TOKENS),
        ),
    )
    return get(tx, scope, key)


def add_to(tx: Tx, table: str, key: int, tokens: int, usd: float) -> None:
    """The same for what a row of `tasks` or `runs` has spent."""
    tx.run(
        f"UPDATE {table} SET tokens = min(max(0, tokens + ?), ?), "  # noqa: S608 - our own names
        "cost_usd = min(max(0.0, cost_usd + ?), ?) WHERE id = ?",
        (tokens, LARGEST_TOKENS, float(usd), LARGEST_USD, key),
    )


def change(tx: Tx, spent: Spent, **values: Any) -> Spent:
    """Set columns of a row that is there."""
    tx.update("budgets", {"scope": spent.scope, "key": spent.key}, updated_at=tx.now, **values)
    return get(tx, spent.scope, spent.key)


def open_gate(tx: Tx, scope: str, key: str) -> Gate | None:
    """The gate that waits for a person over this budget."""
    row = tx.one(
        "SELECT * FROM gates INDEXED BY gates_one_budget WHERE state = 'open' "
        "AND kind = 'budget' AND scope = ? AND subject = ?",
        (scope, key),
    )
    return None if row is None else rows.gate(row)


def close_gate(tx: Tx, scope: str, key: str, why: str) -> None:
    """Nobody is asked about it any more."""
    gate = open_gate(tx, scope, key)
    if gate is not None:
        gates.cancel(tx, gate, why)


def over(tx: Tx, scope: str, key: str, why: str) -> None:
    """Nothing waits for it any more: its gate is off, and it stops nothing."""
    close_gate(tx, scope, key, why)
    tx.run(
        "UPDATE budgets SET stopped = 0 WHERE scope = ? AND key = ? AND stopped = 1", (scope, key)
    )


def open_gates(tx: Tx) -> list[Gate]:
    sql = "SELECT * FROM gates INDEXED BY gates_one_budget WHERE state = 'open' AND kind = 'budget'"
    return [rows.gate(row) for row in tx.all(sql)]


def held_tasks(tx: Tx, reason: str) -> list[tuple[Task, str]]:
    """Tasks with a session that rest for that reason, each once, and the session's id: the one
    that was stopped, or goes on next."""
    found: dict[int, tuple[Task, str]] = {}
    for row in tx.all(
        "SELECT tasks.*, sessions.id AS session FROM sessions INDEXED BY sessions_open "
        "JOIN tasks ON tasks.id = sessions.task_id "
        "JOIN task_reasons ON task_reasons.task_id = tasks.id AND task_reasons.reason = ? "
        "WHERE sessions.state <> 'terminated' AND tasks.state = 'blocked' "
        "ORDER BY sessions.held_for IS NULL, sessions.step <> tasks.step, "
        "sessions.created_at DESC",
        (reason,),
    ):
        found.setdefault(row["id"], (rows.task(row), row["session"]))
    return list(found.values())


def held_unbegun(tx: Tx) -> list[Task]:
    """Tasks that nobody has, held by a budget of their own before they are claimed."""
    return [
        rows.task(row)
        for row in tx.all(
            "SELECT tasks.* FROM tasks INDEXED BY tasks_active "
            "JOIN task_reasons ON task_reasons.task_id = tasks.id "
            "AND task_reasons.reason = 'budget' "
            "WHERE tasks.state IN ('planning', 'in_flight', 'review', 'blocked') "
            "AND tasks.state = 'blocked' AND NOT EXISTS (SELECT 1 FROM sessions "
            "WHERE sessions.task_id = tasks.id AND sessions.state <> 'terminated')"
        )
    ]
