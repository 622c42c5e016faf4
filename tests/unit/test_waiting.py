"""Parts of one's own work are ended without losing what the caller is told."""

from __future__ import annotations

import asyncio

import pytest

from core.errors import Broken
from core.waiting import left


async def stubborn(begun: asyncio.Event, may: asyncio.Event) -> None:
    """Takes its time to go."""
    try:
        begun.set()
        await asyncio.Event().wait()
    finally:
        await may.wait()


async def test_who_is_cancelled_while_a_part_takes_its_leave_is_cancelled() -> None:
    begun, may = asyncio.Event(), asyncio.Event()
    part = asyncio.create_task(stubborn(begun, may))
    await begun.wait()
    caller = asyncio.create_task(left(part))
    while not part.cancelling():
        await asyncio.sleep(0)
    caller.cancel()
    await asyncio.wait((caller,))
    assert caller.cancelled()
    may.set()
    await asyncio.wait((part,))
    assert part.cancelled()


async def test_an_error_that_was_told_is_no_news_and_any_other_is() -> None:
    async def fails(error: Exception) -> None:
        raise error

    for error in (Broken("it is gone"), KeyError("a mistake")):
        part = asyncio.create_task(fails(error))
        await asyncio.wait((part,))
        if isinstance(error, Broken):
            await left(part)
        else:
            with pytest.raises(KeyError):
                await left(part)
