"""Long lines of JSON, put together again: a launcher cuts what is longer than a record may be, and
half of a value says nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from core.ports import Line

MOST = 8 << 20
"""Characters of a line that are put together; of a longer one is told how long it was."""
_BESIDE = 1000
"""Lines of another kind (its errors, marks) that wait for the end of one."""
_CUT = "the line above is longer than 1 MiB and was cut"
"""The launcher's mark, which isn't so when the line is whole again."""


class Pieces:
    """What comes between the pieces of a line waits for its end, so that all of it is given in
    the order of its positions."""

    __slots__ = ("_beside", "_last", "_size", "_texts")

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._beside: list[Line] = []
        self._last: Line | None = None
        self._size = 0

    @property
    def waits(self) -> bool:
        """Whether a line has begun and is not whole yet."""
        return self._last is not None

    def whole(self, lines: Sequence[Line]) -> Iterator[tuple[Line, bool]]:
        """Whole lines, each with whether it came in pieces."""
        for line in lines:
            if self._last is not None:
                yield from self._next(line)
            elif line.raw is not None and _begins(line):
                self._hold(line)
            else:
                yield line, False

    def _next(self, line: Line) -> Iterator[tuple[Line, bool]]:
        if line.stream == "out":
            self._hold(line)
            if not _is_piece(line):
                yield from self.rest()
        elif (line.stream, line.text) != ("mark", _CUT):
            self._beside.append(line)
            if len(self._beside) >= _BESIDE:
                yield from self.rest()

    def _hold(self, line: Line) -> None:
        self._last = line
        self._size += len(line.text)
        if self._size <= MOST:
            self._texts.append(line.text)
        else:
            self._texts.clear()

    def rest(self) -> Iterator[tuple[Line, bool]]:
        """All that waits, be it whole or not."""
        beside, texts, last, size = self._beside, self._texts, self._last, self._size
        self._beside, self._texts, self._last, self._size = [], [], None, 0
        if last is None:
            return
        words = f"a line of {size >> 20} MiB is left out: longer than {MOST >> 20} MiB"
        stream, text = ("out", "".join(texts)) if size <= MOST else ("mark", words)
        joined = Line(stream, last.at, text, last.end)
        for line in sorted((*beside, joined), key=lambda one: one.end):
            yield line, line is joined


def _begins(line: Line) -> bool:
    return line.stream == "out" and _is_piece(line) and line.text[:1] in ("{", "[")


def _is_piece(line: Line) -> bool:
    return line.raw is not None and not line.raw.endswith(b"\n")
