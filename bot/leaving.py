"""The bot's end: all parts at the same time, under one deadline; agents that are to be stopped with
it have one of their own."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Sequence
from enum import Enum
from typing import TYPE_CHECKING

from bot import logs
from core.errors import BullpenError
from core.store.database import Row, Tx

if TYPE_CHECKING:
    from bot.life import App

log = logs.get(__name__)

LEAVE = 1.5
"""Seconds that all parts together have for their end."""
CHILD = 0.2
"""And then those in which a child that doesn't end by itself is ended."""
STOP = 10.0
"""Seconds that all agents together have who are stopped with the bot, each of them killed: what is
not proven to be gone by then is said to run on."""


async def leave(app: App) -> None:
    """What is owed or half done stands in the database. Agents go on under their launchers unless
    they are to be stopped."""
    end = asyncio.get_running_loop().time() + LEAVE
    for task in app.tasks:
        task.cancel()
    outward = asyncio.create_task(_close_ways(app, end))
    await _ended(app, end, "orchestrator", "reception", "pages")
    pages = _by(end + CHILD, app.pages.close(end - asyncio.get_running_loop().time()))
    await asyncio.gather(_leave_agents(app), pages, outward)


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
    there = await app.store.read(
        "SELECT sessions.sandbox, task_id, attempts.session_id, attempts.number, attempts.handle, "
        "attempts.state FROM attempts JOIN sessions ON sessions.id = session_id "
        "WHERE attempts.state <> 'ended'"
    )
    if app.options.stop_agents:
        await _stop_agents(app, there)
    elif running := [row for row in there if row["state"] == "running"]:
        app.say(
            f"{_agents(len(running))} left running; `bullpen up` takes over again. "
            "(--stop-agents ends them.)"
        )


def _agents(number: int) -> str:
    return f"{number} agent{'' if number == 1 else 's'}"


class _Ending(Enum):
    NEVER_BEGUN = 1
    STOPPED = 2
    UNKNOWN = 3


async def _stop_agents(app: App, there: Sequence[Row]) -> None:
    """All at once. What was just being started is found first, or never starts."""
    ends: Counter[_Ending] = Counter()
    left = []
    acts = [asyncio.create_task(_stop(app, row)) for row in there]
    if acts:
        await asyncio.wait(acts, timeout=STOP)
    for row, act in zip(there, acts, strict=True):
        ending = act.result() if act.done() else _Ending.UNKNOWN
        ends[ending] += 1
        if ending is _Ending.UNKNOWN:
            left.append(f"/kill {row['task_id']}")
        act.cancel()
    said = [f"{_agents(ends[_Ending.STOPPED])} stopped"] if ends[_Ending.STOPPED] else []
    if left:
        said.append(
            f"{_agents(len(left))} could not be stopped, and may run on: "
            f"start again, then {', '.join(left)}"
        )
    if said:
        app.say(f"{'; '.join(said)}.")


async def _stop(app: App, row: Row) -> _Ending:
    """Kill an agent's process; the next start sees how it ended. Only what is proven to be gone
    counts as called off, for what runs on may end by something else."""
    folder = app.house.attempt_folder(row["session_id"], row["number"])
    try:
        sandbox = app.house.sandboxes[row["sandbox"]]
        handle = row["handle"] or await sandbox.find(folder)
        if handle is None:
            return _Ending.NEVER_BEGUN
        await sandbox.stop(folder, handle, force=True)
    except Exception as error:  # whatever it is, the others are stopped
        log.warning("not stopped", session=row["session_id"], why=str(error))
        return _Ending.UNKNOWN
    with contextlib.suppress(BullpenError):  # unsaid it only goes on where it was
        await app.store.write(lambda tx: _called_off(tx, row))
    return _Ending.STOPPED


def _called_off(tx: Tx, row: Row) -> None:
    tx.run(
        "UPDATE attempts SET called_off = 1 WHERE session_id = ? AND number = ?",
        (row["session_id"], row["number"]),
    )
