"""Answers to what waits for a person."""

from __future__ import annotations

from core import lifecycle
from core.acts import money
from core.errors import BullpenError, Refused, Unclear
from core.house import House
from core.lifecycle import Act, Situation
from core.model import (
    Actor,
    Gate,
    GateKind,
    GateState,
    IterationState,
    Place,
    Session,
    SessionState,
    Task,
)
from core.prompts import apart
from core.store import doors, gates, inputs, sessions, tasks
from core.store.database import Tx
from core.workflow import Onward, follow

_DECISIONS = (GateKind.REVIEW, GateKind.MERGE)


def _at(gate: Gate) -> Situation:
    """The situation that a gate of this kind means."""
    return {GateKind.PERMISSION: Situation.ASKING_LEAVE, GateKind.QUESTION: Situation.ASKING}.get(
        gate.kind, Situation.DECIDING
    )


def approve(tx: Tx, house: House, gate: Gate, actor: Actor, place: Place, words: str) -> Gate:
    """Approve what the gate shows. A permission: the call goes ahead."""
    if gate.kind is GateKind.BUDGET:
        raise Unclear(f"{gate.ref} is a budget: /approve {gate.ref} +2usd, or finish")
    task = _task_of(tx, gate)
    if gate.kind is GateKind.QUESTION:
        raise _not_so(gate, f"is a question: /answer {gate.ref} TEXT")
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
    if gate.kind is GateKind.BUDGET:
        return money.stop(tx, house, gate, actor, place, reason)[0]
    task = _task_of(tx, gate)
    if gate.kind is GateKind.QUESTION:
        raise _not_so(gate, f"is a question: /answer {gate.ref} TEXT")
    if not reason.strip() and gate.kind in _DECISIONS:
        raise Unclear(f"Say what to change: /reject {gate.ref} REASON")
    closed = gates.close(tx, gate, GateState.REJECTED, actor=actor, place=place, answer=reason)
    lifecycle.decide(_at(gate), Act.REJECT, task.id)
    if gate.kind is GateKind.PERMISSION:
        _tell_agent(tx, house, closed, False, reason or "Denied.")
    else:
        prompt = house.prompts.again(actor.name or "the reviewer", reason, apart(task.change))
        follow(tx, house, task, "rejected", Onward(prompt=prompt, cause="rejected"))
    return closed


def answer(tx: Tx, house: House, gate: Gate, actor: Actor, place: Place, text: str) -> Gate:
    """Answer a question: the running agent hears it at once; one whose session was suspended
    over it goes on with the answer as its next prompt."""
    task = _task_of(tx, gate)
    if gate.kind is not GateKind.QUESTION:
        raise _not_so(gate, f"is no question: /approve {gate.ref} or /reject {gate.ref} WHY")
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


def _not_so(gate: Gate, then: str) -> BullpenError:
    """What to type instead, as long as it can be answered."""
    if gate.state is GateState.OPEN:
        return Unclear(f"{gate.ref} {then}")
    return Refused(gates.answered_words(gate))


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
    """The answer goes to the attempt that asked, and to no other; what was asked over the way
    back is fetched there."""
    session = sessions.get(tx, gate.session_id or "")
    if sessions.get_attempt(tx, session.id).number != gate.attempt:
        raise Refused(f"{gate.ref} is off: the agent that asked has ended.")
    if gate.request.get("via") != doors.API:
        data = house.drivers[session.driver].answer(gate.request, allow, text)
        if data is None:
            raise Refused(f"{session.agent} takes no answers.")
        inputs.owe(tx, session.id, data)
    iteration = sessions.get_iteration(tx, session.id)
    others = [
        other for other in gates.open_gates(tx, session.task_id) if other.session_id == session.id
    ]
    if iteration.state is IterationState.WAITING and not others:
        sessions.move_iteration(tx, iteration, IterationState.RUNNING)
