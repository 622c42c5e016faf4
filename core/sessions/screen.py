"""A terminal's screen, drawn as a terminal would, and read as lines: each once it stands.

A program at a terminal repaints what it shows: a row counts when it has stood for a while, or
scrolls off above. What was read is not read again when the program paints it anew elsewhere.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable
from typing import Any

import pyte
from pyte.screens import Char, Margins, StaticDefaultDict

COLUMNS, ROWS = 80, 24
STANDS = 1500
"""Milliseconds for which a row stays as it is before it counts."""
AGAIN = 10_000
"""Milliseconds after a screen was cleared in which what was read may be painted once more."""
KEPT = 500
"""Lines read last that are known again after that."""
_NEAR = 48
"""Lines among which a part of the screen that comes and goes is read once: two screens."""
_DEEP = 8
"""Cursor positions that a program may have saved."""
_FIGURES = re.compile(r"\d[\d.,:]*[kKmMgG]?")
_WORDS = re.compile(r"[^\W_]{2}")
_UNSEEN = re.compile(
    r"\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)"  # OSC, DCS, …: titles, links, the clipboard
    r"|\x1b\[[<=>][0-?]*[ -/]*[@-~]"  # questions about the terminal, and its keys
)
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class Screen:
    """`feed` it what is drawn, then `take` what stands. `known`: what was read before."""

    def __init__(self, known: Iterable[str] = ()) -> None:
        self._canvas = _Canvas(self._gone)
        self._stream = _Stream(self._canvas)
        self._read: deque[str] = deque(known, maxlen=KEPT)
        self._keys: deque[str] = deque(maxlen=_NEAR)
        self._painted_over: deque[str] = deque(maxlen=2 * _NEAR)
        self._again = Counter(self._read)
        self._until: int | None = None
        self._new: list[str] = []
        self._replaying = False
        self.now = 0

    def feed(self, text: str) -> None:
        """Draw it. A sequence that the emulator stumbles over draws nothing."""
        self._stream.feed(_UNSEEN.sub("", text))

    def take(self, at: int, all_of_it: bool = False) -> list[str]:
        """The lines that stand by now (ms since the epoch; `all_of_it`: that stand at all) or
        were scrolled away, each once."""
        self.now = at
        self._cleared()
        rows = [self._canvas.buffer[y] for y in range(self._canvas.lines)]
        for row in rows:
            self._look(row)
        for row in rows:
            if not row.read and (all_of_it or at - row.since >= STANDS):
                self._say(row)
        found, self._new = self._new, []
        return found

    def replay(self, text: str) -> None:
        """Draw what was read before: what scrolls away tells nothing."""
        self._replaying = True
        self.feed(text)
        self._replaying = False

    def _gone(self, row: _Row) -> None:
        """A row is about to scroll off above."""
        if self._replaying:
            return
        self._cleared()
        self._look(row)
        if not row.read:
            self._say(row)

    def _look(self, row: _Row) -> None:
        text = row.words()
        if text == row.text:
            return
        if row.read and row.text:
            self._painted_over.append(_key(row.text))
        row.text, row.since, row.read = text, self.now, False

    def _say(self, row: _Row) -> None:
        row.read, text = True, row.text
        if _drawing(text) or self._known(text):
            return
        key = _key(text)
        if key in self._painted_over and key in self._keys:
            return
        self._read.append(text)
        self._keys.append(key)
        self._new.append(text)

    def _known(self, text: str) -> bool:
        if self._until is None:
            self._until = self.now + AGAIN
        if self.now > self._until or not self._again[text]:
            return False
        self._again[text] -= 1
        return True

    def _cleared(self) -> None:
        if self._canvas.cleared:
            self._canvas.cleared = False
            self._again, self._until = Counter(self._read), None


class _Row(StaticDefaultDict[int, Char]):
    """A row of the screen, and what was seen of it: its text, since when (ms), whether read."""

    text = ""
    since = 0
    read = True

    def words(self) -> str:
        if not self:
            return ""
        drawn = "".join(self[x].data for x in range(max(self) + 1))
        return _CONTROLS.sub("", drawn).rstrip()


class _Stream(pyte.Stream):
    def _send_to_parser(self, data: str) -> bool | None:
        try:
            return super()._send_to_parser(data)
        except Exception:  # it has begun anew: the next character is plain text
            return True


class _Canvas(pyte.Screen):
    """Tells of rows that scroll off; it holds no more than a screen, whatever is drawn on it."""

    buffer: Any
    cleared = False

    def __init__(self, gone: Callable[[_Row], None]) -> None:
        super().__init__(COLUMNS, ROWS)
        self._tell = gone
        self.buffer = defaultdict(lambda: _Row(self.default_char))
        self.cleared = False

    def index(self) -> None:
        top, bottom = self.margins or Margins(0, self.lines - 1)
        if self.cursor.y == bottom and top == 0:
            self._tell(self.buffer[0])
        super().index()

    def erase_in_display(self, how: int = 0, *args: Any, **kwargs: Any) -> None:
        self.cleared = self.cleared or how in (2, 3)
        super().erase_in_display(how)

    def reset(self) -> None:
        self.cleared = True
        super().reset()

    def save_cursor(self) -> None:
        del self.savepoints[: 1 - _DEEP]
        super().save_cursor()

    def set_title(self, param: str) -> None:
        """Nobody reads it."""

    def set_icon_name(self, param: str) -> None:
        """Nobody reads it."""


def _key(text: str) -> str:
    """What it says, whatever figures and signs of drawing stand in it."""
    words = " ".join(_FIGURES.sub("0", text).split())
    return "".join(sign for sign in words if sign.isalnum() or sign.isascii()).strip(" *+-.|/\\")


def _drawing(text: str) -> bool:
    """Whether no word stands beside its signs of drawing. Plain code (`}`) is none."""
    if _WORDS.search(text):
        return False
    bare = text.strip("│─> ")
    return not bare or not bare.isascii()
