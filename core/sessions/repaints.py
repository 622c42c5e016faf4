"""What an agent's screen at a terminal shows again and again: frames of a spinner, a box that is
drawn anew with each key. People read each line of it once."""

from __future__ import annotations

import re
from collections import deque

SCREEN = 48
"""Lines among which one that comes again is a repaint: about two screens."""
_FIGURES = re.compile(r"\d[\d.,:]*[kKmMgG]?")
_WORDS = re.compile(r"[^\W_]{2}")


class Repaints:
    """Remembers the lines that were read last."""

    def __init__(self) -> None:
        self._seen: deque[str] = deque(maxlen=SCREEN)

    def is_one(self, text: str) -> bool:
        """Whether it says nothing new: no word at all beside signs of drawing, or what was just
        read with another figure or another sign in it. Plain code (`}`) is no drawing."""
        words = " ".join(_FIGURES.sub("0", text).split())
        if not _WORDS.search(words):
            return not words.strip("│─ ").isascii() or not words.strip("│─ ")
        key = "".join(sign for sign in words if sign.isalnum() or sign.isascii())
        key = key.strip(" *+-.|/\\")
        if key in self._seen:
            return True
        self._seen.append(key)
        return False
