"""So much of one caller at a time: what is more waits for its turn."""

from __future__ import annotations

import asyncio
from weakref import WeakValueDictionary


class Rooms:
    """For each session a room of its own, as long as somebody is in it or waits for it."""

    def __init__(self, places: int) -> None:
        self._places = places
        self._rooms: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    def of(self, session_id: str) -> asyncio.Semaphore:
        return self._rooms.setdefault(session_id, asyncio.Semaphore(self._places))
