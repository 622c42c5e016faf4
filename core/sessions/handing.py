"""A session whose agent is no longer configured: another agent begins anew."""

from __future__ import annotations

from core.model import (
    Event,
    IterationState,
    Session,
    SessionOutcome,
    Severity,
    TaskState,
)
from core.store import sessions, tasks
from core.store.database import Tx


def hand_over(tx: Tx, session: Session) -> None:
    """It ends; the task is ready at its step, from its branch, with the prompt that waited.
    Nothing of the session runs: it is suspended, or its attempt has not started."""
    iteration = sessions.get_iteration(tx, session.id)
    first = iteration.number == 1
    sessions.close_iteration(tx, session.id, IterationState.KILLED, "its agent is gone")
    sessions.end(tx, session, SessionOutcome.COMPLETED, f"{session.agent} is no longer configured")
    task = tasks.move(
        tx,
        tasks.get(tx, session.task_id),
        TaskState.READY,
        step=session.step,
        assignee=None,
        hint=None if first else iteration.prompt,
    )
    tx.emit(
        Event(
            "task.ready",
            f"{task.ref}: {session.agent} is no longer configured, another may go on",
            Severity.WARNING,
            task_id=task.id,
        )
    )
