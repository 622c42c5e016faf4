"""Sessions, their attempts, iterations and inputs: rows and guarded moves."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from core import lifecycle
from core.errors import Refused
from core.model import (
    Agent,
    Attempt,
    AttemptState,
    Event,
    Iteration,
    IterationState,
    Session,
    SessionOutcome,
    SessionState,
    Severity,
    Task,
    WorktreeState,
)
from core.ports import Exit
from core.store import rows
from core.store.database import Tx


def begin(tx: Tx, task: Task, agent: Agent, prompt: str, worktree: str) -> Session:
    """A new session with its first attempt and iteration. `worktree` holds `{id}`."""
    session_id = f"{agent.name}-{secrets.token_hex(4)}"
    tx.insert(
        "sessions",
        id=session_id,
        task_id=task.id,
        step=task.step,
        agent=agent.name,
        driver=agent.driver,
        sandbox=agent.sandbox,
        account=agent.account,
        state=SessionState.STARTING.value,
        branch=task.branch,
        worktree=worktree.format(id=session_id),
        worktree_state=WorktreeState.CREATING.value,
        interactive=int(task.interactive),
        created_at=tx.now,
        last_activity_at=tx.now,
    )
    new_attempt(tx, session_id)
    new_iteration(tx, session_id, "first", prompt, IterationState.RUNNING)
    return get(tx, session_id)


def get(tx: Tx, session_id: str) -> Session:
    row = tx.one("SELECT * FROM sessions WHERE id = ?", (session_id,))
    if row is None:
        raise Refused(f"No session {session_id}.")
    return rows.session(row)


def of_step(tx: Tx, task_id: int, step: str) -> Session | None:
    """The newest session of that step which has not ended."""
    row = tx.one(
        "SELECT * FROM sessions WHERE task_id = ? AND step = ? AND state <> 'terminated' "
        "ORDER BY created_at DESC LIMIT 1",
        (task_id, step),
    )
    return None if row is None else rows.session(row)


def open_of_task(tx: Tx, task_id: int) -> list[Session]:
    return [
        rows.session(row)
        for row in tx.all(
            "SELECT * FROM sessions WHERE task_id = ? AND state <> 'terminated'", (task_id,)
        )
    ]


def stopping(tx: Tx) -> list[Session]:
    """Those whose process was asked to end, and has not ended."""
    sql = (
        "SELECT * FROM sessions INDEXED BY sessions_open "
        "WHERE state <> 'terminated' AND state = 'terminating'"
    )
    return [rows.session(row) for row in tx.all(sql)]


def move(tx: Tx, session: Session, to: SessionState, **values: Any) -> Session:
    """Guarded change of state; raises Refused when the table or the row says no."""
    lifecycle.check(session.id, session.state, to)
    if to is SessionState.TERMINATED:
        values["ended_at"] = tx.now
    if not tx.update(
        "sessions", {"id": session.id, "state": session.state.value}, state=to.value, **values
    ):
        raise Refused(f"{session.id} has just changed.")
    return get(tx, session.id)


def set_worktree(tx: Tx, session: Session, to: WorktreeState) -> Session:
    if session.worktree_state is to:
        return session
    lifecycle.check(f"The worktree of {session.id}", session.worktree_state, to)
    tx.update("sessions", {"id": session.id}, worktree_state=to.value)
    if session.borrowed is not None:
        _lent(tx, session.borrowed, to)
    return get(tx, session.id)


def _lent(tx: Tx, worktree: int, to: WorktreeState) -> None:
    """The worktree made by hand that it works in goes along; with its end it is given back."""
    kept = {WorktreeState.ACTIVE, WorktreeState.SUSPENDED, WorktreeState.MERGING}
    state = to if to in kept else WorktreeState.ACTIVE
    tx.run(
        "UPDATE worktrees SET state = ? WHERE id = ? AND state IN ('active','suspended','merging')",
        (state.value, worktree),
    )


def end(tx: Tx, session: Session, outcome: SessionOutcome, reason: str | None) -> Session:
    """Terminated, its worktree kept until it is proven safe to remove."""
    session = move(tx, session, SessionState.TERMINATED, outcome=outcome.value, reason=reason)
    archive = {WorktreeState.ACTIVE, WorktreeState.SUSPENDED, WorktreeState.MERGING}
    if session.worktree_state in archive:
        session = set_worktree(tx, session, WorktreeState.ARCHIVED)
    elif session.worktree_state is WorktreeState.CREATING:
        session = set_worktree(tx, session, WorktreeState.CLEANING)
    tell(
        tx,
        session,
        "session.ended",
        f"{session.id} ended: {reason or outcome.value}",
        Severity.DEBUG if outcome is SessionOutcome.COMPLETED else Severity.INFO,
        payload={"outcome": outcome.value},
    )
    return session


def tell(
    tx: Tx,
    session: Session,
    kind: str,
    words: str,
    severity: Severity = Severity.INFO,
    payload: Mapping[str, Any] | None = None,
) -> None:
    """An event of that session, its task and its agent."""
    task, more = session.task_id, payload or {}
    tx.emit(Event(kind, words, severity, task, session.agent, session.id, payload=more))


# -- attempts ------------------------------------------------------------------------------


def new_attempt(tx: Tx, session_id: str) -> Attempt:
    number = 1 + (
        tx.value("SELECT max(number) FROM attempts WHERE session_id = ?", (session_id,)) or 0
    )
    tx.insert("attempts", session_id=session_id, number=number, state=AttemptState.STARTING.value)
    return get_attempt(tx, session_id)


def get_attempt(tx: Tx, session_id: str) -> Attempt:
    """The newest attempt."""
    row = tx.one(
        "SELECT * FROM attempts WHERE session_id = ? ORDER BY number DESC LIMIT 1", (session_id,)
    )
    if row is None:
        raise Refused(f"{session_id} has no attempt.")
    return rows.attempt(row)


def attempt_started(tx: Tx, attempt: Attempt, handle: str) -> bool:
    return tx.update(
        "attempts",
        {
            "session_id": attempt.session_id,
            "number": attempt.number,
            "state": AttemptState.STARTING.value,
        },
        state=AttemptState.RUNNING.value,
        handle=handle,
        started_at=tx.now,
    )


def goes_on_with(tx: Tx, attempt: Attempt, told: str | None, begun: str | None = None) -> None:
    """Note the conversation that the attempt is told to go on with; None: it begins one, which
    is called `begun` where it was told its name."""
    if begun:
        tx.run("UPDATE sessions SET driver_session = ? WHERE id = ?", (begun, attempt.session_id))
    tx.run(
        "UPDATE attempts SET resumes = ? WHERE session_id = ? AND number = ?",
        (told, attempt.session_id, attempt.number),
    )


def goes_on(tx: Tx, attempt: Attempt) -> bool:
    """Whether the attempt was told to go on with a conversation."""
    sql = "SELECT resumes IS NOT NULL FROM attempts WHERE session_id = ? AND number = ?"
    return bool(tx.value(sql, (attempt.session_id, attempt.number)))


def attempt_ended(tx: Tx, attempt: Attempt, end: Exit) -> bool:
    """Record the end once; False when it was recorded already."""
    return (
        tx.run(
            "UPDATE attempts SET state = 'ended', ended_at = ?, exit_status = ?, exit_signal = ?, "
            "exit_reason = ? WHERE session_id = ? AND number = ? AND state <> 'ended'",
            (
                end.at or tx.now,
                end.status,
                end.signal,
                end.reason or end.error,
                attempt.session_id,
                attempt.number,
            ),
        )
        > 0
    )


def advance(tx: Tx, attempt: Attempt, position: int) -> bool:
    """Move the state's cursor; False when this stretch has been taken in already."""
    return (
        tx.run(
            "UPDATE attempts SET position = ? WHERE session_id = ? AND number = ? AND position < ?",
            (position, attempt.session_id, attempt.number, position),
        )
        > 0
    )


# -- iterations ----------------------------------------------------------------------------


def new_iteration(
    tx: Tx, session_id: str, cause: str, prompt: str, state: IterationState
) -> Iteration:
    number = 1 + (
        tx.value("SELECT max(number) FROM iterations WHERE session_id = ?", (session_id,)) or 0
    )
    attempt = get_attempt(tx, session_id)
    tx.insert(
        "iterations",
        session_id=session_id,
        number=number,
        attempt=attempt.number,
        state=state.value,
        cause=cause,
        prompt=prompt,
        started_at=tx.now,
    )
    return get_iteration(tx, session_id)


def get_iteration(tx: Tx, session_id: str) -> Iteration:
    """The newest iteration."""
    row = tx.one(
        "SELECT * FROM iterations WHERE session_id = ? ORDER BY number DESC LIMIT 1", (session_id,)
    )
    if row is None:
        raise Refused(f"{session_id} has no iteration.")
    return rows.iteration(row)


def move_iteration(tx: Tx, iteration: Iteration, to: IterationState, **values: Any) -> Iteration:
    lifecycle.check(f"Iteration {iteration.number} of {iteration.session_id}", iteration.state, to)
    if to not in (IterationState.RUNNING, IterationState.WAITING):
        values["ended_at"] = tx.now
    if not tx.update(
        "iterations",
        {
            "session_id": iteration.session_id,
            "number": iteration.number,
            "state": iteration.state.value,
        },
        state=to.value,
        **values,
    ):
        raise Refused(f"Iteration {iteration.number} has just changed.")
    return get_iteration(tx, iteration.session_id)


def close_iteration(tx: Tx, session_id: str, to: IterationState, reason: str) -> None:
    """End the newest iteration where it is still open."""
    iteration = get_iteration(tx, session_id)
    if iteration.state in (IterationState.RUNNING, IterationState.WAITING):
        move_iteration(tx, iteration, to, reason=reason)


def sendbacks(tx: Tx, session_id: str) -> int:
    """How often QA (not a human) has sent this session back."""
    return int(
        tx.value(
            "SELECT count(*) FROM iterations WHERE session_id = ? AND cause = 'qa'", (session_id,)
        )
    )
