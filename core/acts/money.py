"""Answers to a budget that is nearly, or wholly, used up: more, only this step, or stop."""

from __future__ import annotations

import re

from core import budgets, holding
from core.acts.ends import stop_session
from core.acts.standing import situation
from core.budget_gates import at_work
from core.cards.budget import amount
from core.errors import Refused, Unclear
from core.house import House
from core.lifecycle import TABLE, Act, Move
from core.model import (
    ENDED,
    Actor,
    Event,
    Gate,
    GateState,
    Place,
    Session,
    SessionState,
    Task,
    TaskState,
)
from core.planning import budgets as planning
from core.planning.budgets import Amount, Level
from core.scopes import Scope, named
from core.store import budgets as rows
from core.store import gates, tasks
from core.store.budgets import Spent
from core.store.database import Tx

FINISH = re.compile(r"finish(\s+(this|the)\s+step)?\W*", re.IGNORECASE)
_LIVE = (SessionState.STARTING, SessionState.RUNNING)


def offered(gate: Gate) -> Amount:
    """How much more the gate's first button grants."""
    return Amount(gate.request.get("more_tokens"), gate.request.get("more_usd"))


def grant(
    tx: Tx, house: House, gate: Gate, actor: Actor, place: Place, more: Amount
) -> tuple[Gate, str]:
    """So much more, on top; what it held goes on. Refused where that is not enough."""
    scope, spent = _budget(tx, house, gate)
    now = scope.now(spent)
    if (more.tokens and now.tokens is None) or (more.usd and now.usd is None):
        unit = "USD" if now.tokens is None else "tokens"
        raise Unclear(f"{gate.ref} counts {unit}: /approve {gate.ref} +{amount(offered(gate))}")
    limit = now.plus(more.tokens or 0, more.usd or 0.0)
    found = planning.level(spent.tokens, spent.cost_usd, limit, house.policy.warn_at)
    if found is Level.OVER:
        enough = amount(planning.step(spent.tokens, spent.cost_usd, now, house.policy.warn_at))
        raise Refused(
            f"+{amount(more)} is not enough, more is spent already: /approve {gate.ref} +{enough}"
        )
    words = f"+{amount(more)}"
    closed = gates.close(tx, gate, GateState.APPROVED, actor=actor, place=place, answer=words)
    rows.change(
        tx,
        rows.get(tx, scope.name, scope.key),
        more_tokens=spent.more_tokens + (more.tokens or 0),
        more_usd=spent.more_usd + (more.usd or 0.0),
        stopped=0,
    )
    return closed, _gone_on(budgets.release(tx, house))


def finish(tx: Tx, house: House, gate: Gate, actor: Actor, place: Place) -> tuple[Gate, str]:
    """What is under way, or held, is finished whatever it costs; nothing else is begun."""
    scope, _ = _budget(tx, house, gate)
    words = "finish this step"
    closed = gates.close(tx, gate, GateState.APPROVED, actor=actor, place=place, answer=words)
    for session in _under_way(tx, scope):
        tx.run("UPDATE sessions SET unstoppable = 1 WHERE id = ?", (session.id,))
    gone = budgets.release(tx, house)
    return closed, "This step is finished, then it stops. " + _gone_on(gone)


def stop(
    tx: Tx, house: House, gate: Gate, actor: Actor, place: Place, reason: str
) -> tuple[Gate, str]:
    """What is under way, or held, ends: its tasks fail for `budget`, their branches are kept."""
    scope, _ = _budget(tx, house, gate)
    closed = gates.close(tx, gate, GateState.REJECTED, actor=actor, place=place, answer=reason)
    budgets.refuse(tx, scope)
    stopped = []
    for task in _tasks(tx, scope):
        if _fail(tx, house, task, actor):
            stopped.append(task.ref)
    words = f"Stopped {', '.join(stopped)}; the branch is kept." if stopped else "Stopped."
    return closed, " ".join(filter(None, (words, _others(scope))))


# -- whom it concerns ------------------------------------------------------------------------


def _budget(tx: Tx, house: House, gate: Gate) -> tuple[Scope, Spent]:
    scope = named(tx, house, gate.scope, gate.subject or "")
    if scope is None:
        raise Refused(f"{gate.ref}: what it is about is gone.")
    return scope, rows.get(tx, scope.name, scope.key)


def _under_way(tx: Tx, scope: Scope) -> list[Session]:
    """The scope's sessions that are at work, or held by their budget, or about to go on."""
    return [
        session
        for session in at_work(tx)
        if session.state is not SessionState.TERMINATING
        and scope.holds(task := tasks.get(tx, session.task_id), session.agent)
        and (
            session.state in _LIVE or scope.name == "task" or "budget" in holding.reasons(tx, task)
        )
    ]


def _tasks(tx: Tx, scope: Scope) -> list[Task]:
    ids = dict.fromkeys(session.task_id for session in _under_way(tx, scope))
    if scope.task_id is not None:
        ids[scope.task_id] = None
    return [tasks.get(tx, task_id) for task_id in ids]


def _fail(tx: Tx, house: House, task: Task, actor: Actor) -> bool:
    """No retry, and the queue goes on: it was decided, it didn't happen."""
    if task.state in ENDED or task.state in (TaskState.FAILED, TaskState.INBOX):
        return False
    if not isinstance(TABLE[situation(tx, house, task)][Act.KILL], Move):
        task = tasks.block(tx, task, "budget")  # ready only: nothing of it runs
    for gate in gates.open_gates(tx, task.id):
        gates.cancel(tx, gate, "its budget is used up")
    for session in at_work(tx):
        if session.task_id == task.id:
            stop_session(tx, session, "budget")
    task = tasks.move(tx, task, TaskState.FAILED, failure="budget")
    words = f"{task.ref} was stopped by {actor.name or actor.user_id}: its budget is used up"
    payload = {"by": actor.key, "reason": "budget", "act": "kill"}
    tx.emit(Event("task.failed", words, task_id=task.id, payload=payload))
    return True


# -- in words --------------------------------------------------------------------------------


def _others(scope: Scope) -> str:
    """What becomes of the rest of it after a stop, and what to type for another end."""
    if scope.name == "run":
        return f"No more of it begins. End it: /stop RUN-{scope.run_id}"
    if scope.name == "agent":
        more = f"/agent set {scope.agent} --budget AMOUNT"
        return f"{scope.agent} begins nothing more that day. For more: {more}"
    if scope.name == "day":
        unit = "day_usd" if scope.limit.usd is not None else "day_tokens"
        return f"Nothing more begins that day. For more: /set budget.{unit} AMOUNT"
    return ""


def _gone_on(gone: list[Task]) -> str:
    return ", ".join(task.ref for task in gone) + " goes on." if gone else "Work goes on."
