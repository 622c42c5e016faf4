"""Redaction of a text that arrives in chunks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

_LONG = 64 << 10
_HOLD = 8 << 10
_ENDLESS = 1 << 20


class _Finder(Protocol):
    reach: int
    longest: int

    def text(self, text: str) -> str: ...
    def spans(self, text: str) -> list[tuple[int, int]]: ...
    def open_from(self, text: str) -> int | None: ...
    def render(self, text: str, spans: Sequence[tuple[int, int]]) -> str: ...


class StreamRedactor:
    """Gives back whole lines as soon as no secret can reach over their end any more.

    All that `feed` and `close` return, put together, is what `Redactor.text` makes of the
    whole. Only a line of more than 64 KiB is given back in parts, with 8 KiB held back; a
    secret longer than that which ends in no pattern yet may be seen in two halves there.
    """

    def __init__(self, finder: _Finder) -> None:
        self._finder = finder
        self._held = ""
        self._long = _LONG

    def feed(self, chunk: str) -> str:
        """Take a chunk; returns what can be shown by now, perhaps nothing."""
        self._held += chunk
        if "\n" not in chunk and len(self._held) < self._long:
            return ""
        shown = self._give()
        return shown if len(self._held) < _ENDLESS else shown + self.close()

    def close(self) -> str:
        """The stream has ended: returns what was held back."""
        text, self._held, self._long = self._held, "", _LONG
        return self._finder.text(text)

    def _give(self) -> str:
        spans = self._finder.spans(self._held)
        cut = self._line_cut(spans) or self._long_cut(spans)
        shown = self._finder.render(self._held[:cut], [span for span in spans if span[1] <= cut])
        self._held = self._held[cut:]
        self._long = len(self._held) + _LONG
        return shown

    def _line_cut(self, spans: Sequence[tuple[int, int]]) -> int:
        """The end of the last line that stands for itself; 0 when there is none."""
        limit = self._limit(self._finder.reach)
        cut = self._held.rfind("\n", 0, limit) + 1
        while cut and (inside := _around(spans, cut)):
            cut = self._held.rfind("\n", 0, inside[0]) + 1
        return cut

    def _long_cut(self, spans: Sequence[tuple[int, int]]) -> int:
        """Where an endless line may be cut: well before its end and not inside a secret."""
        if len(self._held) < self._long:
            return 0
        cut = self._limit(max(_HOLD, self._finder.longest))
        inside = _around(spans, cut)
        return inside[0] if inside else cut

    def _limit(self, hold: int) -> int:
        """How far one may go when `hold` characters are kept, and a key that is still open."""
        opened = self._finder.open_from(self._held)
        end = len(self._held) - hold
        return max(0, end if opened is None else min(end, opened))


def _around(spans: Sequence[tuple[int, int]], at: int) -> tuple[int, int] | None:
    return next(((start, end) for start, end in spans if start < at < end), None)
