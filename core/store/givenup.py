"""Attempts that a person said were gone while nothing answered: what may still run of them is to
be ended."""

from __future__ import annotations

from core.model import Attempt, AttemptState
from core.store.database import Tx

LEFT = "SELECT session_id, number FROM attempts INDEXED BY attempts_given_up WHERE given_up = 1"


def give_up(tx: Tx, attempt: Attempt) -> None:
    """Before its end is recorded on that person's word."""
    if attempt.state is not AttemptState.ENDED:
        sql = "UPDATE attempts SET given_up = 1 WHERE session_id = ? AND number = ?"
        tx.run(sql, (attempt.session_id, attempt.number))


def handle(tx: Tx, session_id: str, number: int) -> str | None:
    sql = "SELECT handle FROM attempts WHERE session_id = ? AND number = ?"
    found = tx.value(sql, (session_id, number))
    return None if found is None else str(found)


def over(tx: Tx, session_id: str, number: int) -> bool:
    """Nothing is left of it; False when that was known."""
    where = {"session_id": session_id, "number": number, "given_up": 1}
    return tx.update("attempts", where, given_up=0)
