"""Where a task stands, for whoever is about to do something to it."""

from __future__ import annotations

from core import lifecycle
from core.house import House
from core.lifecycle import Situation
from core.model import GateKind, StepKind, Task
from core.store import gates, sessions
from core.store.database import Tx


def situation(tx: Tx, house: House, task: Task) -> Situation:
    """Where the task stands, from its rows."""
    step = house.step(task)
    session = sessions.of_step(tx, task.id, step.session or step.id)
    iteration = sessions.get_iteration(tx, session.id) if session else None
    waiting = [gate for gate in gates.open_gates(tx, task.id) if gate.kind is not GateKind.BUDGET]
    return lifecycle.situation(
        task.state,
        session.state if session else None,
        iteration.state if iteration else None,
        waiting[0].kind if waiting else None,
        step.kind is StepKind.FORGE,
    )
