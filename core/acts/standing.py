"""Where a task stands, for whoever is about to do something to it."""

from __future__ import annotations

from core import lifecycle
from core.errors import Unclear
from core.house import House
from core.lifecycle import Situation
from core.model import GateKind, Session, StepKind, Task
from core.store import gates, sessions
from core.store.database import Tx


def situation(tx: Tx, house: House, task: Task) -> Situation:
    """Where the task stands, from its rows."""
    session, forging = _at_work(tx, house, task)
    iteration = sessions.get_iteration(tx, session.id) if session else None
    waiting = [gate for gate in gates.open_gates(tx, task.id) if gate.kind is not GateKind.BUDGET]
    return lifecycle.situation(
        task.state,
        session.state if session else None,
        iteration.state if iteration else None,
        waiting[0].kind if waiting else None,
        forging,
    )


def _at_work(tx: Tx, house: House, task: Task) -> tuple[Session | None, bool]:
    """The session of its step, and whether that is a forge's. A step that the configuration no
    longer has tells nothing: then the newest open session counts, so that it can be ended."""
    try:
        step = house.step(task)
    except Unclear:
        left = sessions.open_of_task(tx, task.id)
        return max(left, key=lambda one: one.created_at, default=None), False
    found = sessions.of_step(tx, task.id, step.session or step.id)
    return found, step.kind is StepKind.FORGE
