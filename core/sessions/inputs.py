"""What a running attempt is owed: its inputs, in order, each exactly once; and word of whether
a person is asked."""

from __future__ import annotations

from core.house import House
from core.killpoints import kill_point
from core.sessions.tailer import Tailer
from core.store import logs, sessions

_OWED = (
    "SELECT number, data, last, said, said_by FROM inputs WHERE session_id = ? AND attempt = ? "
    "AND sent = 0 ORDER BY number"
)
_ASKED = (
    "SELECT 1 FROM gates WHERE session_id = ? AND state = 'open' "
    "AND kind IN ('permission', 'question') LIMIT 1"
)
WAITING = "waiting"


async def send_owed(house: House, tailer: Tailer) -> None:
    session_id, number = tailer.attempt.session_id, tailer.attempt.number
    owed = await house.store.read(_OWED, (session_id, number))
    for row in owed:
        await tailer.sandbox.send(tailer.folder, row["number"], row["data"], bool(row["last"]))
    if owed:
        kill_point("after-input")
        for row in owed:
            if row["said"] is not None:
                words = f"{row['said_by'] or 'somebody'} said: {row['said']}"
                await note(house, session_id, number, words, f"input {row['number']}")
        await house.store.write(
            lambda tx: tx.run(
                "UPDATE inputs SET sent = 1 WHERE session_id = ? AND attempt = ? AND number <= ?",
                (session_id, number, owed[-1]["number"]),
            )
        )


async def note(house: House, session_id: str, attempt: int, words: str, key: str) -> None:
    """In its log, for people: once for that key."""
    iteration = await house.store.write(lambda tx: sessions.get_iteration(tx, session_id).number)
    written = await house.store.logs.write(
        lambda tx: logs.note(tx, session_id, attempt, iteration, words, key)
    )
    if written is not None:
        house.store.tell(written)


class Patience:
    """Tells an attempt with an idle limit when a person is asked: that time does not count."""

    def __init__(self, house: House, tailer: Tailer, agent: str) -> None:
        known = house.agents.get(agent)
        self._counts = known is not None and known.limits.idle_time is not None
        self._house = house
        self._tailer = tailer
        self._told: bool | None = None

    async def tell(self) -> None:
        if not self._counts:
            return
        asked = bool(await self._house.store.read(_ASKED, (self._tailer.attempt.session_id,)))
        if asked != self._told:
            words = "a person is asked" if asked else ""
            await self._tailer.sandbox.note(self._tailer.folder, WAITING, words)
            self._told = asked
