"""What a running attempt is owed: its inputs, in order, each exactly once; and word of whether
a person is asked."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import structlog

from core.errors import BullpenError, Unreachable
from core.house import House
from core.keys import told
from core.killpoints import kill_point
from core.model import Severity, task_ref
from core.sessions.tailer import Tailer
from core.store import logs, sessions
from core.store.database import Row, Tx

log = structlog.get_logger(__name__)

_OWED = (
    "SELECT number, data, last, said, said_by FROM inputs WHERE session_id = ? AND attempt = ? "
    "AND sent = 0 ORDER BY number"
)
_ASKED = (
    "SELECT 1 FROM gates WHERE session_id = ? AND state = 'open' "
    "AND kind IN ('permission', 'question') LIMIT 1"
)
WAITING = "waiting"


async def send_owed(house: House, tailer: Tailer) -> bool:
    """Hand it over; False where something can't be: that is said once, stays owed, with all
    after it, and holds nothing else up. Raises Unreachable."""
    session_id, number = tailer.attempt.session_id, tailer.attempt.number
    owed = await house.store.read(_OWED, (session_id, number))
    sent, why = await _hand_over(tailer, owed)
    if sent:
        kill_point("after-input")
        for row in sent:
            if words := _heard(house, row):
                await note(house, session_id, number, words, f"input {row['number']}")
        await house.store.write(
            lambda tx: tx.run(
                "UPDATE inputs SET sent = 1 WHERE session_id = ? AND attempt = ? AND number <= ?",
                (session_id, number, sent[-1]["number"]),
            )
        )
    if why is not None:
        await _unsent(house, tailer, owed[len(sent)], why)
    return why is None


def _heard(house: House, row: Row) -> str:
    """A person's words in it; of what was typed at a terminal nothing secret is kept."""
    if row["said"] is not None:
        return f"{row['said_by'] or 'somebody'} said: {row['said']}"
    return f"{row['said_by']} typed: {house.redact(told(row['data']))}" if row["said_by"] else ""


async def _hand_over(tailer: Tailer, owed: Sequence[Row]) -> tuple[Sequence[Row], str | None]:
    """Those that it has got, in order; and why not the next one."""
    for at, row in enumerate(owed):
        try:
            await tailer.sandbox.send(tailer.folder, row["number"], row["data"], bool(row["last"]))
        except Unreachable:
            raise
        except (BullpenError, OSError) as error:
            return owed[:at], str(error)
    return owed, None


async def _unsent(house: House, tailer: Tailer, row: Row, why: str) -> None:
    """Once for an input, in its log; to people, where it is no mere end."""
    attempt = tailer.attempt
    what = "that there will be no more" if row["last"] else "what is said to it"
    words = f"it can't be told {what}: {why}"
    key = f"unsent {row['number']}"
    first = await note(house, attempt.session_id, attempt.number, words, key)
    if first and not row["last"]:
        await house.store.write(partial(_tell, session_id=attempt.session_id, why=why))


def _tell(tx: Tx, session_id: str, why: str) -> None:
    session = sessions.get(tx, session_id)
    about = f"{task_ref(session.task_id)} · {session.agent}"
    words = f"{about} can't be told what is said to it ({why}); it is tried again while it runs"
    sessions.tell(tx, session, "task.edited", words, Severity.WARNING)


async def note(house: House, session_id: str, attempt: int, words: str, key: str) -> bool:
    """In its log, for people: once for that key. Whether that was now."""
    iteration = await house.store.write(lambda tx: sessions.get_iteration(tx, session_id).number)
    written = await house.store.logs.write(
        lambda tx: logs.note(tx, session_id, attempt, iteration, words, key)
    )
    if written is not None:
        house.store.tell(written)
    return written is not None


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
            try:
                await self._tailer.sandbox.note(self._tailer.folder, WAITING, words)
            except Unreachable:
                raise
            except (BullpenError, OSError) as error:  # its own doing: its idle time counts
                log.warning("can't be told of a person's time", why=str(error))
            self._told = asked
