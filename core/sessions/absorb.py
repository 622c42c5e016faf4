"""What an agent said, taken into state: one transaction a batch, guarded by the position."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from core import limits, overlaps, reports
from core.errors import Unclear
from core.house import House
from core.model import (
    AgentEvent,
    AgentEventKind,
    Attempt,
    GateKind,
    IterationState,
    Role,
    Session,
    SessionState,
    Severity,
    task_ref,
)
from core.sessions import crowding, usage
from core.sessions.wording import lost_words
from core.store import gates, inputs, sessions
from core.store.database import Tx
from core.store.troubles import of_the_file

K = AgentEventKind
LEFT_OUT = "something that it said here can't be taken in, and is left out"
WEIGHTY = frozenset({K.STARTED, K.PERMISSION_REQUEST, K.QUESTION, K.OUTCOME, K.LIMIT, K.FINISHED})
"""Events that go into state at once; the rest waits for the next flush."""
_TAKEN = WEIGHTY | {K.USAGE}
STATEFUL = _TAKEN | {K.TOOL_CALL, K.FILE_CHANGE}
"""Events of which state keeps anything; all others are for the log."""


def absorb(
    tx: Tx,
    house: House,
    session_id: str,
    events: Sequence[AgentEvent],
    position: int,
    progress: str | None,
    apart: bool = False,
) -> list[str]:
    """Take a batch in, up to `position`; a batch taken in before changes nothing. Returns what is
    to be marked in the log. `apart`: event by event, what can be of a batch that could not be
    taken in whole; raises where the database itself is in trouble."""
    attempt = sessions.get_attempt(tx, session_id)
    if not sessions.advance(tx, attempt, position):
        return []
    session = sessions.get(tx, session_id)
    if not apart:
        marks = _together(tx, house, session, attempt, events)
        _busy(tx, session, events, progress)
        return marks
    marks = _one_by_one(tx, house, session, attempt, events)
    with _apart(tx, marks):
        _busy(tx, session, events, progress)
    return list(dict.fromkeys(marks))


def _together(
    tx: Tx, house: House, session: Session, attempt: Attempt, events: Sequence[AgentEvent]
) -> list[str]:
    denied = crowding.beyond(tx, attempt, events)
    left = set(map(id, denied))
    for event in events:
        if event.kind in _TAKEN and id(event) not in left:  # the rest, very much, is for the log
            _one(tx, house, sessions.get(tx, session.id), attempt, event)
    crowding.deny(tx, house, sessions.get(tx, session.id), denied)
    overlaps.reported(tx, session, events)
    return [crowding.DENIED] if denied else []


def _one_by_one(
    tx: Tx, house: House, session: Session, attempt: Attempt, events: Sequence[AgentEvent]
) -> list[str]:
    marks: list[str] = []
    for event in events:
        if event.kind in _TAKEN or event.kind is K.FILE_CHANGE:
            with _apart(tx, marks):
                marks += _together(tx, house, session, attempt, [event])
    return marks


@contextlib.contextmanager
def _apart(tx: Tx, marks: list[str]) -> Iterator[None]:
    """What raises in it is taken back, and marked."""
    try:
        with tx.attempt():
            yield
    except Exception as error:
        if of_the_file(error):
            raise
        marks.append(LEFT_OUT)


def _busy(tx: Tx, session: Session, events: Sequence[AgentEvent], progress: str | None) -> None:
    """When it was last heard, and what it is at."""
    calls = sum(event.kind is K.TOOL_CALL for event in events)
    tx.run(
        "UPDATE sessions SET tool_calls = tool_calls + ?, last_activity_at = ? WHERE id = ?",
        (calls, tx.now, session.id),
    )
    if progress is not None:
        tell(tx, session, progress)


def tell(tx: Tx, session: Session, progress: str) -> None:
    """The newest lines, redacted: the last of them is news, all are shown in the live message."""
    tx.run("UPDATE sessions SET tail = ? WHERE id = ?", (progress, session.id))
    sessions.tell(tx, session, "task.progress", progress.rpartition("\n")[2], Severity.DEBUG)


def _one(tx: Tx, house: House, session: Session, attempt: Attempt, event: AgentEvent) -> None:
    if event.kind is K.STARTED:
        _began(tx, house, session, attempt, event)
    elif event.kind is K.USAGE:
        usage.take_in(tx, house, session, attempt, event)
    elif event.kind in (K.PERMISSION_REQUEST, K.QUESTION):
        _ask(tx, house, session, attempt, event)
    elif event.kind is K.OUTCOME:
        _outcome(tx, house, session, attempt, event)
    elif event.kind is K.LIMIT:
        limits.reached(tx, house, session, event)
    elif event.kind is K.FINISHED:
        _finished(tx, session, attempt, event)


def _began(tx: Tx, house: House, session: Session, attempt: Attempt, event: AgentEvent) -> None:
    """How to go on with its conversation, and which model answers, as it says itself. `afresh`:
    it goes on with none; where it was to, that is told."""
    if event.data.get("afresh") and sessions.goes_on(tx, attempt):
        sessions.tell(tx, session, "session.resumed", lost_words(session), Severity.WARNING)
        sessions.goes_on_with(tx, attempt, None)  # it is told once
    agent = house.agents.get(session.agent)
    model = event.data.get("model") or session.model or (agent.model if agent else None)
    tx.run(
        "UPDATE sessions SET driver_session = ?, model = ? WHERE id = ?",
        (event.data.get("driver_session"), model, session.id),
    )


def _ask(tx: Tx, house: House, session: Session, attempt: Attempt, event: AgentEvent) -> None:
    question = event.kind is K.QUESTION
    request = event.data.get("request") or {}
    verb = "asks" if question else "wants to use a tool"
    opened = gates.open_gate(
        tx,
        gates.NewGate(
            kind=GateKind.QUESTION if question else GateKind.PERMISSION,
            task_id=session.task_id,
            title=f"{session.agent} {verb} · {task_ref(session.task_id)}",
            body=house.redact(event.text),  # whole, before a card cuts it
            session_id=session.id,
            attempt=attempt.number,
            agent=session.agent,
            options=tuple(_options(event)),
            request=request,
            request_key=crowding.request_key(event),
            may_answer=Role.APPROVER,
        ),
    )
    iteration = sessions.get_iteration(tx, session.id)
    if opened is not None and iteration.state is IterationState.RUNNING:
        sessions.move_iteration(tx, iteration, IterationState.WAITING)


def _options(event: AgentEvent) -> list[str]:
    questions = event.data.get("questions") or []
    if len(questions) != 1:
        return []
    return [str(option) for option in questions[0].get("options", [])]


def _outcome(tx: Tx, house: House, session: Session, attempt: Attempt, event: AgentEvent) -> None:
    """What it reports by its own output; what its step doesn't declare is told."""
    try:
        reports.outcome(tx, house, attempt, str(event.data.get("name", "")))
    except reports.Over:
        pass  # it is being ended: nobody waits for its outcome
    except Unclear as error:
        reports.not_taken(tx, house, session, str(error))


def _finished(tx: Tx, session: Session, attempt: Attempt, event: AgentEvent) -> None:
    """The result is in: keep its words, and end the input so that the process can go. Where
    people have spoken to it, that may make a further turn of it: the watch waits for that."""
    iteration = sessions.get_iteration(tx, session.id)
    tx.run(
        "UPDATE iterations SET summary = ? WHERE session_id = ? AND number = ?",
        (event.text, session.id, iteration.number),
    )
    if session.state is not SessionState.RUNNING or inputs.words_of(tx, attempt):
        return
    if not inputs.ended(tx, attempt):
        inputs.owe(tx, session.id, b"", last=True)
