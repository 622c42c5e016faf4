"""A task that rests for a while: paused by a person, at a usage limit, or out of budget.

Its process is stopped by the session's keeper; once nothing is left of it the session is
suspended, and goes on where it stopped when the last reason is lifted.
"""

from __future__ import annotations

from core import lifecycle
from core.acts.standing import situation
from core.errors import BullpenError
from core.house import House
from core.lifecycle import Act
from core.model import Event, GateKind, Session, SessionState, Severity, Task
from core.store import gates, sessions, tasks
from core.store.database import Tx

ACTS = {"paused": Act.PAUSE, "limit": Act.LIMIT, "budget": Act.BUDGET}
WORDS = {
    "paused": "it was paused",
    "limit": "the usage limit was reached",
    "budget": "its budget was used up",
}
"""Why somebody was interrupted."""


def hold_task(tx: Tx, house: House, task: Task, reason: str) -> Task:
    """Block it for that reason (`paused`, `limit`, `budget`), and let its process be stopped.
    Raises Refused where there is nothing to hold."""
    lifecycle.decide(situation(tx, house, task), ACTS[reason], task.id)
    task = tasks.block(tx, task, reason)
    for session in sessions.open_of_task(tx, task.id):
        if session.state in (SessionState.STARTING, SessionState.RUNNING):
            _hold_session(tx, session, reason)
    return task


def try_to_hold(tx: Tx, house: House, task: Task, reason: str) -> bool:
    """The same, where it may well be that nothing of it can be held."""
    try:
        with tx.attempt():
            hold_task(tx, house, task, reason)
    except BullpenError:
        return False
    return True


def _hold_session(tx: Tx, session: Session, reason: str) -> None:
    """Marked in the rows; the keeper does the rest. Nobody waits for an answer any more."""
    for gate in gates.open_gates(tx, session.task_id):
        if gate.session_id == session.id and gate.kind in (GateKind.PERMISSION, GateKind.QUESTION):
            gates.cancel(tx, gate, WORDS[reason])
    tx.run("UPDATE sessions SET held_for = ? WHERE id = ?", (reason, session.id))
    sessions.tell(
        tx,
        session,
        "session.suspending",
        f"{session.agent} is being stopped: {WORDS[reason]}",
        Severity.DEBUG,
    )


def let_go(tx: Tx, house: House, task: Task, reason: str) -> Task:
    """Lift that reason; with the last one gone the task is back where it was."""
    task = tasks.lift(tx, task, reason)
    tx.emit(Event("task.status_changed", f"{task.ref} goes on", Severity.DEBUG, task_id=task.id))
    return task


def reasons(tx: Tx, task: Task) -> list[str]:
    """Why it is blocked."""
    sql = "SELECT reason FROM task_reasons WHERE task_id = ? ORDER BY reason"
    return [str(row[0]) for row in tx.all(sql, (task.id,))]
