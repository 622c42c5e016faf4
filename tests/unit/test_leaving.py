"""The bot's end: everything ends at the same time, and what hangs keeps nothing from it."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from bot.app import build
from bot.leaving import leave
from bot.life import App, Keep, Options
from config.load import load
from core.redaction import Redactor
from tests.fakes.git_world import new_repository
from tests.sandbox_bench import lives

PARTS = ("orchestrator", "outbox", "reception", "pages", "telegram")
"""What runs."""


class Way:
    """A way out of the house, as its door and its pollers are; one that `hangs` never closes."""

    platform = "telegram"

    def __init__(self, name: str, happened: list[str], hangs: bool) -> None:
        self._name, self._happened, self._hangs = name, happened, hangs
        self.closing, self._never = asyncio.Event(), asyncio.Event()

    async def start(self) -> str:
        return "http://127.0.0.1:1"

    def link(self) -> str:
        return "http://127.0.0.1:1/once"

    async def run(self, keep: Keep) -> None:
        await self._never.wait()

    async def close(self) -> None:
        self.closing.set()
        if self._hangs:
            await self._never.wait()
        self._happened.append(self._name)


class Stage:
    """A composed bot whose ways are scripted. `happened` tells in which order all ended."""

    def __init__(self, app: App, hanging: str) -> None:
        self.happened: list[str] = []
        self.hung = asyncio.Event()
        self.door = Way("door", self.happened, hanging == "door")
        face = Way("face", self.happened, hanging == "face")
        self.app = replace(app, server=self.door, pollers=(face,))

    def run(self, **ends_after: asyncio.Event) -> None:
        """Every part runs, and ends when it is told to; these only after that has happened."""
        self.app.tasks = [asyncio.create_task(self._part(name, ends_after.get(name)), name=name)
                          for name in PARTS]

    async def _part(self, name: str, after: asyncio.Event | None) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            if after is not None:
                await after.wait()
            self.happened.append(name)


@pytest.fixture
async def stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> AsyncIterator[Stage]:
    monkeypatch.chdir(tmp_path)
    new_repository(tmp_path / "shop")
    options = Options(io.StringIO(), io.StringIO(), data=str(tmp_path / "data"), repo="shop")
    configuration = load(data=options.data, repo=options.repo)
    async with contextlib.AsyncExitStack() as stack:
        app = await build(options, configuration, Redactor(), stack)
        await app.pages.start()
        yield Stage(app, getattr(request, "param", ""))


async def test_the_door_closes_while_a_message_is_still_on_its_way(stage: Stage) -> None:
    stage.run(outbox=stage.door.closing)
    await asyncio.sleep(0)
    await leave(stage.app)
    happened = stage.happened
    assert "outbox" in happened, "it was cut off"
    assert happened.index("outbox") < happened.index("face"), "closed under a send"
    assert {"orchestrator", "reception", "telegram", "pages", "door"} <= {*happened}


@pytest.mark.parametrize("stage", [*PARTS, "door", "face"], indirect=True)
async def test_what_hangs_is_left_behind_and_the_rest_ends(
    stage: Stage, request: pytest.FixtureRequest
) -> None:
    """And the child that makes the pages is gone, even where it makes no move any more."""
    hanging = request.node.callspec.params["stage"]
    child = stage.app.pages._site.pid
    assert child is not None
    if hanging == "pages":
        os.kill(child, signal.SIGSTOP)
    stage.run(**{hanging: stage.hung})
    await asyncio.sleep(0)
    async with asyncio.timeout(30):
        await leave(stage.app)
    assert {*PARTS, "door", "face"} - {hanging} <= {*stage.happened}, stage.happened
    assert hanging not in stage.happened
    assert not lives(child)
    stage.hung.set()
    await asyncio.wait(stage.app.tasks, timeout=30)
