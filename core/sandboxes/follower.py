"""Follows one attempt in a place that shares no folder until it has ended there and all of it is
home, whatever engine is spoken to."""

from __future__ import annotations

import asyncio
import contextlib
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import structlog

from core.errors import Broken, Unreachable
from core.ports import Exit
from core.sandboxes.afar import Afar
from core.sandboxes.mirror import Mirror
from core.sandboxes.output import clean

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 10.0
CATCH_UP = 5.0
"""Seconds for which what it said meanwhile may be on its way, once its log is followed again."""
WITHOUT_FOLDER = 2.0
"""Seconds between two questions to an engine about what has lost its folder: it can't be heard."""
LASTING = 30.0
"""Seconds after which a trouble is told, whatever it is: nothing of the attempt comes home."""
FAULTS = 3
"""Faults of ours in a row that what it says brings out: then nobody listens any more."""

log = structlog.get_logger(__name__)
T = TypeVar("T")


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
        self._first = self._last = float("-inf")
        self._why = ""
        self._end: Exit | None = None
        self._reasons: dict[str, str] = {}
        self._faults, self._fault, self._marked = 0, "", False
        self.task = asyncio.create_task(self._run())

    async def settled(self, seconds: float) -> Exit | None:
        """Its end, waited for so long; None where it isn't known by then."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.done.wait()
        return self._afar.attempt.end() or self._end

    def away(self, lasting: float) -> str | None:
        """Why nobody knows of it: what gives no answer now, or any trouble that has lasted so many
        seconds and is not over."""
        if isinstance(self.trouble, Unreachable):
            return str(self.trouble)
        lasts = self._last - self._first >= lasting and self._fails()
        return self._why if lasts and not self.done.is_set() else None

    def _fails(self) -> bool:
        """Whether the last trouble was just now: the next one would be the same trouble."""
        return time.monotonic() - self._last < 3 * LONGEST_PAUSE

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
            except Exception as error:
                self._troubled(error if isinstance(error, Broken) else Broken(_words(error)))
                if not isinstance(error, (Broken, OSError)):
                    log.exception("an attempt elsewhere can't be followed", folder=self._folder)
                await self._rest(2.0, LONGEST_PAUSE)

    def _troubled(self, error: Broken) -> None:
        if not self._fails():
            self._first = time.monotonic()
        self.trouble, self._why, self._last = error, str(error), time.monotonic()

    async def _rest(self, factor: float, longest: float) -> None:
        """A pause; the next one is longer, unless something is heard meanwhile."""
        self._waked.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._pause):
                await self._waked.wait()
        self._pause = min(self._pause * factor, longest)

    async def _heeded(self, hearing: Awaitable[T]) -> T:
        """What comes of taking in what it says. That may bring out a fault of ours, and may do so
        whenever it is tried again: whoever is `deaf` by that has it ended, and its end told."""
        try:
            heard = await hearing
        except (Broken, OSError):
            raise
        except Exception as error:
            self._faults, self._fault = self._faults + 1, _words(error)
            raise
        self._faults = 0
        return heard

    @property
    def _deaf(self) -> bool:
        return self._faults >= FAULTS

    async def _settled(self, end: Exit) -> Exit:
        """It has ended over there, which is proven: its end, recorded; with all that is home."""
        if self._deaf:
            why = f"what it says can't be taken in: {self._fault}"
            end = replace(end, error=why) if end.reason == "gone" else end
            self._mark(why)
        try:
            return await self._afar.settle(end)
        except (Broken, OSError):
            raise
        except Exception as error:
            log.exception("an attempt elsewhere can't be brought home", folder=self._folder)
            why = f"its work could not be brought back: {_words(error)}"
            end = Exit(reason="gone", error=why, at=time.time_ns() // 1_000_000)
            self._afar.attempt.bury(end)
            return end

    def _mark(self, why: str) -> None:
        """The last words in its output, once."""
        line = f"{time.time_ns() // 1_000_000} m {why}\n"
        with contextlib.suppress(OSError):
            if not self._marked:
                with open(self._afar.attempt.output, "ab") as file:
                    file.write(line.encode("utf-8", "replace"))
        self._marked = True

    @abstractmethod
    async def _follow(self) -> Exit:
        """Returns when it has ended, and all is home that has a place there. Raises Broken,
        OSError, and any fault of ours."""


def _words(error: Exception) -> str:
    """In one line."""
    fault = "" if isinstance(error, OSError) else f"a fault of ours ({type(error).__name__}): "
    return clean(f"{fault}{error}"[:300].replace("\n", " "))


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
