"""What an attempt says goes into its log, whatever it says."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from core.errors import BullpenError
from core.house import House
from core.killpoints import kill_point
from core.ports import Line
from core.sessions.absorb import LEFT_OUT
from core.store import logs

log = structlog.get_logger(__name__)


class Writer:
    """One attempt's, in one iteration."""

    __slots__ = ("_about", "_house", "_puzzled")

    def __init__(self, house: House, session_id: str, attempt: int, iteration: int) -> None:
        self._house = house
        self._about = (session_id, attempt, iteration)
        self._puzzled = False

    async def write(self, entries: Sequence[logs.Entry]) -> Sequence[logs.Entry]:
        """Returns the entries as they stand in the log now. Where they can't all be written,
        those that can are, and the others are left out, with one mark."""
        try:
            await self._append(entries)
        except BullpenError:
            raise  # the database's trouble, not that of what is written
        except Exception:
            if len(entries) > 1:
                half = len(entries) // 2
                return [*await self.write(entries[:half]), *await self.write(entries[half:])]
            self.puzzle("a line is left out")
            left = logs.Entry(Line("mark", self._house.store.now(), "", entries[0].line.end), ())
            await self._append([left])
            await self.mark(LEFT_OUT)
            return [left]
        return entries

    async def mark(self, words: str) -> None:
        """Bullpen's own words, once for an attempt."""
        self._tell(
            await self._house.store.logs.write(lambda tx: logs.note(tx, *self._about, words, words))
        )

    def puzzle(self, what: str) -> None:
        """For who mends it, once, in an `except`: an agent must not fill the bot's own log."""
        if not self._puzzled:
            log.exception(what, session=self._about[0])
        self._puzzled = True

    async def _append(self, entries: Sequence[logs.Entry]) -> None:
        written = await self._house.store.book.append(*self._about, entries)
        kill_point("after-log")
        self._tell(written)

    def _tell(self, written: logs.Written | None) -> None:
        """It stands in the log, whatever becomes of those who listen."""
        try:
            self._house.store.tell(written)
        except Exception:
            self.puzzle("a listener stumbled")
