"""Work under way beside the loop: one of a name at a time, tried again with a pause."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass

import structlog

from core.errors import BullpenError

log = structlog.get_logger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
HELD_PAUSE = 5.0
"""Seconds until something that waits for the outside (a dirty checkout) is tried again."""
PATIENCE = 3
"""After so many failures a job counts as waiting for a person."""


@dataclass(slots=True)
class Again:
    """When to try again, and how often it failed (0: it was only held up)."""

    at: float
    failures: int


class Jobs:
    """Named asyncio tasks. A job that raises, or returns False, is started again later."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self.running: dict[str, asyncio.Task[None]] = {}
        self._again: dict[str, Again] = {}
        self._changed = changed

    def start(self, name: str, work: Callable[[], Awaitable[bool | None]]) -> None:
        """Start it unless it runs or has to wait."""
        waiting = self._again.get(name)
        if name in self.running or (waiting and waiting.at > time.monotonic()):
            return
        self.running[name] = asyncio.create_task(self._do(name, work), name=name)

    def soon(self, name: str) -> None:
        """A person has asked for it: it doesn't wait any longer."""
        self._again.pop(name, None)

    def idle(self, besides: Collection[str] = ()) -> bool:
        """Nothing runs but `besides`, and nothing that failed is about to be tried again soon."""
        return not self.running.keys() - set(besides) and all(
            again.failures in (0, PATIENCE) for again in self._again.values()
        )

    def next_in(self) -> float:
        """Seconds until the next one may be tried again; infinite when none waits.

        One that was due and that nobody has started again has lost its reason.
        """
        now = time.monotonic()
        self._again = {
            name: again
            for name, again in self._again.items()
            if again.at > now or name in self.running
        }
        return min(
            (max(0.05, again.at - now) for again in self._again.values()), default=float("inf")
        )

    async def cancel(self) -> None:
        """Cancel all and wait until they have let go."""
        jobs = list(self.running.values())
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)

    async def _do(self, name: str, work: Callable[[], Awaitable[bool | None]]) -> None:
        try:
            held = await work() is False
        except BullpenError as error:
            log.warning("job failed", job=name, error=str(error))
            self._failed(name)
        except Exception:
            log.exception("job broke", job=name)
            self._failed(name)
        else:
            self._again.pop(name, None)
            if held:
                self._again[name] = Again(time.monotonic() + HELD_PAUSE, 0)
        finally:
            self.running.pop(name, None)
            self._changed()

    def _failed(self, name: str) -> None:
        before = self._again.get(name)
        failures = min(PATIENCE, before.failures + 1 if before else 1)
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 4 ** (failures - 1))
        if before and before.failures == PATIENCE:
            pause = LONGEST_PAUSE
        self._again[name] = Again(time.monotonic() + pause, failures)
