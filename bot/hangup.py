"""The signal HUP: read the configuration anew, or leave with the terminal that was closed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import TextIO

from bot import logs
from core import reloading
from core.errors import BullpenError
from core.house import House

log = logs.get(__name__)


class Hangup:
    """Called for each such signal. `input` is what may be a terminal; `stop` is set to leave."""

    def __init__(
        self, house: House, input_: TextIO, say: Callable[..., None], stop: asyncio.Event
    ) -> None:
        self._house = house
        self._input = input_
        self._say = say
        self._stop = stop
        self._terminal = self._has_terminal()
        self._reading: set[asyncio.Task[None]] = set()

    def __call__(self) -> None:
        # A terminal that was closed is none any more; for the signal alone both look the same.
        if self._terminal and not self._has_terminal():
            self._stop.set()
            return
        task = asyncio.create_task(self._reload(), name="reload")
        self._reading.add(task)
        task.add_done_callback(self._reading.discard)

    def _has_terminal(self) -> bool:
        with contextlib.suppress(OSError, ValueError):
            return self._input.isatty()
        return False

    async def _reload(self) -> None:
        try:
            found = await reloading.reload(self._house)
            await self._house.store.write(lambda tx: reloading.tell(tx, found, "a signal"))
        except BullpenError as error:
            log.error("not loaded anew", faults=str(error).splitlines())
            self._say("Nothing was loaded, the files have faults:", str(error))
        else:
            log.info("loaded anew", changes=found.changes, restart=found.restart)
            self._say("Loaded anew. What runs goes on.", *found.lines)
