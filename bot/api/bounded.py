"""So many connections at a time, and no more. One more takes the place of another: of who has
not said who they are, first; then of who has most."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable

from aiohttp import web


class Bounded:
    """A factory of protocols for a listener. `patience`: seconds until a connection has to have
    asked something, headers and all."""

    def __init__(
        self, make: Callable[[], asyncio.Protocol], most: int, patience: float = 10.0
    ) -> None:
        self._make = make
        self._most = most
        self.patience = patience
        self.alive: dict[_Counted, None] = {}
        """The oldest first."""

    def __call__(self) -> asyncio.Protocol:
        if len(self.alive) >= self._most:
            self._least_missed().hang_up()
        made = _Counted(self._make(), self)
        self.alive[made] = None
        return made

    def _least_missed(self) -> _Counted:
        """The oldest of strangers; where there are none, of whoever has most connections."""
        each = Counter(one.owner for one in self.alive)
        owner = None if None in each else each.most_common(1)[0][0]
        return next(one for one in self.alive if one.owner == owner)


def heard(request: web.Request) -> None:
    """The connection has asked for something."""
    if (counted := _of(request)) is not None:
        counted.heard()


def admitted(request: web.Request, owner: str) -> None:
    """The connection has shown whose it is."""
    if (counted := _of(request)) is not None:
        counted.owner = owner


def _of(request: web.Request) -> _Counted | None:
    transport = request.transport
    protocol = transport.get_protocol() if transport is not None else None
    return protocol if isinstance(protocol, _Counted) else None


class _Counted(asyncio.Protocol):
    """Hands everything on, and counts the end."""

    def __init__(self, inner: asyncio.Protocol, bounded: Bounded) -> None:
        self._inner = inner
        self._bounded = bounded
        self._transport: asyncio.BaseTransport | None = None
        self._waiting: asyncio.TimerHandle | None = None
        self._hung_up = False
        self.owner: str | None = None

    def hang_up(self) -> None:
        self._hung_up = True
        self._bounded.alive.pop(self, None)
        if isinstance(self._transport, asyncio.WriteTransport):
            self._transport.abort()

    def heard(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        loop = asyncio.get_running_loop()
        self._waiting = loop.call_later(self._bounded.patience, self.hang_up)
        self._inner.connection_made(transport)
        if self._hung_up:
            self.hang_up()

    def data_received(self, data: bytes) -> None:
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received()

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self.heard()
        self._bounded.alive.pop(self, None)
        self._inner.connection_lost(exc)
