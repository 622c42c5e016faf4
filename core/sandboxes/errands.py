"""Short commands of ours, inside a sandbox: the same way in each of them."""

from __future__ import annotations

import asyncio
import contextlib

from core.errors import Broken
from core.ports import Order, Ran, Sandbox
from core.sandboxes import output
from core.sandboxes.attempt import Attempt

TAIL = 256 << 10
"""Bytes of a short command's output that are handed back: its end."""


async def run(sandbox: Sandbox, order: Order) -> Ran:
    """As the port's `run` says. Who is cancelled leaves nothing running, even where the start
    was still under way. Raises Broken."""
    starting = asyncio.create_task(sandbox.start(order))
    try:
        handle = await asyncio.shield(starting)
        await sandbox.ended(order.folder, handle)
    except asyncio.CancelledError:
        with contextlib.suppress(Broken):
            await sandbox.stop(order.folder, await starting, force=True)
        raise
    end = (await sandbox.status(order.folder, handle)).end
    if end is None:
        raise Broken(f"not all of the command in {order.folder} can be ended")
    lines = await asyncio.to_thread(output.tail, Attempt(order.folder).output, TAIL)
    return Ran(end, "".join(line.text + "\n" for line in lines))
