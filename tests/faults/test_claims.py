"""Eight claimers in processes of their own, some killed at any instruction: nothing is claimed
twice, and nothing that a claimer was told it has is anybody else's."""

from __future__ import annotations

import asyncio
import random
import sys
from collections import Counter
from pathlib import Path

from core.model import Priority
from core.store import tasks
from core.store.database import Store, Tx
from core.store.tasks import NewTask
from tests.fakes.clock import FakeClock

ROOT = Path(__file__).parents[2]
CLAIMERS, KILLS, TASKS = 8, 12, 600


async def test_nothing_is_claimed_twice_whatever_dies(tmp_path: Path) -> None:
    store = await Store(tmp_path / "data", FakeClock().now).open()
    try:
        await store.write(fill)
        told = await let_them_claim(tmp_path / "data")
        claimed = await store.read(
            "SELECT task_id, agent FROM events WHERE type = 'task.started'")
        per_task = Counter(row["task_id"] for row in claimed)
        assert max(per_task.values()) == 1, "claimed twice"
        assert len(per_task) == TASKS, "left behind"
        owner = {row["task_id"]: row["agent"] for row in claimed}
        assert all(owner[task] == name for name, taken in told.items() for task in taken)
        assert len({name for name, taken in told.items() if taken}) > 1, "only one ever claimed"
        left = await store.read("SELECT count(*) AS n FROM tasks WHERE state = 'ready'")
        assert left[0]["n"] == 0
        checked = await store.read("PRAGMA quick_check")
        assert checked[0][0] == "ok"
    finally:
        await store.close()


def fill(tx: Tx) -> None:
    for number in range(TASKS):
        tasks.add(tx, NewTask(f"Task {number}", "quick", "work", lane=f"lane-{number % 3}",
                              priority=Priority(number % 4)))


async def let_them_claim(data: Path) -> dict[str, list[int]]:
    """Claimers, a random one killed after each few claims and replaced; what each was told."""
    chance = random.Random(7)
    told: dict[str, list[int]] = {}
    running: dict[str, asyncio.subprocess.Process] = {}
    readers: list[asyncio.Task[None]] = []

    async def start() -> None:
        name = f"claimer-{len(told)}"
        told[name] = []
        running[name] = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.faults.claimer", str(data), name, cwd=ROOT,
            stdout=asyncio.subprocess.PIPE)
        readers.append(asyncio.create_task(listen(running[name], told[name])))

    for _ in range(CLAIMERS):
        await start()
    for number in range(KILLS):
        await claimed(told, (number + 1) * TASKS // (KILLS + 8))
        alive = [name for name, process in running.items() if process.returncode is None]
        if not alive:
            break
        running[chance.choice(alive)].kill()
        await start()
    await asyncio.gather(*readers)
    statuses = [await process.wait() for process in running.values()]
    assert statuses.count(-9) >= 1 and set(statuses) <= {0, -9}, statuses
    return told


async def listen(process: asyncio.subprocess.Process, into: list[int]) -> None:
    assert process.stdout is not None
    async for line in process.stdout:
        into.append(int(line))


async def claimed(told: dict[str, list[int]], many: int) -> None:
    """Until that many claims were told of."""
    async with asyncio.timeout(60):
        while sum(map(len, told.values())) < many:
            await asyncio.sleep(0.005)
