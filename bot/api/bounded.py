"""So many connections at a time, and no more: one more is hung up on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Bounded:
    """A factory of protocols for a listener."""

    def __init__(self, make: Callable[[], asyncio.Protocol], most: int) -> None:
        self._make = make
        self._most = most
        self.alive = 0

    def __call__(self) -> asyncio.Protocol:
        if self.alive >= self._most:
            return _Hangup()
        self.alive += 1
        return _Counted(self._make(), self)


class _Counted(asyncio.Protocol):
    """Hands everything on, and counts the end."""

    def __init__(self, inner: asyncio.Protocol, bounded: Bounded) -> None:
        self._inner = inner
        self._bounded = bounded

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received()

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._bounded.alive -= 1
        self._inner.connection_lost(exc)


class _Hangup(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()
