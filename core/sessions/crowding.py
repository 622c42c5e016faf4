"""How much an agent may ask of people by its own output: as much as over the way back. What goes
beyond is denied at once, and nobody is asked."""

from __future__ import annotations

from collections.abc import Sequence

from core.house import House
from core.model import AgentEvent, AgentEventKind, Attempt, AttemptState, Session, SessionState
from core.reports.asking import MOST_GATES, MOST_OPEN
from core.store import gates, inputs, sessions
from core.store.database import Tx

ASKS = frozenset({AgentEventKind.PERMISSION_REQUEST, AgentEventKind.QUESTION})
DENIED = (
    f"it asks for too much: beyond {MOST_OPEN} requests that wait, or {MOST_GATES} in all, "
    "what it asks for is denied, and nobody is asked"
)
_WHY = f"Denied: {MOST_OPEN} of your requests wait for an answer already, or you asked too often."


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
    waiting, too_much = sum(known.values()), []
    for event in asked:
        key = request_key(event)
        if key in known:
            continue
        if waiting >= MOST_OPEN or len(known) >= MOST_GATES:
            too_much.append(event)
        else:
            known[key] = True
            waiting += 1
    return too_much


def deny(tx: Tx, house: House, session: Session, events: Sequence[AgentEvent]) -> None:
    """Say no to all of them, in one input; why, once."""
    attempt = sessions.get_attempt(tx, session.id)
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
