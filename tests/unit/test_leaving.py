"""The bot's end: everything ends at the same time, and what hangs keeps nothing from it."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bot.life import App, Options, leave
from core.store.database import Store
from tests.fakes.clock import FakeClock


class Parts:
    """Stand-ins for the parts; `happened` tells in which order they ended."""

    def __init__(self) -> None:
        self.happened: list[str] = []
        self.door = asyncio.Event()
        self.hung = asyncio.Event()

    def closer(self, name: str, hangs: bool = False) -> Any:
        parts = self

        class Closer:
            platform = "telegram"

            async def close(self, seconds: float = 0.0) -> None:
                if name == "door":
                    parts.door.set()
                if hangs:
                    await parts.hung.wait()
                parts.happened.append(name)

        return Closer()

    async def part(self, name: str, before_end: asyncio.Event | None = None) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            if before_end is not None:
                await before_end.wait()
            self.happened.append(name)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = await Store(tmp_path / "data", FakeClock().now).open()
    yield store
    await store.close()


@pytest.fixture
def parts() -> Parts:
    return Parts()


def app(parts: Parts, store: Store, hanging: str = "", **waits: asyncio.Event) -> App:
    made: Any = App(
        Options(io.StringIO(), io.StringIO()), None, store, None, None, None, None,  # type: ignore[arg-type]
        parts.closer("pages", hanging == "pages"), parts.closer("door", hanging == "door"),
        (parts.closer("face", hanging == "face"),))
    made.tasks = [
        asyncio.create_task(parts.part(name, waits.get(name)), name=name)
        for name in ("orchestrator", "outbox", "reception", "pages", "telegram")]
    return made  # type: ignore[no-any-return]


async def test_the_door_closes_while_a_message_is_still_on_its_way(
    parts: Parts, store: Store
) -> None:
    leaving = app(parts, store, outbox=parts.door)
    await asyncio.sleep(0)
    await leave(leaving)
    assert "outbox" in parts.happened, "it was cut off"
    assert parts.happened.index("outbox") < parts.happened.index("face"), "closed under a send"
    assert {"orchestrator", "reception", "telegram", "pages", "door"} <= {*parts.happened}


@pytest.mark.parametrize("hanging", ["orchestrator", "outbox", "reception", "pages", "telegram",
                                     "door", "face"])
async def test_what_hangs_is_left_behind_and_the_rest_ends(
    parts: Parts, store: Store, hanging: str
) -> None:
    slow = {hanging: parts.hung} if hanging not in ("door", "face") else {}
    leaving = app(parts, store, hanging, **slow)
    await asyncio.sleep(0)
    async with asyncio.timeout(30):
        await leave(leaving)
    ended = {"orchestrator", "outbox", "reception", "telegram", "door", "pages", "face"}
    assert ended - {hanging} <= {*parts.happened}, parts.happened
    assert hanging == "pages" or hanging not in parts.happened
    parts.hung.set()
    await asyncio.wait(leaving.tasks, timeout=30)
