"""From stored intake to the interpreter: in order, once, whatever dies between."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from core.commands.incoming import File, Incoming
from core.commands.interpreter import Interpreter
from core.errors import BullpenError
from core.killpoints import kill_point
from core.store import intake
from core.store.database import Row, Store
from core.waiting import woken

log = logging.getLogger(__name__)
SAFETY = 30.0
"""Seconds after which the intake is looked at although nobody called."""
TROUBLE = 2.0
"""The same, when a command could not be carried out."""
GIVE_UP = 15
"""Failed looks in a row after which nobody waits any more for the rest."""
MOST_NOTES = 64
"""How many presses may be under acknowledgement; further ones go without."""


class Entrance(Protocol):
    """The inward side of a face."""

    def understand(self, payload: str) -> Incoming | None:
        """What a stored payload says; None when it is nothing to us."""

    async def acknowledge(self, incoming: Incoming, note: str) -> None:
        """Tell the platform that it arrived; of no consequence when it fails."""

    async def fetch(self, file: File) -> bytes:
        """An attached file's content."""


class Reception:
    """`keep()` stores what a platform delivered; `run()` executes what is stored. `answered`
    is called when an answer is owed."""

    def __init__(
        self,
        store: Store,
        interpreter: Interpreter,
        entrances: Mapping[str, Entrance],
        answered: Callable[[], None],
    ) -> None:
        self._store = store
        self._interpreter = interpreter
        self._entrances = entrances
        self._answered = answered
        self._woken = asyncio.Event()
        self._quiet = asyncio.Event()
        self._failures = 0
        self._notes: set[asyncio.Task[None]] = set()

    async def keep(self, platform: str, bot: str, updates: Sequence[tuple[str, str]]) -> None:
        """Store updates under their keys, in one transaction; known ones change nothing."""
        self._quiet.clear()
        kill_point("before-intake")
        await self._store.write(lambda tx: intake.keep(tx, platform, bot, updates))
        kill_point("after-intake")
        self._woken.set()

    async def run(self) -> None:
        try:
            while True:
                self._woken.clear()
                delay = await self._turn()
                await woken(self._woken, delay)
        finally:
            for note in self._notes:
                note.cancel()

    def idle(self) -> bool:
        return self._quiet.is_set() and not self._woken.is_set() and not self._notes

    async def _turn(self) -> float:
        """Execute what is stored; returns the seconds until the next look."""
        try:
            await self._all()
        except BullpenError as error:
            self._failures += 1
            if self._failures == 1:  # once a trouble, not once a try
                log.warning("%s Commands wait until then.", error)
            if self._failures >= GIVE_UP:
                self._quiet.set()
            return TROUBLE
        self._failures = 0
        self._quiet.set()
        return SAFETY

    async def _all(self) -> None:
        """One after the other, in the order of their arrival."""
        while rows := await self._store.read(intake.NEXT):
            for row in rows:
                await self._one(row)

    async def _one(self, row: Row) -> None:
        entrance = self._entrances.get(row["platform"])
        incoming = entrance.understand(row["payload"]) if entrance else None
        if entrance is None or incoming is None:
            await self._store.write(lambda tx: intake.settle(tx, row["id"], "nothing to do"))
            return
        reply = await self._interpreter.execute(incoming, row["id"], entrance.fetch)
        self._answered()
        if incoming.callback is not None:
            self._acknowledge(entrance, incoming, reply.title if reply is not None else "")

    def _acknowledge(self, entrance: Entrance, incoming: Incoming, note: str) -> None:
        """Beside the commands: a platform that is slow holds up nobody's next one."""
        if len(self._notes) >= MOST_NOTES:
            return
        task = asyncio.create_task(_tell(entrance, incoming, note))
        self._notes.add(task)
        task.add_done_callback(self._notes.discard)


async def _tell(entrance: Entrance, incoming: Incoming, note: str) -> None:
    try:
        await entrance.acknowledge(incoming, note)
    except Exception:
        log.exception("A press could not be acknowledged")
