"""Wakes those who wait for news of a session; nothing is lost, since each looks itself."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from bot.api import faults
from core.model import Event

T = TypeVar("T")
LOOK = 1.0
"""Seconds after which is looked without a ring: not all that is said to an agent is an event."""
MOST = 8
"""Who may wait for news of one session at a time."""


class Bell:
    """`closed`: nobody is kept waiting any more."""

    def __init__(self) -> None:
        self._waiting: dict[str, set[asyncio.Future[None]]] = defaultdict(set)
        self.closed = False

    def ring(self, events: Sequence[Event]) -> None:
        for session_id in {event.session_id for event in events if event.session_id}:
            _wake(self._waiting.get(session_id, ()))

    def close(self) -> None:
        self.closed = True
        for waiting in self._waiting.values():
            _wake(waiting)

    async def until(
        self, session_id: str, look: Callable[[], Awaitable[T | None]], seconds: float
    ) -> T | None:
        """What `look` finds, at once or later; None when it found nothing in that time. Raises
        ApiError where too many wait."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        if seconds and len(self._waiting.get(session_id, ())) >= MOST:
            raise faults.too_often(f"{MOST} requests of this session wait already.")
        while True:
            news: asyncio.Future[None] = loop.create_future()
            self._waiting[session_id].add(news)
            try:
                found = await look()
                left = end - loop.time()
                if found is not None or left <= 0 or self.closed:
                    return found
                await asyncio.wait({news}, timeout=min(left, LOOK))
            finally:
                self._waiting[session_id].discard(news)
                if not self._waiting[session_id]:
                    del self._waiting[session_id]


def _wake(waiting: Sequence[asyncio.Future[None]] | set[asyncio.Future[None]]) -> None:
    for news in tuple(waiting):
        if not news.done():
            news.set_result(None)
