"""Follows an attempt's output from the stored positions, into the log and into state."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import structlog

from core.house import House
from core.killpoints import kill_point
from core.model import AgentEvent, AgentEventKind, Attempt, Iteration
from core.ports import Driver, Line, Sandbox
from core.sessions.absorb import WEIGHTY, absorb
from core.store import logs, sessions

log = structlog.get_logger(__name__)

CHUNK = 1 << 20
FLUSH = 1.0
"""Seconds between two writes of light events into state."""
PROGRESS = 3.0
"""Seconds between two mentions of progress to people."""
_TOGETHER = 100
"""Texts that are redacted as one, for a secret of several lines that came line by line."""


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
        self._iteration = iteration.number
        self._weighty = weighty
        self._position = position
        self._seen = attempt.position
        self._held: list[AgentEvent] = []
        self._flushed = time.monotonic()
        self._told = 0.0
        self._finished: float | None = None
        self._puzzled = False

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
        logged, last = await house.store.logs.write(
            lambda tx: (
                logs.position(tx, session_id, attempt.number),
                logs.last_finished(tx, session_id, attempt.number),
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
        return tailer

    async def take(self) -> bool:
        """Take in one chunk; False when there was nothing new."""
        lines = await self.sandbox.read(self.folder, self._position, CHUNK)
        if lines:
            await self._log(lines)
        await self._flush(due=time.monotonic() - self._flushed >= FLUSH)
        return bool(lines)

    @property
    def finished(self) -> bool:
        """Whether the agent has given its result."""
        return self._finished is not None

    def lingers(self, grace: float) -> bool:
        """Whether the agent gave its result more than `grace` seconds ago."""
        return self._finished is not None and time.monotonic() - self._finished > grace

    async def drain(self) -> None:
        """Everything to the end, after the process has ended."""
        while await self.take():
            pass
        await self._flush(due=True)

    async def _log(self, lines: Sequence[Line]) -> None:
        entries = [logs.Entry(line, self._parsed(line)) for line in lines]
        written = await self._house.store.logs.write(
            lambda tx: logs.append(
                tx, self.attempt.session_id, self.attempt.number, self._iteration, entries
            )
        )
        kill_point("after-log")
        if written is not None:
            for hear in self._house.store.heard:
                hear(written)
        for entry in entries:
            if any(event.kind is AgentEventKind.FINISHED for event in entry.events):
                self._finished = time.monotonic()
            if entry.line.end > self._seen:
                self._held.extend(entry.events)
        self._position = lines[-1].end

    def _parsed(self, line: Line) -> Sequence[AgentEvent]:
        """What the driver reads in the line; one that it stumbles over is plain text."""
        try:
            return self.driver.parse(line)
        except Exception:  # a line of an agent's must not hold up all that follow it
            if not self._puzzled:
                log.exception("a line could not be read", session=self.attempt.session_id)
            self._puzzled = True
            return (AgentEvent(AgentEventKind.TEXT, line.text),)

    async def _flush(self, due: bool) -> None:
        """Weighty events at once, light ones at the interval; nothing held, nothing written."""
        held, position = self._held, self._position
        weighty = any(event.kind in WEIGHTY for event in held)
        if not held or not (due or weighty):
            return
        progress = self._progress(held)
        await self._house.store.write(
            lambda tx: absorb(tx, self._house, self.attempt.session_id, held, position, progress)
        )
        self._held, self._seen = [], position
        self._flushed = time.monotonic()
        if weighty:
            self._weighty()

    def _progress(self, events: Sequence[AgentEvent]) -> str | None:
        """The newest thing worth a glance, at most every few seconds."""
        worth = {AgentEventKind.TOOL_CALL, AgentEventKind.FILE_CHANGE, AgentEventKind.TEXT}
        said = [event.text for event in events if event.kind in worth and event.text.strip()]
        if not said or time.monotonic() - self._told < PROGRESS:
            return None
        self._told = time.monotonic()
        whole = self._house.redact("\n".join(said[-_TOGETHER:]))  # before any cut
        return whole.strip().splitlines()[-1][:200]
