"""While an attempt runs: what it says is taken in, what it is owed is handed to it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from functools import partial

import structlog

from core.errors import BullpenError, Unreachable
from core.house import House
from core.sessions import stopping
from core.sessions.inputs import Patience, send_owed
from core.sessions.tailer import Tailer
from core.waiting import left

log = structlog.get_logger(__name__)

FURTHER = 2.0
"""Seconds in which one that has given its result begins with what people have said meanwhile."""
RESEND = 5.0
"""Seconds until what could not be handed over is tried again."""


class Watch:
    """One attempt under way. `poked` says that its rows are to be looked at again; `goes_on`
    looks at them: whether it is to be watched any longer."""

    def __init__(
        self,
        house: House,
        tailer: Tailer,
        agent: str,
        poked: asyncio.Event,
        goes_on: Callable[[], Awaitable[bool]],
    ) -> None:
        self._house = house
        self._tailer = tailer
        self._poked = poked
        self._goes_on = goes_on
        self._patience = Patience(house, tailer, agent)
        self._puzzled = self._let = False

    async def over(self) -> bool:
        """Whether its process has ended; False where its rows ask for something else."""
        tailer = self._tailer
        ended = asyncio.ensure_future(tailer.sandbox.ended(tailer.folder, tailer.handle))
        try:
            while not ended.done():
                self._poked.clear()
                sent = await send_owed(self._house, tailer)
                await self._patience.tell()
                if not await self._goes_on():
                    return False
                with self._again(not sent):
                    await self._pause(ended)
        finally:
            await left(ended)
        return True

    @contextlib.contextmanager
    def _again(self, soon: bool) -> Iterator[None]:
        """Where something is left to be handed over, it is tried again."""
        timer = asyncio.get_running_loop().call_later(RESEND, self._poked.set) if soon else None
        try:
            yield
        finally:
            if timer is not None:
                timer.cancel()

    async def _let_go(self) -> None:
        """Its input ends, so that it can go, once no word makes a further turn of it."""
        if not self._tailer.lingers(FURTHER):
            self._let = False
        elif not self._let:
            await self._house.store.write(partial(stopping.end_input, self._tailer))
            self._let = True
            self._poked.set()

    async def _take(self) -> None:
        """What can't be read now is tried again at the next beat, and what must be done besides
        is done: its output is its own affair."""
        try:
            await self._tailer.take()
        except Unreachable:
            raise
        except Exception as error:
            say = log.warning if isinstance(error, BullpenError) else log.exception
            if not self._puzzled:
                say("can't be read", session=self._tailer.attempt.session_id, why=str(error))
            self._puzzled = True

    async def _pause(self, ended: asyncio.Future[None]) -> None:
        """Read what comes, until there is a reason to look at the rows again."""
        house, tailer, stirred = self._house, self._tailer, asyncio.Event()
        poked = asyncio.create_task(self._poked.wait())

        def stir(_: object = None) -> None:
            stirred.set()

        poked.add_done_callback(stir)
        ended.add_done_callback(stir)
        try:
            while not poked.done() and not ended.done():
                house.beats.stir(stirred, tailer.due, house.policy.poll)
                await stirred.wait()
                stirred.clear()
                await self._take()
                await self._let_go()
                if tailer.lingers(FURTHER + house.policy.grace):
                    # It has given its result and had its time to go: the result stands.
                    await stopping.end(house, tailer, self._poked)
        finally:
            house.beats.leave(stirred)
            ended.remove_done_callback(stir)
            poked.cancel()
