"""Commands go on one after the other, however slow the platform is that brought them."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from bot import reception
from bot.reception import Reception
from core.commands.incoming import File, Incoming
from core.commands.interpreter import Interpreter
from core.errors import Refused
from core.model import Place
from core.store.database import Store
from tests.fakes.clock import FakeClock
from tests.house_bench import ANN, house

PATIENCE = 30.0


class Slow:
    """An entrance whose platform takes acknowledgements, and never answers them."""

    def __init__(self) -> None:
        self.answer = asyncio.Event()
        self.under_way = 0
        self.begun = 0

    def understand(self, payload: str) -> Incoming | None:
        said = json.loads(payload)
        return Incoming(ANN, Place("console", "console"), **said)

    async def acknowledge(self, incoming: Incoming, note: str) -> None:
        self.begun += 1
        self.under_way += 1
        try:
            await self.answer.wait()
        finally:
            self.under_way -= 1

    async def fetch(self, file: File) -> bytes:
        raise Refused("No files here.")


class Counter:
    """The desk: a reception that runs, and what it has carried out."""

    def __init__(self, store: Store, reception: Reception, running: asyncio.Task[None]) -> None:
        self.store = store
        self.reception = reception
        self.running = running

    async def brings(self, *said: dict[str, Any]) -> None:
        known = len(await self.store.read("SELECT id FROM intake"))
        updates = [(str(known + n), json.dumps(what)) for n, what in enumerate(said)]
        await self.reception.keep("slow", "bot", updates)

    async def stored(self) -> int:
        return len(await self.store.read("SELECT id FROM intake WHERE state = 'stored'"))


async def until(ready: Callable[[], Any], what: str) -> None:
    try:
        async with asyncio.timeout(PATIENCE):
            while not await ready():
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"waited in vain: {what}") from None


@pytest.fixture
async def slow() -> Slow:
    return Slow()


@pytest.fixture
async def counter(tmp_path: Path, slow: Slow) -> AsyncIterator[Counter]:
    store = await Store(tmp_path / "data", FakeClock().now).open()
    interpreter = Interpreter(house(store, tmp_path), dict)
    desk = Reception(store, interpreter, {"slow": slow}, lambda: None)
    running = asyncio.create_task(desk.run())
    yield Counter(store, desk, running)
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    await store.close()


def press(number: int) -> dict[str, Any]:
    return {"text": "/status", "callback": f"query-{number}"}


async def test_a_platform_that_hangs_holds_up_no_command(counter: Counter, slow: Slow) -> None:
    await counter.brings(press(1), press(2), press(3), {"text": "/status"})

    async def all_done() -> bool:
        return await counter.stored() == 0 and slow.begun == 3

    await until(all_done, "all four are carried out while three presses wait")
    assert slow.under_way == 3
    assert not counter.reception.idle(), "it waits for them where it runs until idle"
    slow.answer.set()

    async def idle() -> bool:
        return counter.reception.idle()

    await until(idle, "it is idle when they are acknowledged")


async def test_acknowledgements_are_bounded_and_end_with_it(counter: Counter, slow: Slow) -> None:
    most = reception.MOST_NOTES
    await counter.brings(*map(press, range(most + 5)))

    async def all_done() -> bool:
        return await counter.stored() == 0

    await until(all_done, "all are carried out")
    counter.running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await counter.running

    async def ended() -> bool:
        return slow.under_way == 0

    await until(ended, "none goes on")
    assert slow.begun <= most
