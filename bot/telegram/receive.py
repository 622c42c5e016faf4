"""Telegram's updates: stored first, confirmed then. The next call's offset is the
confirmation, so it is made only when the updates before it are safe."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from bot.telegram.errors import NoAccess, SecondPoller
from bot.telegram.wire import Wire
from core.errors import BullpenError, Flooded

log = logging.getLogger(__name__)

KINDS = ("message", "edited_message", "callback_query")
StoreUpdates = Callable[[Sequence[tuple[str, str]]], Awaitable[object]]
"""Stores (update key, payload) pairs in one transaction; those known already are skipped."""


class Receiver:
    """Long polling for one bot. `run()` until cancelled, or until the token is refused."""

    def __init__(
        self,
        wire: Wire,
        store_updates: StoreUpdates,
        *,
        poll: int = 25,
        pause: tuple[float, float] = (1.0, 60.0),
    ) -> None:
        """`poll`: seconds that a call waits for news; `pause`: the first and the longest wait
        after a failure, in seconds."""
        self._wire = wire
        self._store = store_updates
        self._poll = poll
        self._first, self._longest = pause
        self._offset: int | None = None
        self._failures = 0
        self._said = ""

    async def run(self) -> None:
        while True:
            try:
                await self._turn()
            except NoAccess as error:
                log.error("%s Telegram is off until then; everything else goes on.", error)
                return
            except BullpenError as error:
                await self._rest(error)
            else:
                self._well()

    async def _turn(self) -> None:
        updates = await self._wire.updates(self._offset, self._poll, KINDS)
        if not updates:
            return
        await self._store([(str(u["update_id"]), _payload(u)) for u in updates])
        self._offset = max(int(update["update_id"]) for update in updates) + 1

    async def _rest(self, error: BullpenError) -> None:
        self._failures += 1
        words = str(error) if isinstance(error, SecondPoller) else type(error).__name__
        if words != self._said:  # once an outage, not once a try
            self._said = words
            log.warning("%s Trying again until it works.", error)
        delay = min(self._longest, self._first * 2.0 ** min(self._failures - 1, 20))
        if isinstance(error, Flooded):
            delay = max(delay, error.retry_after)
        await asyncio.sleep(delay)

    def _well(self) -> None:
        if self._failures and self._said:
            log.info("Telegram answers again.")
        self._failures, self._said = 0, ""


def _payload(update: dict[str, Any]) -> str:
    return json.dumps(update, ensure_ascii=False, separators=(",", ":"))
