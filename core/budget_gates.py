"""The question that a budget's gate asks: more, only this step, or stop; and what it foretells."""

from __future__ import annotations

from collections.abc import Mapping

from core.house import House
from core.model import Gate, GateKind, Session, SessionState
from core.planning import budgets as planning
from core.planning.budgets import Amount
from core.scopes import Scope
from core.store import budgets, gates, rows, tasks
from core.store.budgets import Spent
from core.store.database import Tx


def ask(tx: Tx, house: House, scope: Scope, spent: Spent) -> Gate | None:
    """Open its gate: more, only this step, or stop."""
    limit = scope.now(spent)
    budgets.change(tx, spent, asked_tokens=limit.tokens or 0, asked_usd=limit.usd or 0.0)
    return gates.open_gate(
        tx,
        gates.NewGate(
            GateKind.BUDGET,
            scope.task_id,
            scope.title,
            scope=scope.name,
            subject=scope.key,
            run_id=scope.run_id,
            agent=scope.agent,
            request=_request(tx, house, scope, spent),
        ),
    )


def _request(tx: Tx, house: House, scope: Scope, spent: Spent) -> Mapping[str, object]:
    """What the gate's card shows and offers."""
    limit = scope.now(spent)
    more = planning.step(spent.tokens, spent.cost_usd, limit, house.policy.warn_at)
    return {
        "limit_tokens": limit.tokens,
        "limit_usd": limit.usd,
        "more_tokens": more.tokens,
        "more_usd": more.usd,
        "lasts": None if spent.stopped else _lasts(tx, scope, spent, limit),
    }


def refresh(tx: Tx, house: House, scope: Scope, spent: Spent, gate: Gate) -> None:
    """What its card shows and offers, as it is now."""
    gates.rewrite(tx, gate, _request(tx, house, scope, spent))


def _lasts(tx: Tx, scope: Scope, spent: Spent, limit: Amount) -> int | None:
    """In how many ms it is used up, by the pace of the last attempts in it."""
    in_usd = limit.usd is not None
    left = (limit.usd or 0) - spent.cost_usd if in_usd else (limit.tokens or 0) - spent.tokens
    working = [
        session
        for session in at_work(tx)
        if session.state is SessionState.RUNNING
        and scope.holds(tasks.get(tx, session.task_id), session.agent)
    ]
    what = "cost_usd" if in_usd else "tokens_in + tokens_out"
    paces = [
        (row[0], row[1])
        for session in working[:5]
        for row in tx.all(
            f"SELECT {what}, coalesce(ended_at, ?) - started_at FROM attempts "  # noqa: S608
            "WHERE session_id = ? AND started_at IS NOT NULL ORDER BY number DESC LIMIT 5",
            (tx.now, session.id),
        )
    ]
    return planning.lasts(left, paces, len(working))


def at_work(tx: Tx) -> list[Session]:
    sql = "SELECT * FROM sessions INDEXED BY sessions_open WHERE state <> 'terminated'"
    return [rows.session(row) for row in tx.all(sql)]
