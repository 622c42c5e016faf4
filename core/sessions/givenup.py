"""What a person said was gone while it gave no answer: over for people at once, but its process
may run on over there. It is asked for again until it is ended, and nothing secret of it stays."""

from __future__ import annotations

from core.house import House
from core.model import Attempt, AttemptState
from core.sessions.unstarted import forget
from core.store import sessions
from core.store.database import Tx

LEFT = "SELECT session_id, number FROM attempts INDEXED BY attempts_given_up WHERE given_up = 1"
_THIS = "WHERE session_id = ? AND number = ?"


def give_up(tx: Tx, attempt: Attempt) -> None:
    """Before its end is recorded on that person's word."""
    if attempt.state is not AttemptState.ENDED:
        about = (attempt.session_id, attempt.number)
        tx.run(f"UPDATE attempts SET given_up = 1 {_THIS}", about)  # noqa: S608 - a constant


async def end(house: House, session_id: str, number: int) -> None:
    """Raises Unreachable as long as nothing answers."""
    session, handle = await house.store.write(
        lambda tx: (
            sessions.get(tx, session_id),
            tx.value(f"SELECT handle FROM attempts {_THIS}", (session_id, number)),  # noqa: S608
        )
    )
    sandbox, folder = house.sandboxes[session.sandbox], house.attempt_folder(session_id, number)
    if handle is None and folder.exists():
        handle = await sandbox.find(folder)
    if handle is not None:
        await sandbox.stop(folder, handle, force=True)
    await forget(sandbox, folder)
    await house.store.write(lambda tx: _over(tx, session_id, number))


def _over(tx: Tx, session_id: str, number: int) -> None:
    sql = f"UPDATE attempts SET given_up = 0 {_THIS} AND given_up = 1"  # noqa: S608 - a constant
    if tx.run(sql, (session_id, number)):
        session = sessions.get(tx, session_id)
        words = f"{session_id} answers again: what still ran of it was ended"
        sessions.tell(tx, session, "session.reachable", words)
