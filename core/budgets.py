"""What was spent, what may be, and what stops when it is used up (model.md, rule 9).

At the warning's share a gate opens, and work goes on; at all of it the sessions of that scope
are held until the gate is answered.
"""

from __future__ import annotations

from core import holding
from core.budget_gates import ask, at_work, refresh
from core.cards.budget import spoken
from core.days import day_of
from core.house import House
from core.model import (
    ENDED,
    Event,
    Gate,
    Session,
    SessionState,
    Severity,
    Task,
    TaskState,
)
from core.planning import budgets as planning
from core.planning.budgets import Level
from core.scopes import Scope, named, scopes
from core.store import budgets, sessions, tasks
from core.store.budgets import Spent
from core.store.database import Tx

_LIVE = (SessionState.STARTING, SessionState.RUNNING)


# -- spending --------------------------------------------------------------------------------


def spend(
    tx: Tx, house: House, session: Session, tokens: int, usd: float, unpriced: int = 0
) -> None:
    """Count what a session has spent since it was asked last; `unpriced`: those of `tokens` whose
    cost nobody knows. Warns, and stops what is used up."""
    task = tasks.get(tx, session.task_id)
    for table, key in (("tasks", task.id), ("runs", task.run_id)):
        if key is not None:
            budgets.add_to(tx, table, key, tokens, usd)
    for scope in scopes(tx, house, task, session.agent):
        spent = budgets.add(tx, scope.name, scope.key, tokens, usd, unpriced)
        if scope.name != "task" or not _ended(task):
            _judge(tx, house, scope, spent)


def _ended(task: Task) -> bool:
    """Whether nothing of it can be held, or asked for: what comes in late is only counted."""
    return task.state in ENDED or task.state is TaskState.FAILED


def _judge(tx: Tx, house: House, scope: Scope, spent: Spent) -> None:
    limit = scope.now(spent)
    found = planning.level(spent.tokens, spent.cost_usd, limit, house.policy.warn_at)
    if found is Level.OVER:
        _exceeded(tx, house, scope, spent)
    elif found is Level.WARN and not spent.asked_for(limit):
        gate = budgets.open_gate(tx, scope.name, scope.key) or ask(tx, house, scope, spent)
        _emit(tx, scope, "budget.warned", f"{scope.title}: {_used(scope, spent)}", gate)


def _exceeded(tx: Tx, house: House, scope: Scope, spent: Spent) -> None:
    """All of it is spent: what is at work is held, and a person is asked."""
    first = not spent.stopped
    spent = _stop(tx, scope, spent)
    held = _hold_all(tx, house, scope)
    gate = budgets.open_gate(tx, scope.name, scope.key)
    if gate is not None:
        refresh(tx, house, scope, spent, gate)
    if not first:
        if held and gate is None and not spent.refused(scope.now(spent)):
            ask(tx, house, scope, spent)
        return
    words = f"{scope.title} is used up: {_used(scope, spent)}"
    if gate is not None:
        loud = f"{words}. Work stops until {gate.ref} is answered."
        _emit(tx, scope, "budget.exceeded", loud, gate, Severity.WARNING)
    else:
        _emit(tx, scope, "budget.exceeded", words, ask(tx, house, scope, spent) if held else None)


def _stop(tx: Tx, scope: Scope, spent: Spent) -> Spent:
    """It stops what counts against it, until its limit is another one, or its time is over."""
    limit = scope.now(spent)
    if spent.asked_for(limit):
        return spent if spent.stopped else budgets.change(tx, spent, stopped=1)
    asked = {"asked_tokens": limit.tokens or 0, "asked_usd": limit.usd or 0.0}
    return budgets.change(tx, spent, stopped=1, **asked)


def _used(scope: Scope, spent: Spent) -> str:
    return f"{spoken(spent.tokens, spent.cost_usd, scope.now(spent))} spent"


def _emit(
    tx: Tx,
    scope: Scope,
    kind: str,
    words: str,
    gate: Gate | None,
    severity: Severity = Severity.INFO,
) -> None:
    tx.emit(
        Event(
            kind,
            words,
            severity,
            task_id=scope.task_id,
            agent=scope.agent,
            run_id=scope.run_id,
            gate_id=gate.id if gate else None,
            payload={"scope": scope.name, "subject": scope.key},
        )
    )


def _hold_all(tx: Tx, house: House, scope: Scope) -> int:
    """Hold every session of the scope that is at work, but for those that may finish; how many
    rest for it now, also those that rested already."""
    held = 0
    for session in at_work(tx):
        if session.unstoppable or session.state not in _LIVE:
            continue
        task = tasks.get(tx, session.task_id)
        if scope.holds(task, session.agent):
            already = session.held_for is not None and task.state is TaskState.BLOCKED
            held += already or holding.try_to_hold(tx, house, task, "budget")
    return held


# -- used up ---------------------------------------------------------------------------------


def refuse(tx: Tx, scope: Scope) -> None:
    """A person said that there is no more: nobody is asked again for this limit. A task's own
    budget is asked for again when somebody tries the task again."""
    if scope.name == "task":
        return
    spent = budgets.get(tx, scope.name, scope.key)
    limit = scope.now(spent)
    asked = {"asked_tokens": -(limit.tokens or 0), "asked_usd": -(limit.usd or 0.0)}
    budgets.change(tx, spent, stopped=1, **asked)


def stopped(tx: Tx, house: House, task: Task, agent: str) -> str | None:
    """Why this task must not be worked on by that agent now; None: it may."""
    scope = _used_up(tx, house, task, agent)
    return None if scope is None else f"{scope.title} is used up"


def _used_up(tx: Tx, house: House, task: Task, agent: str) -> Scope | None:
    for scope in scopes(tx, house, task, agent):
        if not scope.limit.none and _over(tx, house, scope):
            return scope
    return None


def _over(tx: Tx, house: House, scope: Scope) -> bool:
    """Whether all of it is spent, or was at this limit: that less was spent, as it turned out,
    lets nothing go."""
    spent = budgets.get(tx, scope.name, scope.key)
    limit = scope.now(spent)
    if limit.none:
        return False
    found = planning.level(spent.tokens, spent.cost_usd, limit, house.policy.warn_at)
    return found is Level.OVER or (spent.stopped and spent.asked_for(limit))


def refuses(tx: Tx, house: House, task: Task, agent: str) -> str | None:
    """The scope (`task`, `run`, `agent`, `day`) whose used-up budget refuses this work; a person
    is asked where nobody is asked yet, nobody said to stop at this limit, and nothing of that
    scope is just being finished."""
    scope = _used_up(tx, house, task, agent)
    if scope is None:
        return None
    spent = _stop(tx, scope, budgets.get(tx, scope.name, scope.key))
    asked = spent.refused(scope.now(spent)) or budgets.open_gate(tx, scope.name, scope.key)
    if not asked and not _finishing(tx, scope):
        ask(tx, house, scope, spent)
    return scope.name


def _finishing(tx: Tx, scope: Scope) -> bool:
    return any(
        session.unstoppable and scope.holds(tasks.get(tx, session.task_id), session.agent)
        for session in at_work(tx)
    )


def holds_back(tx: Tx, house: House, session: Session) -> bool:
    """Whether a suspended session must wait, its budget being used up: its task is held then."""
    task = tasks.get(tx, session.task_id)
    if session.unstoppable or refuses(tx, house, task, session.agent) is None:
        return False
    return holding.try_to_hold(tx, house, task, "budget")


def roll_over(tx: Tx, house: House) -> int:
    """Let go what the budget of an earlier day or an ended run held, or one that is larger now;
    how many budgets."""
    today = day_of(tx.now, house.policy.timezone)
    freed = 0
    for spent in budgets.stopped(tx):
        scope = named(tx, house, spent.scope, spent.key)
        past = spent.scope in ("agent", "day") and not spent.key.endswith(today)
        past = past or (spent.scope == "run" and not _is_open(tx, int(spent.key)))
        past = past or (spent.scope == "task" and _has_ended(tx, int(spent.key)))
        if past or scope is None or not _over(tx, house, scope):
            why = "its time is over" if past else "there is more now"
            budgets.over(tx, spent.scope, spent.key, why)
            freed += 1
    if freed:
        release(tx, house)
    return freed


def _has_ended(tx: Tx, task_id: int) -> bool:
    task = tasks.find(tx, task_id)
    return task is not None and _ended(task)


def _is_open(tx: Tx, run_id: int) -> bool:
    return bool(tx.value("SELECT ended_at IS NULL FROM runs WHERE id = ?", (run_id,)))


def release(tx: Tx, house: House) -> list[Task]:
    """Let go whatever no used-up budget holds any more."""
    gone = []
    for task, session_id in budgets.held_tasks(tx, "budget"):
        session = sessions.get(tx, session_id)
        fresh = tasks.get(tx, task.id)
        held = "budget" in holding.reasons(tx, fresh)
        if held and (session.unstoppable or not refuses(tx, house, fresh, session.agent)):
            gone.append(holding.let_go(tx, house, fresh, "budget"))
    for task in budgets.held_unbegun(tx):
        scope = named(tx, house, "task", str(task.id))
        if scope is None or not _over(tx, house, scope):
            gone.append(holding.let_go(tx, house, task, "budget"))
    return gone
