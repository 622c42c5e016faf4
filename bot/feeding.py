"""What is typed, on its way into the intake: nothing is lost, whatever breaks on the way."""

from __future__ import annotations

import asyncio
import logging
import math
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TextIO

from bot import terminal
from bot.words import one_line
from core.errors import Broken

log = logging.getLogger(__name__)

AGAIN = 1.0
"""Seconds between two tries."""
PATIENCE = 60.0
"""Seconds for which a run until idle tries; a bot that goes on tries until it works."""

Keep = Callable[[str, str, Sequence[tuple[str, str]]], Awaitable[None]]


class Typed:
    """Commands of a terminal or a pipe, under keys that no other start will use. A `feed()`
    that broke may be called again: it goes on with the command that was in hand."""

    def __init__(self, source: TextIO, keep: Keep) -> None:
        self._lines = terminal.Lines(source)
        self._keep = keep
        self._start = os.urandom(6).hex()
        self._number = 0

    async def feed(self) -> None:
        """Store each command, until the input ends."""
        await terminal.feed(self._lines, lambda line: self._store(line, math.inf), None)

    async def feed_until(self, idle: Callable[[], Awaitable[None]]) -> None:
        """Store each command when all before it is done. Raises Broken when that can't be
        stored for PATIENCE seconds."""
        await terminal.feed(
            self._lines,
            lambda line: self._store(line, PATIENCE),
            lambda: _insist(idle, "Trying again.", PATIENCE),
        )

    async def _store(self, line: str, patience: float) -> None:
        self._number += 1
        updates = [(f"{self._start}-{self._number}", terminal.payload(line))]
        await _insist(
            lambda: self._keep("console", "terminal", updates),
            f"`{one_line(line)[:60]}` waits until it can be stored.",
            patience,
        )


async def _insist(act: Callable[[], Awaitable[None]], words: str, patience: float) -> None:
    """Trouble with the database passes: tell it once, and try again until it has."""
    end = time.monotonic() + patience
    told = False
    while True:
        try:
            await act()
            return
        except Broken as error:
            if time.monotonic() > end:
                raise
            if not told:
                log.warning("%s %s", error, words)
            told = True
        await asyncio.sleep(AGAIN)
