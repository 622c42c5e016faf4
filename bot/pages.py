"""Keeps what is read as files fresh: the dashboard's pages and the task folders."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Sequence

from bot.site import Site
from core.errors import BullpenError
from core.model import Event
from core.taskfolders import TaskFolders
from core.waiting import woken

log = logging.getLogger(__name__)
GATHER = 0.5
"""Seconds in which changes are gathered before the pages are made."""


class Pages:
    """A tick at each interval, and soon after each change."""

    def __init__(self, site: Site, folders: TaskFolders, interval: float) -> None:
        self._site = site
        self._folders = folders
        self._interval = interval
        self._changed = asyncio.Event()

    async def start(self) -> None:
        await self._site.start()
        await self._tick()

    def changed(self, events: Sequence[Event]) -> None:
        self._changed.set()

    async def run(self) -> None:
        while True:
            if await woken(self._changed, self._interval):
                await asyncio.sleep(GATHER)
            self._changed.clear()
            await self._tick()

    async def close(self, seconds: float) -> None:
        """Once more where that can be done in `seconds`, so that the pages show the end; then
        the child goes."""
        end = time.monotonic() + seconds
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._tick()
        await self._site.close(max(0.1, end - time.monotonic()))

    async def _tick(self) -> None:
        try:
            await self._folders.sync()
            await self._site.tick()
        except BullpenError as error:
            log.warning("The pages could not be made: %s", error)
