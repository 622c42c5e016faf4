"""Waiting for a reason to look again, but not for ever."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from core.errors import BullpenError


async def woken(event: asyncio.Event, seconds: float) -> bool:
    """Wait until the event is set or the time is over; whether it was set.

    Not `wait_for`: in Python 3.11 it can swallow a cancellation.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    return event.is_set()


async def left(work: asyncio.Future[Any]) -> None:
    """Cancel a part of one's own work and wait for its end; an error that is told is no news any
    more. That the caller is cancelled meanwhile is not swallowed."""
    work.cancel()
    await asyncio.wait((work,))
    error = None if work.cancelled() else work.exception()
    if error is not None and not isinstance(error, BullpenError):
        raise error
