"""An agent's own word on how its work has ended."""

from __future__ import annotations

import asyncio

import msgspec

from core.errors import Unclear
from core.handed import MISSING, OUTCOME, REFUSED, NotTaken, drop, read
from core.house import House
from core.model import (
    Attempt,
    Iteration,
    IterationState,
    QaState,
    Session,
    SessionState,
    Severity,
    task_ref,
)
from core.reports.speaking import at_work, emit, one_line
from core.store import sessions, tasks
from core.store.database import Tx

LONGEST = 20_000
"""Characters of a summary."""
LARGEST = 64 << 10
"""Bytes of the outcome's file."""


class _Said(msgspec.Struct, forbid_unknown_fields=True):
    """The content of artifacts/outcome.json."""

    outcome: str
    summary: str = ""


def outcome(tx: Tx, house: House, attempt: Attempt, name: str, summary: str = "") -> None:
    """The iteration's outcome, as far as its step declares it (model.md, rule 10). The last one
    counts until the iteration ends. Raises Unclear naming the declared ones, or Over."""
    session, iteration = at_work(tx, attempt)
    _record(tx, house, session, iteration, name, summary)


def _record(
    tx: Tx, house: House, session: Session, iteration: Iteration, name: str, summary: str
) -> None:
    step = house.step(tasks.get(tx, session.task_id), session.step)
    if name not in step.outcomes:
        raise Unclear(
            f"`{one_line(name, 60)}` is no outcome of the step `{step.id}`. "
            f"Say one of: {', '.join(step.outcomes) or 'none is declared'}."
        )
    words = house.redact(summary.strip())[:LONGEST] or None
    if (name, words or iteration.summary) == (iteration.outcome, iteration.summary):
        return  # it says so already
    tx.run(
        "UPDATE iterations SET outcome = ?, summary = coalesce(?, summary) "
        "WHERE session_id = ? AND number = ?",
        (name, words, session.id, iteration.number),
    )
    about = {"iteration": iteration.number, "outcome": name}
    text = f"{session.agent} reports {name} for {task_ref(session.task_id)}"
    emit(tx, session, "iteration.log", text, about)


async def take_file(house: House, session: Session) -> None:
    """At an iteration's end: what artifacts/outcome.json says, in place of what was reported
    before. A file that says nothing of use is told, and the end goes on. It is taken away: in
    the next iteration it would be an old word."""
    folder = house.session_folder(session.id)
    try:
        data = await asyncio.to_thread(read, folder, OUTCOME, LARGEST)
    except (NotTaken, OSError) as no:
        if str(no) != MISSING:
            words = f"{OUTCOME} is {no}"
            await house.store.write(lambda tx: not_taken(tx, house, session, words))
        return
    await house.store.write(lambda tx: _file_said(tx, house, session, data))
    await asyncio.to_thread(drop, folder, OUTCOME)


def _file_said(tx: Tx, house: House, session: Session, data: bytes) -> None:
    iteration = sessions.get_iteration(tx, session.id)
    ended = iteration.state is IterationState.COMPLETED and iteration.qa is QaState.PENDING
    if sessions.get(tx, session.id).state is not SessionState.SUSPENDED or not ended:
        return
    try:
        outcome_json(tx, house, session, iteration, data)
    except Unclear as error:
        not_taken(tx, house, session, str(error))


def outcome_json(tx: Tx, house: House, session: Session, iteration: Iteration, data: bytes) -> None:
    """`{"outcome": "NAME", "summary": "…"}`. Raises Unclear in one line."""
    if len(data) > LARGEST:
        raise Unclear(f"{OUTCOME} has more than {LARGEST >> 10} KiB.")
    try:
        said = msgspec.json.decode(data, type=_Said)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise Unclear(
            f'{OUTCOME} can\'t be read ({one_line(str(error), 100)}); it holds {{"outcome": '
            '"NAME", "summary": "…"}.'
        ) from None
    _record(tx, house, session, iteration, said.outcome, said.summary)


def not_taken(tx: Tx, house: House, session: Session, why: str) -> None:
    """Tell of an outcome that does not count, once."""
    text = house.redact(f"{task_ref(session.task_id)}: the outcome is not taken: {why}")
    sql = "SELECT 1 FROM events WHERE task_id = ? AND type = ? AND session_id = ? AND text = ?"
    if not tx.one(sql, (session.task_id, REFUSED, session.id, text)):
        emit(tx, session, REFUSED, text, severity=Severity.WARNING)
