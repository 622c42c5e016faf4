"""Lines in and out, each of them bounded."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping
from typing import IO, Any

LINE = 768 << 10
"""Bytes of one line of ours: the launcher cuts longer ones than 1 MiB, and then they are text."""
_TEXT = 128 << 10
"""Characters of one text in a line that is too long."""
_CHUNK = 64 << 10


class TooLong(Exception):
    """A line is longer than may be taken in."""


def out(what: str, /, **fields: Any) -> None:
    """Tell the driver something: one line on standard output."""
    line = encoded({"acp": what, **fields})
    if len(line) > LINE:
        line = encoded({"acp": what, **{key: cut(value) for key, value in fields.items()}})
    if len(line) > LINE:
        line = encoded({"acp": "error", "text": f"What the agent told ({what}) is too long."})
    sys.stdout.buffer.write(line + b"\n")
    sys.stdout.buffer.flush()


def encoded(value: Mapping[str, Any]) -> bytes:
    """As one line of JSON; what can't be written so is named instead."""
    try:
        # ASCII alone: half of a surrogate pair, which an agent may send, has no bytes of its own.
        return json.dumps(value, separators=(",", ":"), default=str).encode("ascii")
    except (RecursionError, ValueError):
        return encoded({"acp": "error", "text": "The agent sent what can't be written down."})


def cut(value: Any, depth: int = 0) -> Any:
    """The value with long texts and lists shortened, visibly."""
    if isinstance(value, str) and len(value) > _TEXT:
        return f"{value[:_TEXT]}\n[… {len(value) - _TEXT} characters more]"
    if isinstance(value, list | tuple) and depth < 20:
        return [cut(item, depth + 1) for item in value[:200]]
    if isinstance(value, dict) and depth < 20:
        return {str(key)[:200]: cut(value[key], depth + 1) for key in list(value)[:200]}
    return value if isinstance(value, str | int | float | bool | None) else "…"


class Lines:
    """Reads a stream line by line. Raises TooLong past `most` bytes without an end of line."""

    def __init__(self, stream: asyncio.StreamReader, most: int) -> None:
        self._stream = stream
        self._most = most
        self._ready: list[bytes] = []
        self._begun: list[bytes] = []
        self._size = 0

    async def next(self) -> bytes | None:
        """The next line without its end; None when there are no more."""
        while not self._ready:
            chunk = await self._stream.read(_CHUNK)
            if not chunk:
                rest, self._begun = b"".join(self._begun), []
                return rest or None
            self._take(chunk)
        return self._ready.pop()

    def _take(self, chunk: bytes) -> None:
        *whole, begun = chunk.split(b"\n")
        if whole:
            whole[0] = b"".join([*self._begun, whole[0]])
            self._ready, self._begun, self._size = whole[::-1], [], 0
        self._begun.append(begun)
        self._size += len(begun)
        if self._size > self._most or (whole and len(whole[0]) > self._most):
            raise TooLong


async def reading(pipe: IO[bytes]) -> asyncio.StreamReader:
    """A stream that reads this end of a pipe."""
    loop, stream = asyncio.get_running_loop(), asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stream), pipe)
    return stream


class Writing(asyncio.Protocol):
    """Writes into a pipe, and waits where the other side does not read."""

    def __init__(self) -> None:
        self._flows = asyncio.Event()
        self._flows.set()
        self._transport: asyncio.WriteTransport | None = None

    @staticmethod
    async def to(pipe: IO[bytes]) -> Writing:
        _, writing = await asyncio.get_running_loop().connect_write_pipe(Writing, pipe)
        return writing

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport if isinstance(transport, asyncio.WriteTransport) else None

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self._flows.set()

    def pause_writing(self) -> None:
        self._flows.clear()

    def resume_writing(self) -> None:
        self._flows.set()

    async def write(self, data: bytes) -> None:
        """Raises ConnectionError when nobody reads any more."""
        if self._transport is None or self._transport.is_closing():
            raise ConnectionError("the agent reads no more")
        self._transport.write(data)
        await self._flows.wait()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()
