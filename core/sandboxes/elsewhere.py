"""What sandboxes that share no folder have in common, whatever engine they speak to: each attempt
is followed until it has ended over there and all of it is home.
"""

from __future__ import annotations

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar
from weakref import WeakValueDictionary

from core.errors import Broken, Unreachable
from core.ports import Exit, Line, Order, Ran, Status
from core.sandboxes import errands, output
from core.sandboxes.attempt import Attempt
from core.sandboxes.follower import LASTING, Follower

LOOK = 0.5
"""Seconds between two looks whether the way there is open."""
CLEARING = 10.0
SETTLING = 120.0
"""Seconds for which the way home is waited for after the engine says that it has ended."""


class Known(Protocol):
    """Where an attempt is to be found."""

    @property
    def handle(self) -> str: ...


P = TypeVar("P", bound=Known)
F = TypeVar("F", bound=Follower)


class Elsewhere(ABC, Generic[P, F]):
    """The Sandbox port but for what the engine has to be asked."""

    shares_folder = False
    lasting = LASTING

    def __init__(self) -> None:
        self._followers: dict[Path, F] = {}
        self._closed = 0
        self._locks: WeakValueDictionary[Path, asyncio.Lock] = WeakValueDictionary()

    async def start(self, order: Order) -> str:
        async with self._lock(order.folder):
            place = await self._begun(order)
        self._follower(order.folder, place)
        return place.handle

    async def find(self, folder: Path) -> str | None:
        if not folder.exists():
            return None
        async with self._lock(folder):
            place = await self._found(folder)
        if place is None:
            return None
        self._follower(folder, place)
        return place.handle

    async def ended(self, folder: Path, handle: str) -> None:
        place, closed = self._place(folder, handle), self._closed
        while Attempt(folder).end() is None:
            if closed != self._closed:
                raise Unreachable("it is not followed any more")
            follower = self._follower(folder, place)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK):
                    await follower.done.wait()
                    return
            if (why := follower.away(self.lasting)) and not follower.done.is_set():
                raise Unreachable(why)

    async def status(self, folder: Path, handle: str) -> Status:
        status = await self._status(folder, self._place(folder, handle))
        follower = self._followers.get(folder)
        if status.alive and follower is not None and (why := follower.away(self.lasting)):
            raise Unreachable(why)  # as `ended` says
        return status

    async def read(self, folder: Path, position: int, limit: int) -> Sequence[Line]:
        return await output.reading(Attempt(folder).output, position, limit)

    async def send(self, folder: Path, number: int, data: bytes, last: bool = False) -> None:
        """Kept for the record: over there it is pulled from the API."""
        Attempt(folder).send(number, data, last)

    async def note(self, folder: Path, name: str, text: str) -> None:
        """Word for this side: a terminal's size does not get there; that a person is asked need
        not."""
        Attempt(folder).note(name, text)

    async def run(self, order: Order) -> Ran:
        return await errands.run(self, order)

    async def close(self) -> None:
        """Stop following; what runs over there runs on. Who waits for an end is told so: two that
        follow the same attempt would write each line twice."""
        self._closed += 1
        tasks = [follower.task for follower in self._followers.values()]
        self._followers.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # -- the engine's part -------------------------------------------------------------------

    name: str

    @abstractmethod
    def missing(self, container: Mapping[str, Any]) -> str | None: ...

    @abstractmethod
    async def stop(self, folder: Path, handle: str, force: bool = False) -> Exit: ...

    @abstractmethod
    async def forget(self, folder: Path) -> None: ...

    @abstractmethod
    async def _begun(self, order: Order) -> P:
        """The place of what has started: now, or before. Nobody else asks for the same folder
        meanwhile."""

    @abstractmethod
    async def _status(self, folder: Path, place: P) -> Status:
        """What the engine says of it; its end when all is home. Raises Unreachable."""

    @abstractmethod
    async def _found(self, folder: Path) -> P | None:
        """As the port's `find`."""

    @abstractmethod
    def _place(self, folder: Path, handle: str) -> P:
        """Where a handle leads. Raises Broken for one of another kind."""

    @abstractmethod
    def _followed(self, folder: Path, place: P) -> F:
        """A new follower."""

    # -- for the engine's part ---------------------------------------------------------------

    async def _over(self, folder: Path) -> Status | None:
        """Its end, where that is written down: what it ran in is taken away just after."""
        if (end := Attempt(folder).end()) is None:
            return None
        if (follower := self._followers.get(folder)) is not None:
            await follower.settled(CLEARING)
        return Status(alive=False, end=end)

    def _answers(self, folder: Path) -> None:
        """The engine has just answered."""
        if (follower := self._followers.get(folder)) is not None:
            follower.wake()

    async def _home(self, follower: F) -> Status:
        """It has ended over there: its end, when all is home."""
        end = await follower.settled(SETTLING)
        if end is None:
            raise Unreachable(f"its work is not home yet: {follower.trouble or 'the log goes on'}")
        return Status(alive=False, end=end)

    async def _stopped(self, follower: F, seconds: float, what: str, look: str) -> Exit:
        """It was asked to end: its end, within so many seconds and the way home. Raises Broken
        where that can't be proven."""
        follower.hurry()
        end = await follower.settled(seconds + SETTLING)
        if end is None:
            why = f" ({follower.trouble})" if follower.trouble else ""
            raise Broken(f"that nothing of {what} is left can't be proven{why}: {look}")
        return end

    def _follower(self, folder: Path, place: P) -> F:
        """The one of that attempt; a new one after a restart."""
        follower = self._followers.get(folder)
        if follower is None or (follower.task.done() and not follower.done.is_set()):
            follower = self._followed(folder, place)
            self._followers[folder] = follower
            follower.task.add_done_callback(lambda task: self._forgotten(folder, task))
        return follower

    def _forgotten(self, folder: Path, task: asyncio.Task[None]) -> None:
        follower = self._followers.get(folder)
        if follower is not None and follower.task is task:
            del self._followers[folder]

    def _lock(self, folder: Path) -> asyncio.Lock:
        """Held by one at a time; gone when nobody holds it."""
        return self._locks.setdefault(folder, asyncio.Lock())
