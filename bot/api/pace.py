"""How often a session may ask: so much at once, and then so much a second."""

from __future__ import annotations

import time
from collections.abc import Callable

from bot.api import faults

AT_ONCE, A_SECOND = 200.0, 20.0
MOST = 10_000
"""Sessions that are remembered."""


class Pace:
    """One that talks without end takes nobody else's turn."""

    def __init__(
        self,
        at_once: float = AT_ONCE,
        a_second: float = A_SECOND,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._at_once, self._a_second, self._now = at_once, a_second, now
        self._left: dict[str, tuple[float, float]] = {}

    def take(self, session_id: str) -> None:
        """Raises ApiError where it has to wait."""
        now = self._now()
        left, at = self._left.pop(session_id, (self._at_once, now))
        left = min(self._at_once, left + (now - at) * self._a_second)
        granted = left >= 1
        self._left[session_id] = (left - granted, now)
        if len(self._left) > MOST:
            del self._left[next(iter(self._left))]
        if not granted:
            raise faults.too_often("That is too often: slow down.")
