"""What a running attempt is owed of input: numbered, once each, and nothing after the last."""

from __future__ import annotations

from core.errors import Refused
from core.model import Attempt, AttemptState
from core.store.database import Tx
from core.store.sessions import get_attempt


def ended(tx: Tx, attempt: Attempt) -> bool:
    """Whether the end of its input is owed or sent already."""
    return bool(
        tx.value(
            "SELECT 1 FROM inputs WHERE session_id = ? AND attempt = ? AND last = 1",
            (attempt.session_id, attempt.number),
        )
    )


def owe(
    tx: Tx,
    session_id: str,
    data: bytes,
    last: bool = False,
    said: str | None = None,
    by: str | None = None,
) -> None:
    """Something to be written to the running attempt, exactly once, under its number. `said`: a
    person's words in it; `by`: whose they are."""
    attempt = get_attempt(tx, session_id)
    if attempt.state is AttemptState.ENDED:
        raise Refused(f"{session_id} runs no more: it can't be told anything.")
    if ended(tx, attempt):
        raise Refused(f"{session_id} has given its result: it listens no more.")
    number = attempt.inputs + 1
    tx.update("attempts", {"session_id": session_id, "number": attempt.number}, inputs=number)
    tx.insert(
        "inputs",
        session_id=session_id,
        attempt=attempt.number,
        number=number,
        data=data,
        last=int(last),
        said=said,
        said_by=by,
        created_at=tx.now,
    )


def was_owed(tx: Tx, attempt: Attempt, data: bytes) -> bool:
    """Whether just that is owed to it, or was sent."""
    sql = "SELECT 1 FROM inputs WHERE session_id = ? AND attempt = ? AND data = ?"
    return tx.one(sql, (attempt.session_id, attempt.number, data)) is not None


def words_of(tx: Tx, attempt: Attempt) -> list[str]:
    """What people have said to it, in order."""
    return [
        str(row["said"])
        for row in tx.all(
            "SELECT said FROM inputs WHERE session_id = ? AND attempt = ? AND said IS NOT NULL "
            "ORDER BY number",
            (attempt.session_id, attempt.number),
        )
    ]
