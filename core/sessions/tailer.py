"""Follows an attempt's output from the stored positions, into the log and into state."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import structlog

from core.errors import Broken, BullpenError, Unreachable
from core.house import House
from core.model import AgentEvent, AgentEventKind, Attempt, Iteration
from core.ports import Driver, Line, Sandbox, Sized
from core.sessions.absorb import STATEFUL, WEIGHTY, absorb, tell
from core.sessions.newest import Newest
from core.sessions.pieces import Pieces
from core.sessions.terminal import Terminal, terminal
from core.sessions.wording import worded
from core.sessions.writing import Writer
from core.shortages import passing
from core.store import logs, sessions

log = structlog.get_logger(__name__)
K = AgentEventKind
_HEARD = AgentEvent(K.TEXT, "")
"""In the place of what tells state no more than that: a flood of it takes no room."""

CHUNK = 1 << 20
FLUSH = 1.0
"""Seconds between two writes of light events into state."""
SHOWN = 2000
"""Characters that are kept of what an event says in a line of more than a megabyte."""
ENDED = 1 << 53
"""The position after an output whose rest can't be read."""


class Tailer:
    """One output, two cursors: the log's (logs.db) and the state's (the attempt's row). Each
    batch goes to the log first; after a crash both go on from where they are."""

    def __init__(
        self,
        house: House,
        attempt: Attempt,
        iteration: Iteration,
        driver: Driver,
        sandbox: Sandbox,
        position: int,
        weighty: Callable[[], None],
    ) -> None:
        self._house = house
        self.attempt = attempt
        self.driver = driver
        self.sandbox = sandbox
        self.handle = attempt.handle or ""
        self.folder: Path = house.attempt_folder(attempt.session_id, attempt.number)
        self._writer = Writer(house, attempt.session_id, attempt.number, iteration.number)
        self._newest = Newest(house.redact)
        self._weighty = weighty
        self._position = self._taken = position
        self._pieces = Pieces() if driver.structured else None
        self._seen = attempt.position
        self._held: list[AgentEvent] = []
        self._pressing = False
        self._flushed = time.monotonic()
        self._workspace = ""
        self._finished: float | None = None
        self._further = False
        self._terminal: Terminal | None = None
        self._sized = sandbox if isinstance(sandbox, Sized) else None

    @classmethod
    async def at(cls, house: House, session_id: str, weighty: Callable[[], None]) -> Tailer:
        """A tailer that goes on where the stored positions are. `weighty` is called when
        something was taken in that may ask for an input at once."""
        session, attempt, iteration = await house.store.write(
            lambda tx: (
                sessions.get(tx, session_id),
                sessions.get_attempt(tx, session_id),
                sessions.get_iteration(tx, session_id),
            )
        )
        logged, last, rests = await house.store.logs.write(
            lambda tx: (
                logs.position(tx, session_id, attempt.number),
                logs.last_finished(tx, session_id, attempt.number),
                logs.rests(tx, session_id, attempt.number),
            )
        )
        tailer = cls(
            house,
            attempt,
            iteration,
            house.drivers[session.driver],
            house.sandboxes[session.sandbox],
            min(logged, attempt.position),
            weighty,
        )
        tailer._finished = time.monotonic() if last is not None else None
        tailer._further = not rests
        tailer._workspace = session.worktree
        if session.interactive and tailer.driver.reports_tools:
            about = (tailer.sandbox, tailer.folder, logged)
            tailer._terminal = await terminal(house.store, session_id, *about)
            tailer._position = logged
        return tailer

    async def take(self) -> bool:
        """Take in one chunk; False when there was nothing new."""
        return await self._in(await self.sandbox.read(self.folder, self._position, CHUNK))

    def due(self) -> bool:
        """Whether `take` may have something to do, at a glance: its file has grown, or something
        waits for its time to come."""
        if self._held or self._newest.waits or self._finished is not None or self._sized is None:
            return True
        drawn = self._terminal is not None and self._terminal.pending
        return drawn or self._sized.size(self.folder) > self._position

    @property
    def finished(self) -> bool:
        """Whether the agent has given a result."""
        return self._finished is not None

    def lingers(self, grace: float) -> bool:
        """Whether the agent gave its result more than `grace` seconds ago, and has begun no
        further turn."""
        if self._finished is None or self._further:
            return False
        return time.monotonic() - self._finished > grace

    def _turned(self, entries: Sequence[logs.Entry]) -> None:
        for event in (event for entry in entries for event in entry.events):
            if event.kind is K.FINISHED:
                self._finished, self._further = time.monotonic(), False
            elif event.kind is K.STARTED:
                self._further = True

    async def drain(self) -> None:
        """Everything to the end, after the process has ended. What can't be read by then never
        will be: a mark says so, and the end is told all the same. Raises Unreachable."""
        while await self._in(await self._last_lines()):
            pass
        rest = self._rest() if self._terminal is None else self._terminal.rest()
        if rest:
            await self._log(rest)
        await self._flush(due=True)

    async def _in(self, lines: Sequence[Line]) -> bool:
        if entries := self._entries(lines):
            await self._log(entries)
        self._position = lines[-1].end if lines else self._position
        if self._pieces is None or not self._pieces.waits:
            self._taken = self._position
        await self._flush(due=time.monotonic() - self._flushed >= FLUSH)
        await self._tell_late()
        return bool(lines)

    async def _last_lines(self) -> Sequence[Line]:
        if self._position >= ENDED:
            return ()
        try:
            return await self.sandbox.read(self.folder, self._position, CHUNK)
        except Exception as error:
            if isinstance(error, Unreachable) or passing(error):
                raise
            level = log.warning if isinstance(error, Broken) else log.exception
            level("output lost", session=self.attempt.session_id, error=str(error))
            now = time.time_ns() // 1_000_000
            return [Line("mark", now, f"the rest of the output can't be read: {error}", ENDED)]

    def _entries(self, lines: Sequence[Line]) -> Sequence[logs.Entry]:
        if self._terminal is not None:
            self._position = lines[-1].end if lines else self._position
            return self._terminal.take(lines)
        if self._pieces is None:
            return [logs.Entry(line, self._parsed(line)) for line in lines]
        return [self._entry(line, long) for line, long in self._pieces.whole(lines)]

    def _rest(self) -> Sequence[logs.Entry]:
        """A line that has begun, and nothing will follow."""
        if self._pieces is None or not self._pieces.waits:
            return ()
        self._taken = self._position
        return [self._entry(line, long) for line, long in self._pieces.rest()]

    def _entry(self, line: Line, long: bool) -> logs.Entry:
        events = self._parsed(line)
        if long:  # in its log, too, nobody reads a megabyte of it
            events = [_shortened(event) for event in events]
            line = msgspec.structs.replace(line, text="")
        return logs.Entry(line, events)

    async def _log(self, entries: Sequence[logs.Entry]) -> None:
        self._turned(entries)
        kept = await self._writer.write(entries)
        if self._terminal is not None:
            self._terminal.logged()
        said = [event for entry in kept for event in entry.events]
        if entries[0].line.end <= self._seen:
            said = [ev for entry in kept if entry.line.end > self._seen for ev in entry.events]
        self._held.extend(event if event.kind in STATEFUL else _HEARD for event in said)
        self._pressing = self._pressing or any(event.kind in WEIGHTY for event in said)
        self._newest.remember(said)

    def _parsed(self, line: Line) -> Sequence[AgentEvent]:
        """What the driver reads in the line; one that it stumbles over is plain text."""
        try:
            events = self.driver.parse(line)
            for event in events:
                if event.kind is K.FILE_CHANGE:
                    return [worded(one, self._workspace) for one in events]
            return events
        except Exception:  # a line of an agent's must not hold up all that follow it
            self._writer.puzzle("a line could not be read")
            return (AgentEvent(AgentEventKind.TEXT, line.text),)

    async def _flush(self, due: bool) -> None:
        """Weighty events at once, light ones at the interval; nothing held, nothing written."""
        held, position, weighty = self._held, self._taken, self._pressing
        if not held or not (due or weighty):
            return
        progress = self._progress()
        batch = (self._house, self.attempt.session_id, held, position, progress)
        try:
            marks = await self._house.store.write(lambda tx: absorb(tx, *batch))
        except Exception as error:  # nothing that an agent says may hold up what follows it
            if not isinstance(error, BullpenError):
                self._writer.puzzle("taken in one by one")
            marks = await self._house.store.write(lambda tx: absorb(tx, *batch, apart=True))
        for words in marks:
            await self._writer.mark(words)
        self._held, self._seen, self._pressing = [], position, False
        self._flushed = time.monotonic()
        if weighty:
            self._weighty()

    async def _tell_late(self) -> None:
        """What came too soon after the last mention, and nothing since."""
        progress = None if self._held else self._progress()
        if progress is not None:
            await self._house.store.write(
                lambda tx: tell(tx, sessions.get(tx, self.attempt.session_id), progress)
            )

    def _progress(self) -> str | None:
        try:
            return self._newest.mention()
        except Exception:
            self._writer.puzzle("its newest lines are not shown")
            return None


def _shortened(event: AgentEvent) -> AgentEvent:
    left = len(event.text) - SHOWN
    if left <= SHOWN or event.kind in WEIGHTY:
        return event
    words = f"{event.text[:SHOWN]}… [{left:,} more characters]"
    return msgspec.structs.replace(event, text=words)
