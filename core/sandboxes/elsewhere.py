"""What sandboxes that share no folder have in common, whatever engine they speak to: each attempt
is followed until it has ended over there and all of it is home.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar
from weakref import WeakValueDictionary

from core.errors import Broken, Unreachable
from core.ports import Exit, Line, Order, Ran, Status
from core.sandboxes import errands, output
from core.sandboxes.afar import Afar
from core.sandboxes.attempt import Attempt
from core.sandboxes.mirror import Mirror

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 10.0
LOOK = 0.5
"""Seconds between two looks whether the way there is open."""
CLEARING = 10.0
CATCH_UP = 5.0
"""Seconds for which what it said meanwhile may be on its way, once its log is followed again."""
WITHOUT_FOLDER = 2.0
"""Seconds between two questions to an engine about what has lost its folder: it can't be heard."""
SETTLING = 120.0
"""Seconds for which the way home is waited for after the engine says that it has ended."""


class Known(Protocol):
    """Where an attempt is to be found."""

    @property
    def handle(self) -> str: ...


class Silence:
    """How long nothing new has come of an attempt, of the time in which it could be heard: that its
    log is followed anew is no news, and while it can't be followed nobody knows."""

    def __init__(self, afar: Afar) -> None:
        self._afar = afar
        self._lasted, self._looked, self._position = 0.0, 0.0, -1

    def listen(self, most: float) -> None:
        """Its log is followed now, as it may have been before; `most` is how long it may last."""
        self._looked = time.monotonic()
        self._lasted = min(self._lasted, most - min(CATCH_UP, most / 2))

    def seconds(self, mirror: Mirror) -> float:
        """None of them while a person is asked."""
        now, new = time.monotonic(), mirror.next != self._position
        self._lasted = 0.0 if new or self._afar.waits() else self._lasted + now - self._looked
        self._looked, self._position = now, mirror.next
        return self._lasted


class Follower(ABC):
    """One for an attempt. `done` is set when its end is known, and recorded where its folder is
    still there; `trouble` is why nothing is known just now."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._afar = folder, Afar(folder)
        self._pause, self._waked = FIRST_PAUSE, asyncio.Event()
        self._silence = Silence(self._afar)
        self.done = asyncio.Event()
        self.trouble: Broken | None = None
        self._end: Exit | None = None
        self._reasons: dict[str, str] = {}
        self.task = asyncio.create_task(self._run())

    async def settled(self, seconds: float) -> Exit | None:
        """Its end, waited for so long; None where it isn't known by then."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.done.wait()
        return self._afar.attempt.end() or self._end

    def wake(self) -> None:
        """What it could not reach answers again: try it now."""
        if isinstance(self.trouble, Unreachable):
            self.trouble = None
            self.hurry()

    def hurry(self) -> None:
        """It is about to end: look now."""
        self._pause = FIRST_PAUSE
        self._waked.set()

    def because(self, reason: str, words: str = "") -> None:
        """Remember why it is ended: also for a bot that is started meanwhile, where its folder is
        there and the disk has room."""
        self._reasons[reason] = words
        with contextlib.suppress(OSError):
            (self._folder / reason).write_text(words, "utf-8")

    def reason(self, reason: str) -> str | None:
        """The words with which it is ended for that reason; None where it isn't."""
        with contextlib.suppress(OSError):
            return (self._folder / reason).read_text("utf-8", "replace")
        return self._reasons.get(reason)

    async def _run(self) -> None:
        """Whatever fails is tried again: the end is recorded when it is known, and not before."""
        while not self.done.is_set():
            try:
                self._end = await self._follow()
                self.done.set()
            except (Broken, OSError) as error:
                self.trouble = error if isinstance(error, Broken) else Broken(str(error))
                await self._rest(2.0, LONGEST_PAUSE)

    async def _rest(self, factor: float, longest: float) -> None:
        """A pause; the next one is longer, unless something is heard meanwhile."""
        self._waked.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._pause):
                await self._waked.wait()
        self._pause = min(self._pause * factor, longest)

    @abstractmethod
    async def _follow(self) -> Exit:
        """Returns when it has ended, and all is home that has a place there. Raises Broken and
        OSError."""


P = TypeVar("P", bound=Known)
F = TypeVar("F", bound=Follower)


class Elsewhere(ABC, Generic[P, F]):
    """The Sandbox port but for what the engine has to be asked."""

    shares_folder = False

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
            if isinstance(follower.trouble, Unreachable) and not follower.done.is_set():
                raise Unreachable(str(follower.trouble))

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
    async def status(self, folder: Path, handle: str) -> Status: ...

    @abstractmethod
    async def stop(self, folder: Path, handle: str, force: bool = False) -> Exit: ...

    @abstractmethod
    async def forget(self, folder: Path) -> None: ...

    @abstractmethod
    async def _begun(self, order: Order) -> P:
        """The place of what has started: now, or before. Nobody else asks for the same folder
        meanwhile."""

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


@contextlib.asynccontextmanager
async def meanwhile(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Beside what is done in here, do that too: no longer, and its trouble is no one's."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait((task,))  # unlike awaiting it, that swallows no cancellation of ours
        if not task.cancelled():
            task.exception()
