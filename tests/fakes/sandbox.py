"""A sandbox whose engine can be cut off: the host's, and while `away` nothing answers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from core.errors import Broken, Unreachable
from core.ports import Exit, Line, Order, Ran, Status
from core.sandboxes.host import HostSandbox

WHY = "the engine gives no answer"


class CutOff:
    """`name`: what it goes by. `asked` counts the calls that had no answer. `clings`: why it
    won't end anything."""

    shares_folder = True

    def __init__(self, name: str = "host") -> None:
        self.name = name
        self.asked = 0
        self.clings = ""
        self._inner = HostSandbox()
        self._cut = asyncio.Event()

    @property
    def away(self) -> bool:
        return self._cut.is_set()

    def cut(self) -> None:
        """From now on nothing answers; whoever waits for an end hears that, too."""
        self._cut.set()

    def mend(self) -> None:
        self._cut.clear()

    def _reach(self) -> HostSandbox:
        if self.away:
            self.asked += 1
            raise Unreachable(WHY)
        return self._inner

    def missing(self, container: Mapping[str, Any]) -> str | None:
        return self._inner.missing(container)

    async def start(self, order: Order) -> str:
        return await self._reach().start(order)

    async def find(self, folder: Path) -> str | None:
        return await self._reach().find(folder)

    async def status(self, folder: Path, handle: str) -> Status:
        return await self._reach().status(folder, handle)

    async def ended(self, folder: Path, handle: str) -> None:
        over = asyncio.ensure_future(self._reach().ended(folder, handle))
        cut = asyncio.ensure_future(self._cut.wait())
        try:
            await asyncio.wait({over, cut}, return_when=asyncio.FIRST_COMPLETED)
            self._reach()
            await over
        finally:
            over.cancel()
            cut.cancel()

    async def read(self, folder: Path, position: int, limit: int) -> Sequence[Line]:
        return await self._reach().read(folder, position, limit)

    async def send(self, folder: Path, number: int, data: bytes, last: bool = False) -> None:
        await self._reach().send(folder, number, data, last)

    async def note(self, folder: Path, name: str, text: str) -> None:
        await self._reach().note(folder, name, text)

    async def stop(self, folder: Path, handle: str, force: bool = False) -> Exit:
        if self.clings:
            self.asked += 1
            raise Broken(self.clings)
        return await self._reach().stop(folder, handle, force)

    async def forget(self, folder: Path) -> None:
        await self._inner.forget(folder)

    async def run(self, order: Order) -> Ran:
        return await self._reach().run(order)
