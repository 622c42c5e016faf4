"""What an agent at a terminal draws, as lines for the log.

The log's position is that of the last record that was drawn when a line was taken; the newest
record is held back until another follows, or nothing does. So each line lies beyond the one
before, and a bot that begins again draws what is not yet in the log once more.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from core.errors import BullpenError
from core.model import AgentEvent, AgentEventKind
from core.ports import Line, Sandbox
from core.store import logs
from core.store.database import Store
from core.store.logs import Entry

if TYPE_CHECKING:
    from core.sessions.screen import Screen

log = structlog.get_logger(__name__)

KNOWN = 500
"""Lines of the log that are not told again where they are painted once more."""
REPLAYED = 256 << 10
"""Bytes of output before the log's position that are drawn again after a restart."""
_STILL = 1.5
"""Seconds of silence after which all that is on the screen stands."""
_SHARE, _BURST, _ENOUGH = 0.2, 0.5, 0.25
"""Of a second, the seconds of computing that drawing may take; as much may be saved up; and so
much must be there before it goes on after it was too much."""
_LAST = 16 << 10
"""Bytes at the end of what is left out that are drawn all the same."""
_LEFT_OUT = "── Bullpen: {} KB of what it drew came too fast, and are left out ──"
_LOOKS = 500
"""Milliseconds of output between two looks at the screen."""


async def terminal(
    store: Store, session_id: str, sandbox: Sandbox, folder: Path, position: int
) -> Terminal:
    """A session's terminal as it stood at that position of the output."""
    known = await store.logs.write(lambda tx: logs.tail(tx, session_id, KNOWN))
    found, start = Terminal(known), max(0, position - REPLAYED)
    if position:
        lines: Sequence[Line] = ()
        with contextlib.suppress(BullpenError):  # then it begins with an empty screen
            lines = await sandbox.read(folder, start, REPLAYED)
        for line in lines[1 if start else 0 :]:
            found.replay((line,), position)
            await asyncio.sleep(0)  # others have their turn
        if lines:
            found.replayed()
    return found


class Terminal:
    """Records in, entries for the log out. `known`: the lines that stand in the log already."""

    def __init__(self, known: Iterable[str] = ()) -> None:
        self._screen = _screen(known)
        self._held: Line | None = None
        self._heard = time.monotonic()
        self._drawn = self._told = 0
        self._credit, self._counted = _BURST, time.monotonic()
        self._skipped: deque[Line] = deque()
        self._lost = self._kept = 0
        self._owed: list[Entry] = []

    @property
    def pending(self) -> bool:
        """Whether something waits for its time to come."""
        return self._held is not None or bool(self._owed)

    def logged(self) -> None:
        """What was taken stands in the log; until then it is given again."""
        self._owed = []

    def replay(self, lines: Sequence[Line], position: int) -> None:
        """Draw again what was read up to there; nothing of it is told as new."""
        for line in lines:
            if line.stream == "out" and line.end <= position:
                self._screen.replay(_raw(line)[-_LAST:], line.at)
        self._drawn = self._told = position

    def replayed(self) -> None:
        """All that was read before is drawn."""
        self._screen.replayed()

    def take(self, lines: Sequence[Line]) -> Sequence[Entry]:
        """What stands when these records, or for a while no more of them, have come."""
        now = time.monotonic()
        if lines:
            self._heard = now
            self._owe(lambda: self._drawn_of(lines, now))
        elif self._held is not None and now - self._heard >= _STILL:
            self._owe(self._rest)
        return self._owed

    def rest(self) -> Sequence[Entry]:
        """All that stands on the screen: nothing follows."""
        self._owe(self._rest)
        return self._owed

    def _owe(self, work: Callable[[], list[Entry]]) -> None:
        """What is drawn must not hold up what follows it."""
        try:
            self._owed += work()
        except Exception:
            log.exception("a screen could not be drawn")
            self._screen, self._held = _screen(), None

    def _drawn_of(self, lines: Sequence[Line], now: float) -> list[Entry]:
        self._earn(now)
        found: list[Entry] = []
        at_any_cost = True
        for line in lines:
            if line.stream == "out":
                found += self._next(line)
            else:
                if at_any_cost or self._credit > 0:
                    found += self._rest()
                found.append(Entry(line, (_text(line.text),)))
                self._drawn = self._told = line.end
                at_any_cost = False  # many of them are no launcher's
        return found + self._look(lines[-1].at)

    def _rest(self) -> list[Entry]:
        self._draw_held()
        self._go_on()
        return self._look(self._screen.now, all_of_it=True)

    def _next(self, line: Line) -> list[Entry]:
        due = line.at - self._screen.now >= _LOOKS and self._credit > 0
        found = self._look(line.at) if due else []
        self._draw_held()
        self._held = line
        return found

    def _draw_held(self) -> None:
        line, self._held = self._held, None
        if line is None:
            return
        if self._skipped and self._credit >= _ENOUGH:
            self._go_on()
        if self._skipped or self._credit <= 0:
            self._skip(line)
        else:
            self._draw(line)
        self._drawn = line.end

    def _draw(self, line: Line) -> None:
        begun, most = time.thread_time(), max(self._credit, _ENOUGH)
        self._screen.now = line.at
        self._lost += self._screen.feed(_raw(line), lambda: time.thread_time() - begun > most)
        self._credit -= time.thread_time() - begun

    def _skip(self, line: Line) -> None:
        self._skipped.append(line)
        self._kept += len(_raw(line))
        while self._kept > _LAST and len(self._skipped) > 1:
            gone = len(_raw(self._skipped.popleft()))
            self._kept -= gone
            self._lost += gone

    def _go_on(self) -> None:
        """Draw the end of what was too much."""
        left, self._skipped, self._kept = self._skipped, deque(), 0
        for line in left:
            self._draw(line)

    def _look(self, at: int, all_of_it: bool = False) -> list[Entry]:
        """An entry with the lines that stand, beyond the one before."""
        if self._drawn <= self._told:
            return []
        begun = time.thread_time()
        rows = self._screen.take(at, all_of_it)
        self._credit -= time.thread_time() - begun
        if self._lost and not self._skipped:
            rows, self._lost = [_LEFT_OUT.format(self._lost // 1024 + 1), *rows], 0
        if not rows:
            return []
        self._told = self._drawn
        return [Entry(Line("out", at, rows[0], self._drawn), tuple(map(_text, rows)))]

    def _earn(self, now: float) -> None:
        self._credit = min(_BURST, self._credit + (now - self._counted) * _SHARE)
        self._counted = now


def _screen(known: Iterable[str] = ()) -> Screen:
    from core.sessions.screen import Screen  # it draws by a library that most never need

    return Screen(known)


def _text(words: str) -> AgentEvent:
    return AgentEvent(AgentEventKind.TEXT, words)


def _raw(line: Line) -> str:
    return f"{line.text}\n" if line.raw is None else line.raw.decode("utf-8", "replace")
