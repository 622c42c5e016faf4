"""A clock that a test turns by hand."""

from __future__ import annotations


class FakeClock:
    """`ms` is the wall clock; both clocks go on only by `forward()`."""

    def __init__(self, ms: int = 1_700_000_000_000) -> None:
        self.ms = ms

    def now(self) -> int:
        return self.ms

    def monotonic(self) -> float:
        return self.ms / 1000

    def forward(self, seconds: float) -> None:
        self.ms += int(seconds * 1000)
