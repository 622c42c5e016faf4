"""A terminal's screen, drawn as a terminal would, and read as lines: each once it stands.

A program at a terminal repaints what it shows: a row counts when it has stood for a while, or
scrolls off above. What was read is not read again when the program paints it anew elsewhere.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pyte
from pyte.modes import DECSCNM
from pyte.screens import Char, Margins, StaticDefaultDict, wcwidth

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
_FEW = 256
_MARKS = 8
"""Characters without a width of their own that one cell may hold: accents, vowels, joiners."""
_JOINS = "\u200c\u200d"
_LONGEST = 1024
"""Characters of one sequence that are kept until it ends."""
_FIGURES = re.compile(r"\d[\d.,:]*[kKmMgG]?")
_WORDS = re.compile(r"[^\W_]{2}")
_UNSEEN = re.compile(
    r"\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)"  # OSC, DCS, …: titles, links, the clipboard
    r"|\x1b\[[<=>][0-?]*[ -/]*[@-~]"  # questions about the terminal, and its keys
)
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class Screen:
    """`feed` it what is drawn, then `take` what stands. `known`: what was read before, and is not
    read again where it is painted once more; after a replay only what stands there then."""

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

    def feed(self, text: str, enough: Callable[[], bool] = lambda: False) -> int:
        """Draw it, until that is `enough`, which is asked after each few characters; returns how
        many are left. A sequence that the emulator stumbles over draws nothing."""
        text = _UNSEEN.sub("", text)
        for start in range(0, len(text), _FEW):
            if enough():
                return len(text) - start
            self._stream.feed(text[start : start + _FEW])
        return 0

    def take(self, at: int, all_of_it: bool = False) -> list[str]:
        """The lines that stand by now (ms since the epoch; `all_of_it`: that stand at all) or
        were scrolled away, each once."""
        self.now = at
        self._cleared()
        rows = self._rows()
        for row in rows:
            self._look(row)
        for row in rows:
            if not row.read and (all_of_it or at - row.since >= STANDS):
                self._say(row)
        found, self._new = self._new, []
        return found

    def replay(self, text: str, at: int) -> None:
        """Draw what was drawn before, at that time (ms since the epoch): what scrolls away tells
        nothing. `replayed` ends it."""
        self._replaying, self.now = True, at
        self.feed(text)
        self._replaying = False
        if self._cleared():
            self._until = at + AGAIN

    def replayed(self) -> None:
        """Of what is left on the screen now only what was not read tells anything, and what comes
        is new, unless the screen was just cleared."""
        if self._until is None:
            self._again.clear()
        known = Counter(self._read)
        for row in self._rows():
            self._look(row)
            if known[row.text]:
                known[row.text] -= 1
                row.read = True

    def _rows(self) -> list[_Row]:
        return [self._canvas.buffer[y] for y in range(self._canvas.lines)]

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

    def _cleared(self) -> bool:
        """Whether the screen was, since the last look: what was read may be painted once more."""
        cleared, self._canvas.cleared = self._canvas.cleared, False
        if cleared:
            self._again, self._until = Counter(self._read), None
        return cleared


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
    """However long a sequence is, little of it is kept: one without an end is gone on with."""

    _begun = ""
    _length = 0

    def _send_to_parser(self, data: str) -> bool | None:
        try:
            plain = super()._send_to_parser(data)
        except Exception:  # it has begun anew: the next character is plain text
            plain = True
        if plain:
            self._begun, self._length = "", 0
            return True
        self._length += 1
        if self._length <= 2:
            self._begun += data
        elif self._length > _LONGEST:
            self._begin_again()
        return plain

    def _begin_again(self) -> None:
        """The same kind of sequence, without what was said in it so far."""
        self._initialize_parser()
        begun, self._begun, self._length = f"{self._begun}0", "", 0
        for sign in begun:
            self._send_to_parser(sign)


class _Canvas(pyte.Screen):
    """Tells of rows that scroll off. Whatever is drawn on it, it holds no more than a screen, of
    which each cell holds a few characters; and no character takes more work than a row, no
    sequence more than a screen. Nobody sees its colours."""

    buffer: Any
    cleared = False

    def __init__(self, gone: Callable[[_Row], None]) -> None:
        super().__init__(COLUMNS, ROWS)
        self._tell = gone
        self.buffer = defaultdict(lambda: _Row(self.default_char))
        self.cleared = False

    def draw(self, data: str) -> None:
        """The emulator leaves out what follows a character without a width."""
        if data.isascii() and data.isprintable():
            super().draw(data)
            return
        start = 0
        for at, sign in enumerate(data):
            if wcwidth(sign) <= 0:
                if at > start:
                    super().draw(data[start:at])
                self._mark(sign)
                start = at + 1
        if start < len(data):
            super().draw(data[start:])

    def _mark(self, sign: str) -> None:
        """It belongs to the character before it, if it is to be seen at all."""
        if sign not in _JOINS and unicodedata.category(sign)[0] not in "LM":
            return
        x, y = self.cursor.x - 1, self.cursor.y
        if x < 0:
            x, y = self.columns - 1, y - 1
        if y < 0:
            return
        row = self.buffer[y]
        if x and not row[x].data:  # the second half of a wide one
            x -= 1
        if len(row[x].data) <= _MARKS:
            row[x] = row[x]._replace(data=unicodedata.normalize("NFC", row[x].data + sign))

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

    def set_mode(self, *modes: int, **kwargs: Any) -> None:
        super().set_mode(*_unpainted(modes, **kwargs), **kwargs)

    def reset_mode(self, *modes: int, **kwargs: Any) -> None:
        super().reset_mode(*_unpainted(modes, **kwargs), **kwargs)

    def select_graphic_rendition(self, *attrs: int) -> None:
        """Nobody sees it."""

    def alignment_display(self) -> None:
        """A test picture: nobody looks at it."""

    def set_title(self, param: str) -> None:
        """Nobody reads it."""

    def set_icon_name(self, param: str) -> None:
        """Nobody reads it."""


def _unpainted(modes: Sequence[int], private: bool = False) -> list[int]:
    """Without the one that has every cell painted anew in other colours."""
    return [mode for mode in modes if (mode << 5 if private else mode) != DECSCNM]


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
