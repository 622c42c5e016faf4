"""Commands typed into the terminal, or piped in."""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import getpass
import json
import os
import re
import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import TextIO

from core.commands.incoming import File, Incoming
from core.errors import Refused
from core.model import Actor, Place, Role

PATIENCE = 0.05
"""Seconds without a further line after which a piped command counts as whole."""


_COMMENT = re.compile(r"\s*#(?!#)")


def local_actor() -> Actor:
    """Whoever has this terminal: by the system's user id."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = str(os.getuid())
    return Actor("console", str(os.getuid()), name)


def people() -> dict[str, Role]:
    """Who holds the terminal owns the data folder: an admin."""
    return {str(os.getuid()): Role.ADMIN}


def payload(line: str) -> str:
    """A typed command as it is stored."""
    return json.dumps({"text": line}, ensure_ascii=False)


class Entrance:
    """The console's inward side: payloads are `{"text": …}`."""

    def understand(self, payload: str) -> Incoming | None:
        return Incoming(
            local_actor(), Place("console", "console"), text=str(json.loads(payload)["text"])
        )

    async def acknowledge(self, incoming: Incoming, note: str) -> None:
        """A terminal needs none."""

    async def fetch(self, file: File) -> bytes:
        raise Refused("The terminal takes no files.")


class Lines:
    """Standard input as whole commands, read by a thread that may hang on it for ever."""

    def __init__(self, source: TextIO) -> None:
        self._source = source
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[str | None] = asyncio.Queue()
        self._held: str | None = None
        self._back: str | None = None
        self._interactive = source.isatty()
        threading.Thread(target=self._read, daemon=True, name="bullpen-stdin").start()

    def _read(self) -> None:
        with contextlib.suppress(RuntimeError, ValueError, OSError):
            for lines in _chunks(self._source):
                self._loop.call_soon_threadsafe(self._take, lines)
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._take, [None])

    def _take(self, lines: Iterable[str | None]) -> None:
        for line in lines:
            self._queue.put_nowait(line)

    async def next(self) -> str | None:
        """The next command with its following lines; None at the end of the input.

        A line that begins with one `#` is a comment wherever it stands.
        """
        if self._back is not None:
            back, self._back = self._back, None
            return back
        lines: list[str] = []
        while True:
            goes_on = bool(lines) and lines[-1].endswith("\\")
            line = await self._line(bool(lines) and not goes_on)
            if line is None:
                break
            if goes_on:
                lines[-1] = lines[-1][:-1]
            elif _COMMENT.match(line) or not (lines or line.strip()):
                continue
            elif lines and line.lstrip().startswith("/"):
                self._held = line
                break
            lines.append(line)
            if self._interactive and not line.endswith("\\"):
                break
        if not lines:
            return None
        return "\n".join(lines).rstrip("\\").strip() or await self.next()

    def give_back(self, command: str) -> None:
        """It could not be handed over: it is the next one again."""
        self._back = command

    async def _line(self, maybe: bool) -> str | None:
        """`maybe`: a command is whole as it stands, so wait a moment only."""
        if self._held is not None:
            held, self._held = self._held, None
            return held
        try:
            line = await asyncio.wait_for(self._queue.get(), PATIENCE if maybe else None)
        except TimeoutError:
            return None
        if line is None:
            self._queue.put_nowait(None)  # the end stays the end, however often it is asked for
        return line


def _chunks(source: TextIO) -> Iterator[list[str]]:
    """The lines that are there at a time: what was written at once stays together, however
    busy the machine is."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    rest = ""
    while data := os.read(source.fileno(), 1 << 16):
        *lines, rest = (rest + decoder.decode(data)).split("\n")
        yield [line.rstrip("\r") for line in lines]
    if rest:
        yield [rest]


async def feed(
    lines: Lines, keep: Callable[[str], Awaitable[None]], idle: Callable[[], Awaitable[None]] | None
) -> None:
    """Hand over each command; with `idle` each when everything before it is done. Where that
    breaks, the next call begins with the same command."""
    while (line := await lines.next()) is not None:
        try:
            if idle is not None:
                await idle()
            await keep(line)
        except Exception:
            lines.give_back(line)
            raise
    if idle is not None:
        await idle()
