"""How much an agent may ask of people by its own output. What goes beyond is denied at once."""

from __future__ import annotations

from collections.abc import Sequence

from core.house import House
from core.model import (
    AgentEvent,
    AgentEventKind,
    Attempt,
    AttemptState,
    GateState,
    Session,
    SessionState,
    Severity,
    task_ref,
)
from core.store import gates, inputs, sessions
from core.store.database import Tx

ASKS = frozenset({AgentEventKind.PERMISSION_REQUEST, AgentEventKind.QUESTION})
AT_ONCE = 20
"""Requests of an attempt that may wait for people: an agent calls many a tool beside others."""
IN_VAIN = 200
"""Requests of an attempt that were taken back, or nobody has answered: then it gets no more."""
DENIED = (
    f"it asks for too much: {AT_ONCE} requests wait already, or {IN_VAIN} came to nothing; "
    "what goes beyond is denied, and nobody is asked"
)
_WHY = f"Denied: {AT_ONCE} of your requests wait for an answer already. Ask for less at a time."
_TOLD = (
    "SELECT 1 FROM events WHERE task_id = ? AND session_id = ? "
    "AND payload ->> 'denied_in_attempt' = ?"
)
_VAIN = (GateState.CANCELLED, GateState.EXPIRED)


def request_key(event: AgentEvent) -> str:
    """By which a request that is told again is known."""
    request = event.data.get("request") or {}
    return str(request.get("request_id") or event.text)


def beyond(tx: Tx, attempt: Attempt, events: Sequence[AgentEvent]) -> list[AgentEvent]:
    """Those of these requests that are too much."""
    asked = [event for event in events if event.kind in ASKS]
    if not asked:
        return []
    known = gates.requests_of(tx, attempt)
    states, too_much = list(known.values()), []
    waiting, vain = states.count(GateState.OPEN), sum(map(states.count, _VAIN))
    for event in asked:
        key = request_key(event)
        if key in known:
            continue
        if waiting >= AT_ONCE or vain >= IN_VAIN:
            too_much.append(event)
        else:
            known[key] = GateState.OPEN
            waiting += 1
    return too_much


def deny(tx: Tx, house: House, session: Session, events: Sequence[AgentEvent]) -> None:
    """Say no to all of them, in one input; why, once. People hear of it once an attempt."""
    attempt = sessions.get_attempt(tx, session.id)
    if events:
        _tell(tx, session, attempt)
    over = attempt.state is AttemptState.ENDED or session.state is not SessionState.RUNNING
    if not events or over or inputs.ended(tx, attempt):
        return
    answer = house.drivers[session.driver].answer
    words = [_WHY, *["Denied."] * (len(events) - 1)]
    said = [
        answer(event.data.get("request") or {}, False, why)
        for event, why in zip(events, words, strict=True)
    ]
    if data := b"".join(one for one in said if one):
        inputs.owe(tx, session.id, data)


def _tell(tx: Tx, session: Session, attempt: Attempt) -> None:
    if tx.one(_TOLD, (session.task_id, session.id, attempt.number)):
        return
    words = (
        f"{task_ref(session.task_id)} · {session.agent} asks for more than {AT_ONCE} things at once"
        ", or in vain: what goes beyond is denied"
    )
    payload = {"denied_in_attempt": attempt.number}
    sessions.tell(tx, session, "task.status_changed", words, Severity.WARNING, payload)
