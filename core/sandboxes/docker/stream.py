"""A container's log on another machine, followed: what a carrier says, as it says it."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

from core.errors import Broken, Unreachable
from core.sandboxes.docker.engine import NotThere
from core.sandboxes.docker.tunnel import Link, NoWay, Way

T = TypeVar("T")
_PIECE = 1 << 16
_HEAD = 64 << 10
_FAREWELL = 5.0
"""Seconds that a thread has to notice: one that is still on its way there takes nothing in."""
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})")


class Stream:
    """One look at a log. `errors`: the last of what came on the standard error."""

    def __init__(self, way: Way, version: str, name: str, since: int, follow: bool) -> None:
        self._way = way
        words = f"stdout=1&stderr=1&follow={int(follow)}&since={since}"
        self._ask = (
            f"GET /v{version}/containers/{name}/logs?{words} HTTP/1.1\r\nHost: docker\r\n\r\n"
        ).encode()
        self._link: Link | None = None
        self._closed = False
        self.errors = b""

    def chunks(self, patience: float) -> Iterator[bytes]:
        """Its standard output, followed until the container ends. Raises NotThere,
        Unreachable, and Broken where the log is refused."""
        try:
            self._link = link = self._way.open(patience)
            if self._closed:
                link.end()
            link.socket.sendall(self._ask)
            link.socket.settimeout(None)  # ssh itself sees to it that the other side is there
            yield from self._out(_unchunked(_body(_pieces(link))))
        except OSError as error:
            raise Unreachable(f"{self._way.address}: {error}") from error
        finally:
            self.close()

    def close(self) -> None:
        """End it, from whatever thread."""
        self._closed = True
        if self._link is not None:
            self._link.end()

    def _out(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """What of the frames is standard output, taken together as far as it has come."""
        rest = b""
        for piece in pieces:
            rest, out = rest + piece, []
            at = 0
            while len(rest) - at >= 8:
                size = int.from_bytes(rest[at + 4 : at + 8], "big")
                if len(rest) - at - 8 < size:
                    break
                data = rest[at + 8 : at + 8 + size]
                if rest[at] == 2:
                    self.errors = (self.errors + data)[-4096:]
                else:
                    out.append(data)
                at += 8 + size
            rest = rest[at:]
            if out:
                yield b"".join(out)


async def in_thread(act: Callable[[], T], stop: Callable[[], None]) -> T:
    """Do it in a thread of its own, which keeps no process from ending. Cancelled, it is told to
    stop and waited for."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def work() -> None:
        try:
            found = act()
        except BaseException as error:
            _tell(loop, future.set_exception, error)
        else:
            _tell(loop, future.set_result, found)

    threading.Thread(target=work, name="docker-log", daemon=True).start()
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        stop()
        await asyncio.wait([future], timeout=_FAREWELL)
        if future.done():
            future.exception()
        raise


def _tell(loop: asyncio.AbstractEventLoop, tell: Callable[[T], object], what: T) -> None:
    try:
        loop.call_soon_threadsafe(tell, what)
    except RuntimeError:  # nobody is there any more
        return


def _pieces(link: Link) -> Iterator[bytes]:
    while piece := link.socket.recv(_PIECE):
        yield piece
    raise NoWay("the connection has broken off")


def _body(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """What follows the head of the answer."""
    head, found = b"", b""
    while not found:
        head += next(pieces)
        _, found, rest = head.partition(b"\r\n\r\n")
        if len(head) > _HEAD:
            raise NoWay("what answers there is no Docker engine")
    status = _STATUS.match(head)
    if status is None:
        raise NoWay("what answers there is no Docker engine")
    if status[1] == b"404":
        raise NotThere("Docker says: no such container")
    if status[1] != b"200":
        raise Broken(
            f"Docker does not tell its log: {head[:40].decode('ascii', 'replace').splitlines()[0]}"
        )
    yield rest
    yield from pieces


def _unchunked(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Of a body in chunks the contents, to the last one: what has no end is broken off."""
    rest, size = b"", -2  # -2: a size comes next; -1: the end of a chunk
    for piece in pieces:
        rest, out = rest + piece, []
        while rest:
            if size > 0:
                out.append(rest[:size])
                rest, size = rest[size:], size - min(size, len(rest))
                size = size or -1
                continue
            line, found, after = rest.partition(b"\n")
            if not found:
                break
            rest = after
            if size == -1:
                size = -2
                continue
            try:
                size = int(line.strip().split(b";")[0], 16)
            except ValueError as error:
                raise NoWay("what answers there is no Docker engine") from error
            if size == 0:
                yield b"".join(out)
                return
        if out:
            yield b"".join(out)
