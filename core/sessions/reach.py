"""An engine or a cluster that gives no answer, or won't end what it runs: that may run on. It is
asked again, with growing pauses, and past the policy's time the session counts as lost, but not as
ended."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator

from core.cards.words import duration
from core.errors import Broken, Unreachable
from core.house import House
from core.model import Session, SessionOutcome, SessionState, Severity
from core.shortages import passing
from core.store import sessions
from core.store.database import Tx
from core.waiting import woken

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
_THERE = (SessionState.STARTING, SessionState.RUNNING)


class Reach:
    """Whether a session can be reached. `poked` ends a pause. How long it could not be is what
    this process has seen of it: the clock may have been set."""

    def __init__(self, house: House, session_id: str, poked: asyncio.Event) -> None:
        self._house = house
        self._id = session_id
        self._poked = poked
        self._pause = FIRST_PAUSE
        self._away: float | None = None

    async def gone(self, why: str) -> None:
        """It gave no answer: told once; then a pause, before it is asked again."""
        if self._away is None:
            self._away = time.monotonic()
        await self._house.store.write(lambda tx: self._note(tx, why))
        self._poked.clear()
        await woken(self._poked, min(self._pause, self._house.policy.lost_after))
        self._pause = min(LONGEST_PAUSE, self._pause * 2)

    async def back(self) -> None:
        """It answers again."""
        self._pause, self._away = FIRST_PAUSE, None
        await self._house.store.write(self._clear)

    def _note(self, tx: Tx, why: str) -> None:
        session = sessions.get(tx, self._id)
        if session.state not in (*_THERE, SessionState.TERMINATING):
            return
        away = time.monotonic() - (self._away or time.monotonic())
        if session.unreachable_since is None:
            tx.update("sessions", {"id": session.id}, unreachable_since=tx.now)
            sessions.tell(
                tx, session, "session.unreachable", _words(session, why), Severity.WARNING
            )
        elif session.state in _THERE and away >= self._house.policy.lost_after:
            _lose(tx, session, int(away * 1000))

    def _clear(self, tx: Tx) -> None:
        session = sessions.get(tx, self._id)
        if session.unreachable_since is None or session.state is SessionState.TERMINATED:
            return
        tx.update("sessions", {"id": session.id}, unreachable_since=None)
        words = f"{session.id} answers again"
        sessions.tell(tx, session, "session.reachable", words, Severity.WARNING)


def _words(session: Session, why: str) -> str:
    if session.state in _THERE:
        return f"{session.id} can't be reached ({why}): it may go on, and is asked again"
    return (
        f"{session.id} can't be ended ({why}): it may go on, and is asked again; where you know "
        f"that it is gone: /kill {session.id} --sure"
    )


@contextlib.contextmanager
def unproven() -> Iterator[None]:
    """What can't be proven to have ended may run on, whatever the reason: as where no answer
    comes."""
    try:
        yield
    except Unreachable:
        raise
    except Broken as error:
        if passing(error):
            raise
        raise Unreachable(str(error)) from error


def _lose(tx: Tx, session: Session, away: int) -> None:
    """Nobody waits for it any more; it has ended once that is proven, or a person says so."""
    reason = f"it could not be reached for {duration(away)} (lost)"
    lost = SessionOutcome.LOST.value
    sessions.move(tx, session, SessionState.TERMINATING, outcome=lost, reason=reason)
    words = (
        f"{session.id} counts as lost: {reason}. Its task is tried again once it is proven gone; "
        f"where you know that it is: /kill {session.id} --sure"
    )
    sessions.tell(tx, session, "session.terminating", words, Severity.WARNING)
