"""Commands typed into the terminal, or piped in."""

from __future__ import annotations

import asyncio
import getpass
import json
import os
import threading
from collections.abc import Awaitable, Callable
from typing import TextIO

from core.commands.incoming import File, Incoming
from core.errors import Refused
from core.model import Actor, Place, Role

PATIENCE = 0.05
"""Seconds without a further line after which a piped command counts as whole."""


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
        return Incoming(local_actor(), Place("console", "console"),
                        text=str(json.loads(payload)["text"]))

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
        self._interactive = source.isatty()
        threading.Thread(target=self._read, daemon=True, name="bullpen-stdin").start()

    def _read(self) -> None:
        try:
            for line in self._source:
                self._loop.call_soon_threadsafe(self._queue.put_nowait, line.rstrip("\n"))
            self._loop.call_soon_threadsafe(self._queue.put_nowait, None)
        except (RuntimeError, ValueError, OSError, UnicodeError):
            return  # the loop has ended, or the terminal is closed

    async def next(self) -> str | None:
        """The next command with its following lines; None at the end of the input."""
        lines: list[str] = []
        while True:
            line = await self._line(bool(lines) and not lines[-1].endswith("\\"))
            if line is None or (lines and not _continues(lines[-1], line)):
                self._held = line if line is not None else self._held
                break
            if lines and lines[-1].endswith("\\"):
                lines[-1] = lines[-1][:-1]
            if lines or (line.strip() and not line.lstrip().startswith("#")):
                lines.append(line)
            if self._interactive and lines and not lines[-1].endswith("\\"):
                break
        if not lines:
            return None
        return "\n".join(lines).strip()

    async def _line(self, maybe: bool) -> str | None:
        """`maybe`: a command is whole as it stands, so wait a moment only."""
        if self._held is not None:
            held, self._held = self._held, None
            return held
        if not maybe:
            return await self._queue.get()
        try:
            async with asyncio.timeout(PATIENCE):
                line = await self._queue.get()
        except TimeoutError:
            return None
        if line is None:
            self._queue.put_nowait(None)
        return line


def _continues(before: str, line: str) -> bool:
    return before.endswith("\\") or not line.lstrip().startswith(("/", "#"))


async def feed(lines: Lines, keep: Callable[[str], Awaitable[None]],
               idle: Callable[[], Awaitable[None]] | None) -> None:
    """Hand over each command; with `idle` each when everything before it is done."""
    while (line := await lines.next()) is not None:
        if idle is not None:
            await idle()
        await keep(line)
    if idle is not None:
        await idle()
