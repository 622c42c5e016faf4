"""What a person said was gone while it gave no answer: over for people at once, but its process
may run on over there. It is asked for again until it is ended, and nothing secret of it stays."""

from __future__ import annotations

from core.house import House
from core.model import Severity
from core.sessions.unstarted import forget
from core.store import givenup, sessions
from core.store.database import Tx


async def end(house: House, session_id: str, number: int) -> None:
    """Raises Unreachable as long as nothing answers."""
    session, handle = await house.store.write(
        lambda tx: (sessions.get(tx, session_id), givenup.handle(tx, session_id, number))
    )
    sandbox, folder = house.sandboxes[session.sandbox], house.attempt_folder(session_id, number)
    if handle is None and folder.exists():
        handle = await sandbox.find(folder)
    if handle is not None:
        await sandbox.stop(folder, handle, force=True)
    await forget(sandbox, folder)
    await house.store.write(lambda tx: _over(tx, session_id, number))


def _over(tx: Tx, session_id: str, number: int) -> None:
    if givenup.over(tx, session_id, number):
        words = f"{session_id} answers again: what still ran of it was ended"
        session = sessions.get(tx, session_id)
        sessions.tell(tx, session, "session.reachable", words, Severity.WARNING)
