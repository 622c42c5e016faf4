"""What people do to a task: each one a check against the table, and one transaction."""

from __future__ import annotations

from core import lifecycle, queue
from core.errors import Refused, Unclear
from core.house import House
from core.lifecycle import Act, Situation
from core.model import (
    Actor,
    Event,
    Gate,
    GateKind,
    GateState,
    IterationState,
    Place,
    Session,
    SessionOutcome,
    SessionState,
    StepKind,
    Task,
    TaskState,
)
from core.store import gates, sessions, tasks
from core.store.database import Tx
from core.workflow import Onward, follow

_DECISIONS = (GateKind.REVIEW, GateKind.MERGE)


def situation(tx: Tx, house: House, task: Task) -> Situation:
    """Where the task stands, from its rows."""
    step = house.step(task)
    session = sessions.of_step(tx, task.id, step.session or step.id)
    iteration = sessions.get_iteration(tx, session.id) if session else None
    waiting = gates.open_gates(tx, task.id)
    return lifecycle.situation(
        task.state,
        session.state if session else None,
        iteration.state if iteration else None,
        waiting[0].kind if waiting else None,
        step.kind is StepKind.FORGE,
    )


def _at(gate: Gate) -> Situation:
    """The situation that a gate of this kind means."""
    return {GateKind.PERMISSION: Situation.ASKING_LEAVE, GateKind.QUESTION: Situation.ASKING}.get(
        gate.kind, Situation.DECIDING
    )


# -- gates ---------------------------------------------------------------------------------


def approve(tx: Tx, house: House, gate: Gate, actor: Actor, place: Place, words: str) -> Gate:
    """Approve what the gate shows. A permission: the call goes ahead."""
    task = _task_of(tx, gate)
    if gate.kind is GateKind.QUESTION:
        raise Unclear(f"{gate.ref} is a question: /answer {gate.ref} TEXT")
    closed = gates.close(tx, gate, GateState.APPROVED, actor=actor, place=place, answer=words)
    lifecycle.decide(_at(gate), Act.APPROVE, task.id)
    if gate.kind is GateKind.PERMISSION:
        _tell_agent(tx, house, closed, True, words)
    else:
        _tick_boxes(tx, task)
        follow(tx, house, task, "approved")
    return closed


def _tick_boxes(tx: Tx, task: Task) -> None:
    """Approving ticks the card's open boxes: the criteria that no command checks."""
    tx.run(
        "UPDATE criteria SET state = 'ticked' WHERE task_id = ? AND state = 'open' "
        "AND command IS NULL",
        (task.id,),
    )


def reject(tx: Tx, house: House, gate: Gate, actor: Actor, place: Place, reason: str) -> Gate:
    """Send it back: the reason is the agent's next prompt. A permission: the call is denied."""
    task = _task_of(tx, gate)
    if gate.kind is GateKind.QUESTION:
        raise Unclear(f"{gate.ref} is a question: /answer {gate.ref} TEXT")
    if not reason.strip() and gate.kind in _DECISIONS:
        raise Unclear(f"Say what to change: /reject {gate.ref} REASON")
    closed = gates.close(tx, gate, GateState.REJECTED, actor=actor, place=place, answer=reason)
    lifecycle.decide(_at(gate), Act.REJECT, task.id)
    if gate.kind is GateKind.PERMISSION:
        _tell_agent(tx, house, closed, False, reason or "Denied.")
    else:
        prompt = house.prompts.again(actor.name or "the reviewer", reason)
        follow(tx, house, task, "rejected", Onward(prompt=prompt, cause="rejected"))
    return closed


def answer(tx: Tx, house: House, gate: Gate, actor: Actor, place: Place, text: str) -> Gate:
    """Answer a question: the running agent hears it at once; one whose session was suspended
    over it goes on with the answer as its next prompt."""
    task = _task_of(tx, gate)
    if gate.kind is not GateKind.QUESTION:
        raise Unclear(f"{gate.ref} is no question: /approve {gate.ref} or /reject {gate.ref} WHY")
    if not text.strip():
        raise Unclear(f"Say the answer: /answer {gate.ref} TEXT")
    lifecycle.decide(_at(gate), Act.ANSWER, task.id)
    closed = gates.close(tx, gate, GateState.ANSWERED, actor=actor, place=place, answer=text)
    session = sessions.get(tx, gate.session_id or "")
    if session.state is SessionState.SUSPENDED:
        _answer_later(tx, task, session, gate.body, text)
    else:
        _tell_agent(tx, house, closed, True, text)
    return closed


def _answer_later(tx: Tx, task: Task, session: Session, question: str, text: str) -> None:
    sessions.close_iteration(tx, session.id, IterationState.FAILED, "went on with the answer")
    prompt = f"You asked: {question.strip()}\n\nThe answer: {text}\n"
    sessions.new_iteration(tx, session.id, "answer", prompt, IterationState.WAITING)
    tasks.lift(tx, task, "question")


def _task_of(tx: Tx, gate: Gate) -> Task:
    if gate.task_id is None:
        raise Refused(f"{gate.ref} belongs to no task.")
    return tasks.get(tx, gate.task_id)


def _tell_agent(tx: Tx, house: House, gate: Gate, allow: bool, text: str) -> None:
    """The answer goes to the attempt that asked, and to no other."""
    session = sessions.get(tx, gate.session_id or "")
    if sessions.get_attempt(tx, session.id).number != gate.attempt:
        raise Refused(f"{gate.ref} is off: the agent that asked has ended.")
    data = house.drivers[session.driver].answer(gate.request, allow, text)
    if data is None:
        raise Refused(f"{session.agent} takes no answers.")
    sessions.owe_input(tx, session.id, data)
    iteration = sessions.get_iteration(tx, session.id)
    others = [
        other for other in gates.open_gates(tx, session.task_id) if other.session_id == session.id
    ]
    if iteration.state is IterationState.WAITING and not others:
        sessions.move_iteration(tx, iteration, IterationState.RUNNING)


# -- ends ----------------------------------------------------------------------------------


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


# -- beginnings ----------------------------------------------------------------------------


def retry(tx: Tx, house: House, task: Task, hint: str) -> Task:
    """A failed task goes back to ready, with a hint for the agent: at its step, or from a gate,
    check or merge at the agent's step before it, since only those are claimed."""
    move = lifecycle.decide(situation(tx, house, task), Act.RETRY, task.id)
    task = tasks.move(
        tx,
        task,
        move.task or TaskState.READY,
        step=_agent_step(tx, house, task),
        attempts=0,
        not_before=None,
        failure=None,
        hold=None,
        hint=hint or None,
    )
    queue.settled(tx, task)
    tx.emit(Event("task.ready", f"{task.ref} will be tried again", task_id=task.id))
    return _blocked_still(tx, task)


def _agent_step(tx: Tx, house: House, task: Task) -> str:
    """The step to begin again at: its own, or the newest session's."""
    if house.step(task).kind is StepKind.AGENT:
        return task.step
    newest = tx.value(
        "SELECT step FROM sessions WHERE task_id = ? ORDER BY created_at DESC, id LIMIT 1",
        (task.id,),
    )
    return str(newest or house.workflow(task.workflow).steps[0].id)


def _blocked_still(tx: Tx, task: Task) -> Task:
    """What it needs may not be done (any more)."""
    return tasks.block(tx, task, "dependency") if task.unmet else task


def reopen(tx: Tx, house: House, task: Task) -> Task:
    """A done or cancelled task begins again at its first step."""
    move = lifecycle.decide(situation(tx, house, task), Act.REOPEN, task.id)
    first = house.workflow(task.workflow).steps[0]
    task = tasks.move(
        tx,
        task,
        move.task or TaskState.READY,
        step=first.id,
        attempts=0,
        hold=None,
        assignee=None,
        assigned_step=None,
        branch=_next_branch(task),
        base_commit=None,
        head_commit=None,
        change=None,
        merge_commit=None,
    )
    tx.emit(Event("task.reopened", f"{task.ref} is open again", task_id=task.id))
    return _blocked_still(tx, task)


def _next_branch(task: Task) -> str | None:
    """A fresh branch for a task that begins again: its old one is merged, or was dropped."""
    if task.branch is None:
        return None
    name, _, number = task.branch.removeprefix(f"bullpen/{task.ref}").rpartition("-")
    return f"bullpen/{task.ref}-{int(number) + 1 if number.isdigit() and not name else 2}"
