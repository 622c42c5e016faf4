"""What time it is: the Clock port."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    def now(self) -> int:
        """Wall-clock time, ms since the epoch. For records, never for measuring."""

    def monotonic(self) -> float:
        """Seconds that only go forward. For limits and pauses."""
