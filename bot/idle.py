"""When nothing is left to do, or everything waits for a person."""

from __future__ import annotations

import asyncio

from bot.outbox import Outbox
from bot.reception import Reception
from core import queue
from core.orchestrator import Orchestrator
from core.store.database import Store

LOOK = 0.03
"""Seconds between two looks."""


WAITING = """
SELECT session_id FROM iterations JOIN sessions ON sessions.id = session_id
WHERE iterations.state = 'waiting' AND (sessions.state = 'suspended' OR held_for IS NULL)
"""
"""Sessions that wait for a person; one that is just being stopped, to go on later, does not."""


async def until_idle(
    store: Store, orchestrator: Orchestrator, reception: Reception, outbox: Outbox
) -> None:
    """Returns when it has been quiet twice in a row, and all that can be said was said."""
    quiet = 0
    while quiet < 2:
        quiet = quiet + 1 if await _quiet(store, orchestrator, reception) else 0
        await asyncio.sleep(LOOK)
    await outbox.settled()


async def _quiet(store: Store, orchestrator: Orchestrator, reception: Reception) -> bool:
    if not reception.idle():
        return False
    waiting = await store.read(WAITING)
    if not orchestrator.idle({row["session_id"] for row in waiting}):
        return False
    # A try that is due soon is waited for; a time that a person has set may be days away.
    retries = await store.read(
        "SELECT 1 FROM tasks INDEXED BY tasks_due WHERE state = 'ready' "
        "AND not_before IS NOT NULL AND not_before > ? AND attempts > 0 LIMIT 1",
        (store.now(),),
    )
    if not retries:
        return True
    return (await store.write(lambda tx: queue.load(tx, orchestrator.policy))).paused
