"""How people end a task, and what of it is under way."""

from __future__ import annotations

from core import lifecycle, queue
from core.acts.standing import situation
from core.errors import Refused
from core.house import House
from core.lifecycle import Act
from core.model import (
    Actor,
    Event,
    IterationState,
    Session,
    SessionOutcome,
    SessionState,
    Task,
    TaskState,
)
from core.store import gates, sessions, tasks
from core.store.database import Tx


def end(tx: Tx, house: House, task: Task, act: Act, actor: Actor, why: str) -> Task:
    """Kill, cancel or done: the task's end, and with it whatever it has under way."""
    move = lifecycle.decide(situation(tx, house, task), act, task.id)
    if move.task is None:
        raise Refused(f"{task.ref} stays as it is.")
    for gate in gates.open_gates(tx, task.id):
        gates.cancel(tx, gate, why)
    for session in sessions.open_of_task(tx, task.id):
        stop_session(tx, session, why)
    changes = {"failure": why} if move.task is TaskState.FAILED else {}
    task = tasks.move(tx, task, move.task, **changes)
    queue.settled(tx, task)
    kind = {Act.KILL: "task.failed", Act.CANCEL: "task.cancelled", Act.DONE: "task.completed"}
    tx.emit(
        Event(
            kind[act],
            f"{task.ref} {words_of(act)} by {actor.name or actor.user_id}",
            task_id=task.id,
            payload={"by": actor.key, "reason": why, "act": act.value},
        )
    )
    return task


def words_of(act: Act) -> str:
    return {Act.KILL: "killed", Act.CANCEL: "cancelled", Act.DONE: "marked done"}[act]


def stop_session(tx: Tx, session: Session, why: str) -> None:
    """End it as killed; a process is stopped first, by the session's keeper."""
    sessions.close_iteration(tx, session.id, IterationState.KILLED, why)
    if session.state is SessionState.SUSPENDED:
        sessions.end(tx, session, SessionOutcome.KILLED, why)
    elif session.state in (SessionState.STARTING, SessionState.RUNNING):
        sessions.move(
            tx, session, SessionState.TERMINATING, outcome=SessionOutcome.KILLED.value, reason=why
        )
        tx.emit(
            Event(
                "session.terminating",
                f"{session.id} is being stopped: {why}",
                task_id=session.task_id,
                session_id=session.id,
                agent=session.agent,
            )
        )
