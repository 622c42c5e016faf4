"""Work beside the loop: what failed is tried again later, or as soon as a person asks for it."""

from __future__ import annotations

import asyncio

from core.errors import Broken
from core.jobs import Jobs


async def test_what_a_person_asks_for_waits_no_longer() -> None:
    changed = asyncio.Event()
    jobs, tries = Jobs(changed.set), []

    async def fails() -> None:
        tries.append(1)
        raise Broken("not now")

    async def tried() -> int:
        changed.clear()
        jobs.start("keep x", fails)
        if "keep x" in jobs.running:
            await changed.wait()
        return len(tries)

    assert await tried() == 1
    assert await tried() == 1, "it has to wait"
    jobs.soon("keep x")
    assert await tried() == 2
