"""A task is paused by a person, and let go on."""

from __future__ import annotations

from core import holding, limits
from core.acts.standing import situation
from core.errors import Refused
from core.house import House
from core.lifecycle import Act, decide
from core.model import Task
from core.store import budgets, sessions, tasks
from core.store.database import Tx


def pause(tx: Tx, house: House, task: Task) -> Task:
    """Its agent is stopped; pausing twice changes nothing more."""
    return holding.hold_task(tx, house, task, "paused")


def resume(tx: Tx, house: House, task: Task) -> tuple[Task, str]:
    """Lift what a person may lift: the pause, and the rest at a usage limit (with it the whole
    account's: it is tried again now). Returns why it waits still, in words, or nothing. Raises
    Refused where neither holds it."""
    decide(situation(tx, house, task), Act.RESUME, task.id)
    before = holding.reasons(tx, task)
    if not {"paused", "limit"} & set(before):
        raise Refused(f"{task.ref} is not paused. {_still(tx, task, before)}")
    if "limit" in before:
        for session in sessions.open_of_task(tx, task.id):
            limits.lift(tx, house, limits.account_of(session))
    for reason in ("limit", "paused"):
        task = tasks.get(tx, task.id)
        if reason in holding.reasons(tx, task):
            task = holding.let_go(tx, house, task, reason)
    return task, waits_for(tx, task)


def waits_for(tx: Tx, task: Task) -> str:
    """What a blocked task waits for, and what to type."""
    return _still(tx, task, holding.reasons(tx, task))


def _still(tx: Tx, task: Task, left: list[str]) -> str:
    asked = ", ".join(f"/approve {gate.ref}" for gate in budgets.open_gates(tx))
    words = {
        "budget": "Its budget is used up" + (f": {asked}" if asked else "") + ".",
        "paused": f"It is paused: /resume {task.id} lets it go on.",
        "dependency": f"It waits for the tasks before it: /task {task.id}",
        "question": f"It waits for an answer: /task {task.id}",
    }
    return " ".join(words[reason] for reason in left if reason in words)
