"""The bot's end: all parts at the same time, under one deadline."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable
from typing import TYPE_CHECKING

from core.errors import Broken
from core.store.database import Row

if TYPE_CHECKING:
    from bot.life import App

LEAVE = 1.5
"""Seconds that all parts together have for their end."""
CHILD = 0.2
"""And then those in which a child that doesn't end by itself is ended."""


async def leave(app: App) -> None:
    """What is owed or half done stands in the database. Agents go on under their launchers unless
    they are to be stopped."""
    end = asyncio.get_running_loop().time() + LEAVE
    for task in app.tasks:
        task.cancel()
    outward = asyncio.create_task(_close_ways(app, end))
    await _ended(app, end, "orchestrator", "reception", "pages")
    await _leave_agents(app)
    await _by(end + CHILD, app.pages.close(end - asyncio.get_running_loop().time()))
    await outward


async def _close_ways(app: App, end: float) -> None:
    """The HTTP door at once; the faces when nothing is on its way through them any more."""

    async def faces() -> None:
        await _ended(app, end, "outbox", *(poller.platform for poller in app.pollers))
        await asyncio.gather(*(_by(end, poller.close()) for poller in app.pollers))

    await asyncio.gather(_by(end, app.server.close()), faces())


async def _ended(app: App, end: float, *names: str) -> None:
    """Wait for these parts to end, until the deadline."""
    parts = [task for task in app.tasks if task.get_name() in names]
    if parts:
        await asyncio.wait(parts, timeout=end - asyncio.get_running_loop().time())


async def _by(end: float, act: Awaitable[None]) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout_at(end):
            await act


async def _leave_agents(app: App) -> None:
    running = await app.store.read(
        "SELECT sessions.sandbox, attempts.session_id, attempts.number, attempts.handle "
        "FROM attempts JOIN sessions ON sessions.id = session_id "
        "WHERE attempts.state = 'running'"
    )
    if running and app.options.stop_agents:
        said = "UPDATE attempts SET called_off = 1 WHERE state = 'running'"
        await app.store.write(lambda tx: tx.run(said))
        await asyncio.gather(*(_stop(app, row) for row in running))
        app.say(f"{_agents(len(running))} stopped.")
    elif running:
        app.say(
            f"{_agents(len(running))} left running; `bullpen up` takes over again. "
            "(--stop-agents ends them.)"
        )


def _agents(number: int) -> str:
    return f"{number} agent{'' if number == 1 else 's'}"


async def _stop(app: App, row: Row) -> None:
    """End an agent's process at once; the next start sees how it ended."""
    folder = app.house.attempt_folder(row["session_id"], row["number"])
    with contextlib.suppress(Broken):
        await app.house.sandboxes[row["sandbox"]].stop(folder, row["handle"], force=True)
