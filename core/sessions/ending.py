"""How an attempt's end becomes the end of an iteration, a session, a task — or a retry."""

from __future__ import annotations

from core import queue
from core.cards.words import headline, sentence
from core.house import House
from core.longlines import first_part
from core.model import (
    ACTIVE,
    Attempt,
    Event,
    GateKind,
    IterationState,
    Session,
    SessionOutcome,
    SessionState,
    Severity,
    Task,
    TaskState,
    WorktreeState,
    task_ref,
)
from core.ports import Exit, Verdict
from core.sessions.wording import lost_words
from core.store import gates, runs, sessions, tasks
from core.store.database import Tx
from core.store.inputs import was_owed

_OUTCOMES = {
    "gone": SessionOutcome.LOST,
    "stopped": SessionOutcome.LOST,
    "wall_time": SessionOutcome.TIMEOUT,
    "idle_time": SessionOutcome.TIMEOUT,
}
"""What isn't here has failed: the other limits, too. `stopped` without anybody having asked for
this session's end: it went with the bot (`--stop-agents`), and is tried again like one that was
lost; or with the machine."""
SHUT_DOWN = "its process was told to end from outside, as when the machine is shut down"
"""The error of an exit that Bullpen has no part in, and that came before any result."""


def attempt_over(
    tx: Tx, house: House, attempt: Attempt, end: Exit, verdict: Verdict, tail: list[str]
) -> None:
    """Record the end of an attempt and what follows from it; a second time changes nothing."""
    if not sessions.attempt_ended(tx, attempt, end):
        return
    session = sessions.get(tx, attempt.session_id)
    attempt = sessions.get_attempt(tx, session.id)
    lost = verdict.lost and sessions.goes_on(tx, attempt)
    if lost:
        tx.run("UPDATE sessions SET driver_session = NULL WHERE id = ?", (session.id,))
    gates.cancel_of_session(tx, session.id, "the agent has ended")
    if session.state is SessionState.TERMINATING:
        _terminated(tx, house, session, tail)
    elif verdict.ok and not _was_interrupted(tx, house, session, attempt):
        _succeeded(tx, session.id, verdict, tail)
    elif session.held_for is not None:
        _interrupted(tx, session, attempt, lost)
    elif lost:
        _begin_anew(tx, session)
    elif (why := _cut_short(tx, attempt, end)) and _may_go_on(tx, house, session):
        _cut_off(tx, session, why)
    else:
        _failed(tx, house, session.id, end, verdict, tail)


def _was_interrupted(tx: Tx, house: House, session: Session, attempt: Attempt) -> bool:
    """Whether it was told to break off, so as to rest: a result that comes then is none. Words
    that it had not yet taken up may have made it begin another turn."""
    data = house.drivers[session.driver].interrupt()
    return session.held_for is not None and data is not None and was_owed(tx, attempt, data)


def _terminated(tx: Tx, house: House, session: Session, tail: list[str]) -> None:
    """It was to end, and has. What was lost is tried again by policy: unless its task has been
    ended meanwhile, nobody has decided about that yet."""
    over = session.outcome or SessionOutcome.KILLED
    lost = over is SessionOutcome.LOST
    reason = session.reason or over.value
    how = IterationState.FAILED if lost else IterationState.KILLED
    sessions.close_iteration(tx, session.id, how, reason)
    sessions.end(tx, session, over, session.reason)
    task = tasks.get(tx, session.task_id)
    if lost and task.step == session.step and task.state in (*ACTIVE, TaskState.BLOCKED):
        fail_task(tx, house, task, over, reason, tail, session.id)


def _cut_short(tx: Tx, attempt: Attempt, end: Exit) -> str | None:
    """What of the machine's has ended it; None: nothing."""
    if end.reason == "gone":
        return end.error
    sql = "SELECT 1 FROM attempts WHERE session_id = ? AND number = ? AND called_off = 0"
    shut_down = end.reason == "stopped" and end.error == SHUT_DOWN
    found = shut_down and tx.one(sql, (attempt.session_id, attempt.number))
    return end.error if found else None


def _may_go_on(tx: Tx, house: House, session: Session) -> bool:
    """Whether the retry policy for what is lost allows it once more."""
    task = tasks.get(tx, session.task_id)
    return task.state in ACTIVE and task.attempts < house.policy.retries.get("lost", 0)


def _cut_off(tx: Tx, session: Session, why: str) -> None:
    """The machine went down, not the agent: it goes on in the same session and worktree."""
    tx.run("UPDATE tasks SET attempts = attempts + 1 WHERE id = ?", (session.task_id,))
    _rest(tx, session, f"{session.agent} was interrupted ({why}), and goes on", cut_off=why)


def _succeeded(tx: Tx, session_id: str, verdict: Verdict, tail: list[str]) -> None:
    """The result is there: the session waits, without a process, for QA and gate. An agent
    without closing words is quoted with the last that it said."""
    session = sessions.get(tx, session_id)
    iteration = sessions.get_iteration(tx, session_id)
    if iteration.state is IterationState.WAITING:
        iteration = sessions.move_iteration(tx, iteration, IterationState.RUNNING)
    sessions.move_iteration(
        tx,
        iteration,
        IterationState.COMPLETED,
        summary=verdict.summary or iteration.summary or "\n".join(tail[-5:])[-600:],
    )
    session = sessions.move(tx, session, SessionState.SUSPENDED, held_for=None)
    sessions.set_worktree(tx, session, WorktreeState.SUSPENDED)
    _nothing_to_rest_for(tx, tasks.get(tx, session.task_id))
    sessions.tell(
        tx,
        session,
        "iteration.completed",
        f"{session.agent} has a result for {task_ref(session.task_id)}",
        Severity.DEBUG,
        {"iteration": iteration.number},
    )


def _nothing_to_rest_for(tx: Tx, task: Task) -> None:
    """A result that came all the same is judged now: that uses nothing of the account."""
    if tx.one("SELECT 1 FROM task_reasons WHERE task_id = ? AND reason = 'limit'", (task.id,)):
        tasks.lift(tx, task, "limit")


def _interrupted(tx: Tx, session: Session, attempt: Attempt, lost: bool) -> None:
    """It was stopped because it has to wait: suspended, to go on where it stopped. One that has
    not said a word has not begun: it is told all of its prompt again (`held_for` says which).
    `lost`: it will begin a conversation anew then."""
    held_for = session.held_for if attempt.position else None
    if lost:
        sessions.tell(tx, session, "session.resumed", lost_words(session), Severity.WARNING)
    _rest(tx, session, f"{session.agent} rests, its process is gone", held_for=held_for)


def _begin_anew(tx: Tx, session: Session) -> None:
    """Its conversation is lost, its work is not: a fresh one, which is told all that was said,
    goes on in the same worktree. That begins one, so it can't be lost again."""
    why = "your conversation so far is lost; what you have done is in this folder"
    _rest(tx, session, lost_words(session), Severity.WARNING, cut_off=why, held_for=None)


def _rest(
    tx: Tx,
    session: Session,
    words: str,
    severity: Severity = Severity.DEBUG,
    **values: str | None,
) -> None:
    """Suspended in the midst of an iteration."""
    iteration = sessions.get_iteration(tx, session.id)
    if iteration.state is IterationState.RUNNING:
        sessions.move_iteration(tx, iteration, IterationState.WAITING)
    session = sessions.move(tx, session, SessionState.SUSPENDED, **values)
    if session.worktree_state is WorktreeState.ACTIVE:
        sessions.set_worktree(tx, session, WorktreeState.SUSPENDED)
    sessions.tell(tx, session, "session.suspended", words, severity)


def _failed(
    tx: Tx, house: House, session_id: str, end: Exit, verdict: Verdict, tail: list[str]
) -> None:
    session = sessions.get(tx, session_id)
    reason = first_part(verdict.reason or "it gave no reason")
    outcome = _OUTCOMES.get(end.reason or "", SessionOutcome.FAILED)
    sessions.close_iteration(tx, session.id, IterationState.FAILED, reason)
    session = sessions.end(tx, session, outcome, reason)
    fail_task(tx, house, tasks.get(tx, session.task_id), outcome, reason, tail, session.id)


LONGEST_PAUSE = 86_400.0


def retry_pause(base: float, attempts: int) -> float:
    """Seconds before the next try: doubled for each one made, at most a day."""
    return min(base * 2.0 ** min(attempts, 30), LONGEST_PAUSE)


def fail_task(
    tx: Tx,
    house: House,
    task: Task,
    outcome: SessionOutcome,
    reason: str,
    tail: list[str],
    session_id: str | None = None,
) -> None:
    """Retry by policy, or fail for good: said once, at the last."""
    if task.attempts < house.policy.retries.get(outcome.value, 0):
        pause = retry_pause(house.policy.retry_base, task.attempts)
        task = tasks.move(
            tx,
            task,
            TaskState.READY,
            attempts=task.attempts + 1,
            not_before=tx.now + int(pause * 1000),
            failure=reason,
        )
        tx.emit(
            Event(
                "task.status_changed",
                f"{task.ref}: {sentence(headline(reason))} Tried again in {pause:.0f} s",
                Severity.WARNING,
                task_id=task.id,
                session_id=session_id,
            )
        )
        return
    in_run = runs.is_in_open_run(tx, task)  # asked before: the run may end with it
    task = tasks.fail(
        tx, task, reason, {"tail": tail, "session": session_id, "outcome": outcome.value}
    )
    for gate in gates.open_gates(tx, task.id):
        if gate.kind in (GateKind.REVIEW, GateKind.MERGE):
            gates.cancel(tx, gate, "the task failed")
    if not in_run:
        queue.failed(tx, house.policy, task)
