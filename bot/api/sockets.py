"""One socket for each session, in its folder: who speaks there is that session's attempt."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from bot import logs
from bot.api.bounded import Bounded
from core.doors import LONGEST, SOCKET

log = logs.get(__name__)

MOST = 16
"""Connections of one session at a time."""
HOSTS = frozenset({"localhost", "bullpen"})
"""What a client may call us there."""


@dataclass(slots=True)
class _Open:
    path: Path
    server: asyncio.Server
    inode: int


class Sockets:
    """`open` and `close` may be called again and again; what stood there before is replaced."""

    def __init__(self, folder: Callable[[str], Path], server: web.Server) -> None:
        self._folder = folder
        self._server = server
        self._open: dict[str, _Open] = {}
        self._names: dict[str, str] = {}

    def session(self, request: web.Request) -> str | None:
        """Whose socket it is that this came in by: the system says so, not the caller."""
        transport = request.transport
        name = transport.get_extra_info("sockname") if transport is not None else None
        return self._names.get(name) if isinstance(name, str) else None

    async def open(self, session_id: str) -> None:
        path = self._folder(session_id) / SOCKET
        if len(os.fsencode(path)) > LONGEST:
            return
        there = self._open.get(session_id)
        if there is not None and _inode(path) == there.inode:
            return
        await self.close(session_id)
        try:
            listener = _bound(path)
        except OSError as error:
            log.warning("no socket for a session", session=session_id, error=str(error))
            return
        factory = Bounded(self._server, MOST)
        loop = asyncio.get_running_loop()
        server = await loop.create_unix_server(factory, sock=listener, backlog=MOST)
        self._open[session_id] = _Open(path, server, _inode(path) or 0)
        self._names[str(path)] = session_id

    async def close(self, session_id: str) -> None:
        there = self._open.pop(session_id, None)
        if there is None:
            return
        self._names.pop(str(there.path), None)
        there.server.close()
        if _inode(there.path) == there.inode:
            with suppress(OSError):
                there.path.unlink()

    async def close_all(self) -> None:
        for session_id in tuple(self._open):
            await self.close(session_id)


def _bound(path: Path) -> socket.socket:
    """A socket that only its owner reaches. Raises OSError where the folder isn't ours alone."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    about = path.parent.lstat()
    if not stat.S_ISDIR(about.st_mode) or about.st_uid != os.geteuid():
        raise NotADirectoryError(f"{path.parent} is no folder of ours")
    path.parent.chmod(0o700)
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(str(path))
        path.chmod(0o600)
    except OSError:
        listener.close()
        raise
    return listener


def _inode(path: Path) -> int | None:
    with suppress(OSError):
        return path.lstat().st_ino
    return None
