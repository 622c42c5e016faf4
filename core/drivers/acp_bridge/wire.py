"""The agent's side of the bridge: its messages, looked at before the library gets them."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter, deque
from collections.abc import Callable
from typing import Any

from core.drivers.acp_bridge.child import Child
from core.drivers.acp_bridge.lines import Lines, TooLong, Writing, out, reading

MESSAGE = 32 << 20
"""Bytes of one message of the agent's."""
_AT_ONCE = 256
"""Requests of the agent's under way; more are not read before some are answered."""
_STRAY = 200
"""Lines that are no messages and are told; the rest is counted."""
_ERROR = 8 << 10
_MISSING = -32002


class Wire:
    """A transport for `acp`'s connection that bad messages don't break: they are told as text.

    `on_update` gets each session/update, in order, before what follows it is looked at."""

    def __init__(self, child: Child, on_update: Callable[[object], None]) -> None:
        self._child = child
        self._on_update = on_update
        self._reader: Lines | None = None
        self._writer: Writing | None = None
        self._stream: asyncio.StreamReader | None = None
        self._open: dict[str, str] = {}
        self._answered = asyncio.Event()
        self._stray: Counter[str] = Counter()
        self._errors: asyncio.Task[None] | None = None
        self.last_errors: deque[str] = deque(maxlen=12)
        self.problem: str | None = None

    async def open(self) -> None:
        child = self._child
        assert child.input and child.output and child.errors  # noqa: S101 - it has all three
        self._stream = await reading(child.output)
        self._reader = Lines(self._stream, MESSAGE)
        self._writer = await Writing.to(child.input)
        self._errors = asyncio.create_task(self._pass_errors(await reading(child.errors)))
        child.ended.add_done_callback(lambda _: asyncio.create_task(self._at_end()))

    async def _at_end(self) -> None:
        """What it started may hold its output open: after its end it says no more."""
        if self._errors is not None:
            await asyncio.wait({self._errors}, timeout=0.5)
        if self._stream is not None and not self._stream.at_eof():
            self._stream.feed_eof()

    async def _pass_errors(self, stream: asyncio.StreamReader) -> None:
        """Its standard error goes on as ours; its last lines are kept."""
        lines = Lines(stream, MESSAGE)
        while (line := await self._error(lines)) is not None:
            words = line[:_ERROR].decode("utf-8", errors="replace").rstrip()
            self.last_errors.append(words[:500])
            say_error(words)

    async def _error(self, lines: Lines) -> bytes | None:
        try:
            return await lines.next()
        except TooLong:
            return None

    # -- the library's transport -----------------------------------------------------------

    async def send(self, message: dict[str, Any]) -> None:
        if "method" not in message:
            self._answer(message)
        if self._writer is None:
            raise ConnectionError("not open")
        await self._writer.write(json.dumps(message, separators=(",", ":")).encode() + b"\n")

    async def receive(self) -> dict[str, Any] | None:
        """The next message that the library may see; None when there will be none."""
        await asyncio.sleep(0)  # what came before is begun before what follows is looked at
        while len(self._open) >= _AT_ONCE:
            self._answered.clear()
            await self._answered.wait()
        while (line := await self._line()) is not None:
            message = self._message(line)
            if message is None:
                continue
            if message.get("method") == "session/update" and "id" not in message:
                self._on_update(message.get("params"))
                continue
            if "method" in message and "id" in message:
                self._open[str(message["id"])] = message["method"]
            return message
        return None

    async def close(self) -> None:
        if self._writer is not None:
            self._writer.close()

    # --------------------------------------------------------------------------------------

    async def _line(self) -> bytes | None:
        assert self._reader is not None  # noqa: S101 - opened first
        try:
            return await self._reader.next()
        except TooLong:
            self.problem = f"it sent a message of more than {MESSAGE >> 20} MB"
            return None

    def _message(self, line: bytes) -> dict[str, Any] | None:
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            value = None
        if isinstance(value, dict) and _sound(value):
            return value
        self._told(line)
        return None

    def _told(self, line: bytes) -> None:
        """What is no message is text: of some programs the only word why they fail."""
        words = line[:_ERROR].decode("utf-8", errors="replace").strip()
        self._stray["lines"] += bool(words)
        if words and self._stray["lines"] <= _STRAY:
            out("stray", text=words)

    def _answer(self, message: dict[str, Any]) -> None:
        method = self._open.pop(str(message.get("id")), "a request")
        self._answered.set()
        error = message.get("error")
        if isinstance(error, dict) and error.get("code") != _MISSING:
            out("note", text=f"Refused ({method}): {error.get('message')}"[:1000])


def say_error(words: str) -> None:
    """A line on our own standard error."""
    print(words.replace("\0", ""), file=sys.stderr, flush=True)


def _sound(message: dict[str, Any]) -> bool:
    """Whether the library can take it: its receiving breaks at anything else."""
    if not isinstance(message.get("id", 0), int | str | None):
        return False
    if "method" in message:
        return isinstance(message["method"], str)
    error = message.get("error")
    if error is not None:
        return (
            isinstance(error, dict)
            and isinstance(error.get("code", 0), int)
            and isinstance(error.get("message", ""), str)
        )
    return "id" in message and "result" in message
