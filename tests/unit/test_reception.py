"""Commands go on one after the other, however slow the platform is that brought them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from bot import reception
from bot.reception import Reception
from bot.telegram.entrance import TelegramEntrance
from bot.telegram.face import TelegramFace
from core.commands.interpreter import Interpreter
from core.store.database import Store
from tests.fakes.clock import FakeClock
from tests.house_bench import house

PATIENCE = 30.0
ACKNOWLEDGING = 10.0
"""Seconds after which Telegram's face gives up an acknowledgement by itself."""
WHO = {"from": {"id": 100, "is_bot": False, "first_name": "Ann"}}
WHERE = {"message_id": 1, "date": 1, "chat": {"id": 100, "type": "private"}}


class Hanging:
    """A Bot API on loopback that takes acknowledgements, and answers none until it is told to."""

    def __init__(self) -> None:
        self.answer = asyncio.Event()
        self.begun = self.under_way = self.most = 0
        self.lasted: list[float] = []

    async def acknowledge(self, request: web.Request) -> web.Response:
        begun, self.begun = time.monotonic(), self.begun + 1
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            await self.answer.wait()
        finally:
            self.under_way -= 1
            self.lasted.append(time.monotonic() - begun)
        return web.json_response({"ok": True, "result": True})

    @contextlib.asynccontextmanager
    async def served(self) -> AsyncIterator[str]:
        """Its address. A caller that goes away is noticed."""
        app = web.Application()
        app.router.add_post("/bot{token}/answerCallbackQuery", self.acknowledge)
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True,
                               shutdown_timeout=0.2)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()


class Counter:
    """The desk: a reception that runs, and what it has carried out."""

    def __init__(self, store: Store, reception: Reception, running: asyncio.Task[None]) -> None:
        self.store = store
        self.reception = reception
        self.running = running

    async def brings(self, *updates: dict[str, Any]) -> None:
        known = len(await self.store.read("SELECT id FROM intake"))
        found = [(str(known + n), json.dumps(what)) for n, what in enumerate(updates)]
        await self.reception.keep("telegram", "4200", found)

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
async def slow() -> Hanging:
    return Hanging()


@pytest.fixture
async def counter(tmp_path: Path, slow: Hanging) -> AsyncIterator[Counter]:
    async with slow.served() as url:
        store = await Store(tmp_path / "data", FakeClock().now).open()
        entrance = TelegramEntrance(TelegramFace("4200:the-fake-token", url))
        interpreter = Interpreter(house(store, tmp_path), dict)
        desk = Reception(store, interpreter, {"telegram": entrance}, lambda: None)
        running = asyncio.create_task(desk.run())
        yield Counter(store, desk, running)
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
        await entrance.close()
        await store.close()


def press(number: int) -> dict[str, Any]:
    return {"callback_query": {"id": f"query-{number}", "data": "a key", "message": WHERE, **WHO}}


async def test_a_platform_that_hangs_holds_up_no_command(counter: Counter, slow: Hanging) -> None:
    said = {"message": {**WHERE, **WHO, "text": "/status"}}
    await counter.brings(press(1), press(2), press(3), said)

    async def all_done() -> bool:
        return await counter.stored() == 0 and slow.begun == 3

    await until(all_done, "all four are carried out while three presses wait")
    assert not counter.reception.idle(), "it waits for them where it runs until idle"
    slow.answer.set()

    async def idle() -> bool:
        return counter.reception.idle()

    await until(idle, "it is idle when they are acknowledged")
    assert slow.under_way == 0


async def test_acknowledgements_are_bounded_and_end_with_it(
    counter: Counter, slow: Hanging
) -> None:
    most = reception.MOST_NOTES
    await counter.brings(*map(press, range(most + 5)))

    async def all_done() -> bool:
        return await counter.stored() == 0 and slow.begun >= most

    await until(all_done, "all are carried out")
    counter.running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await counter.running

    async def ended() -> bool:
        return slow.under_way == 0

    await until(ended, "none goes on")
    assert slow.most == most
    assert min(slow.lasted) < ACKNOWLEDGING, "the newest were given up with it, not by themselves"
