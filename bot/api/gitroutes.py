"""Git over HTTP for places that share no folder: an attempt's, or an errand's, own exchange."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

from aiohttp import web

from bot.api import faults
from bot.api.policies import CALLER, Caller, Policy, Route
from bot.api.rooms import Rooms
from core.git.serving import LARGEST_PUSH, LONGEST, SERVICES, Asked, exchange
from core.house import House

AT_ONCE, OF_ONE = 32, 2
"""Exchanges under way, of all sessions and of one; more wait for their turn."""
EXCHANGE = "exchange.git"


class Git:
    def __init__(self, house: House) -> None:
        self._house = house
        self._room = asyncio.Semaphore(AT_ONCE)
        self._rooms = Rooms(OF_ONE)

    def routes(self) -> tuple[Route, ...]:
        git = "/git/{session}.git"
        return (
            Route("GET", git + "/info/refs", Policy.PLACE, self.refs),
            Route("POST", git + "/git-upload-pack", Policy.PLACE, self.pack),
            Route("POST", git + "/git-receive-pack", Policy.PLACE, self.pack),
        )

    async def refs(self, request: web.Request) -> web.StreamResponse:
        service = request.query.get("service", "")
        if service not in SERVICES:
            raise faults.not_found("Only git's smart protocol is spoken here.")
        return await self._exchange(request, Asked(service, info=True))

    async def pack(self, request: web.Request) -> web.StreamResponse:
        if (request.content_length or 0) > LARGEST_PUSH:
            raise faults.invalid(f"That is more than {LARGEST_PUSH >> 20} MB.", 413)
        service = request.path.rpartition("/")[2]
        return await self._exchange(request, Asked(service, info=False))

    async def _exchange(self, request: web.Request, asked: Asked) -> web.StreamResponse:
        repository = await self._repository(request)
        own = self._rooms.of(request[CALLER].session_id)
        try:
            async with asyncio.timeout(LONGEST), own, self._room:
                return await _answered(request, repository, asked)
        except TimeoutError:
            raise faults.invalid(f"It took longer than {LONGEST:.0f} s.", 408) from None

    async def _repository(self, request: web.Request) -> Path:
        """The one that belongs to whose token it is, and no other."""
        caller = request[CALLER]
        path = caller.folder(self._house) / EXCHANGE
        own = request.match_info["session"] == caller.session_id and await self._far(caller)
        if not own or path.is_symlink() or not await asyncio.to_thread(os.path.isdir, path):
            raise faults.not_found("There is no such repository for this token.")
        return path

    async def _far(self, caller: Caller) -> bool:
        """Where a folder is shared, what lies in it may be an agent's: its git configuration
        would be obeyed here."""
        sql = "SELECT sandbox FROM sessions WHERE id = ?"
        (row,) = await self._house.store.read(sql, (caller.session_id,))
        return not self._house.sandboxes[row["sandbox"]].shares_folder


async def _answered(request: web.Request, repository: Path, asked: Asked) -> web.StreamResponse:
    answer = await exchange(repository, asked, _bounded(request))
    try:
        response = web.StreamResponse(status=answer.status, headers=answer.headers)
        await response.prepare(request)
        async with contextlib.aclosing(answer.body()) as chunks:
            async for chunk in chunks:
                await response.write(chunk)
        await response.write_eof()
        return response
    finally:
        await answer.close()


async def _bounded(request: web.Request) -> AsyncIterator[bytes]:
    size = 0
    async for chunk in request.content.iter_any():
        size += len(chunk)
        if size > LARGEST_PUSH:
            raise faults.invalid(f"That is more than {LARGEST_PUSH >> 20} MB.", 413)
        yield chunk
