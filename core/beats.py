"""One look at each beat, for all who wait for what they can see at a glance.

However many sessions run: one timer, and for each a glance that costs a few microseconds; who has
nothing to do is not woken. A glance looks at what is there, not at what has changed since, so a
beat that comes too late, or while nobody waits, loses nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

Glance = Callable[[], bool]


class Beats:
    """Belongs to the loop in which somebody waits."""

    def __init__(self) -> None:
        self._waiting: dict[asyncio.Event, Glance] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._interval = 0.1

    def stir(self, sleeper: asyncio.Event, glance: Glance, interval: float) -> None:
        """Sets the event at each beat at which `glance` says so, or raises: what is wrong shows
        when it is done in earnest. `interval`: seconds between two beats, the same for all."""
        self._waiting[sleeper] = glance
        self._interval = interval
        if self._timer is None:
            self._wind()

    def leave(self, sleeper: asyncio.Event) -> None:
        self._waiting.pop(sleeper, None)
        if not self._waiting and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wind(self) -> None:
        """All beats of a process fall on the same instants: what is read together is written to
        the log in one stroke."""
        rest = self._interval - time.monotonic() % self._interval
        self._timer = asyncio.get_running_loop().call_later(rest, self._beat)

    def _beat(self) -> None:
        self._wind()
        for sleeper, glance in self._waiting.items():
            if not sleeper.is_set() and _worth(glance):
                sleeper.set()


def _worth(glance: Glance) -> bool:
    try:
        return glance()
    except Exception:  # whoever looks in earnest is told
        return True
