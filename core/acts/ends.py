"""How people end a task, and what of it is under way."""

from __future__ import annotations

from collections.abc import Sequence

from core import lifecycle, queue
from core.acts.beginnings import agent_step
from core.acts.standing import situation
from core.errors import Refused
from core.house import House
from core.lifecycle import Act
from core.model import (
    Actor,
    Event,
    GateKind,
    IterationState,
    Session,
    SessionOutcome,
    SessionState,
    Task,
    TaskState,
)
from core.ports import Exit
from core.store import budgets, gates, sessions, tasks, unmet
from core.store.database import Tx
from core.store.givenup import give_up


def end(tx: Tx, house: House, task: Task, act: Act, actor: Actor, why: str) -> Task:
    """Kill, cancel or done: the task's end, and with it whatever it has under way."""
    move = lifecycle.decide(situation(tx, house, task), act, task.id)
    if move.task is None:
        raise Refused(f"{task.ref} stays as it is.")
    _stop_all(tx, task, why)
    changes = {"failure": why} if move.task is TaskState.FAILED else {}
    task = tasks.move(tx, task, move.task, **changes)
    queue.settled(tx, task)
    waiting = "" if move.task is TaskState.DONE else unmet.waiting_words(tx, task.id)
    kind = {Act.KILL: "task.failed", Act.CANCEL: "task.cancelled", Act.DONE: "task.completed"}
    tx.emit(
        Event(
            kind[act],
            f"{task.ref} {words_of(act)} by {actor.name or actor.user_id}"
            + (f"; {waiting}" if waiting else ""),
            task_id=task.id,
            payload={"by": actor.key, "reason": why, "act": act.value, "waiting": waiting},
        )
    )
    return task


def words_of(act: Act) -> str:
    return {Act.KILL: "killed", Act.CANCEL: "cancelled", Act.DONE: "marked done"}[act]


def release(tx: Tx, house: House, task: Task, actor: Actor) -> Task:
    """Give it back: whoever has it stops, and it is ready for anybody at its agent's step. It
    is claimed again once the process is gone."""
    lifecycle.decide(situation(tx, house, task), Act.RELEASE, task.id)
    free = {"assignee": None, "assigned_step": None}
    if task.state is TaskState.READY:
        tx.update("tasks", {"id": task.id}, updated_at=tx.now, **free)
    else:
        step = agent_step(tx, house, task)
        _stop_all(tx, task, "released", but=GateKind.BUDGET)
        task = tasks.move(
            tx, task, TaskState.READY, step=step, hold=None, failure=None, not_before=None, **free
        )
        if _used_up(tx, task):
            return tasks.block(tx, task, "budget")
    words = f"{task.ref} was given back by {actor.name or actor.user_id}"
    tx.emit(Event("task.ready", words, task_id=task.id, payload={"by": actor.key}))
    return tasks.get(tx, task.id)


def _used_up(tx: Tx, task: Task) -> bool:
    """Whether a person is asked for more already: that question goes on to hold it."""
    key = str(task.id)
    asked = budgets.open_gate(tx, "task", key) is not None
    return asked and budgets.get(tx, "task", key).stopped


def _stop_all(tx: Tx, task: Task, why: str, but: GateKind | None = None) -> None:
    for gate in gates.open_gates(tx, task.id):
        if gate.kind is not but:
            gates.cancel(tx, gate, why)
    for session in sessions.open_of_task(tx, task.id):
        stop_session(tx, session, why)


def kill(tx: Tx, house: House, task: Task, actor: Actor) -> bool:
    """Stop what it has under way; what is being stopped already is ended by force. False where
    the force was all that was to do: the task stays as it is."""
    forced = force(tx, sessions.open_of_task(tx, task.id))
    if forced and isinstance(lifecycle.TABLE[situation(tx, house, task)][Act.KILL], str):
        return False
    end(tx, house, task, Act.KILL, actor, "killed")
    return True


def force(tx: Tx, found: Sequence[Session]) -> list[Session]:
    """End at once those of them that are being stopped; returns them."""
    stopping = [one for one in found if one.state is SessionState.TERMINATING]
    for session in stopping:
        tx.update("sessions", {"id": session.id}, forced=1)
        sessions.tell(tx, session, "session.terminating", f"{session.id} is ended by force")
    return stopping


def without_mercy(tx: Tx, task: Task, actor: Actor) -> list[str]:
    """End at once what is being stopped of it. What can't be reached counts as gone, on that
    person's word, which is recorded; returns those sessions."""
    found = [s for s in sessions.open_of_task(tx, task.id) if s.state is SessionState.TERMINATING]
    away = [session for session in found if session.unreachable_since is not None]
    force(tx, [session for session in found if session not in away and not session.forced])
    for session in away:
        _given_up(tx, session, actor)
    return [session.id for session in away]


def _given_up(tx: Tx, session: Session, actor: Actor) -> None:
    who = actor.name or actor.user_id
    end = Exit(reason="gone", error=f"{who} says so")
    attempt = sessions.get_attempt(tx, session.id)
    give_up(tx, attempt)
    sessions.attempt_ended(tx, attempt, end)
    why = f"it could not be reached, and {who} ({actor.key}) says that it is gone"
    sessions.close_iteration(tx, session.id, IterationState.FAILED, why)
    sessions.end(tx, session, SessionOutcome.LOST, why)


def stop_session(tx: Tx, session: Session, why: str) -> None:
    """End it as killed; a process is stopped first, by the session's keeper."""
    sessions.close_iteration(tx, session.id, IterationState.KILLED, why)
    if session.state is SessionState.SUSPENDED:
        sessions.end(tx, session, SessionOutcome.KILLED, why)
    elif session.state in (SessionState.STARTING, SessionState.RUNNING):
        sessions.move(
            tx, session, SessionState.TERMINATING, outcome=SessionOutcome.KILLED.value, reason=why
        )
        sessions.tell(tx, session, "session.terminating", f"{session.id} is being stopped: {why}")
