"""Claims one task after the other from a data folder, in a process of its own, until none is
left; prints each after its commit. `python -m tests.faults.claimer DATA NAME`"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

from core.errors import Broken
from core.model import TaskState
from core.store import claims
from core.store.database import Store, Tx


def claim(tx: Tx, name: str) -> int | None:
    head = claims.best(tx)
    if head is None:
        return None
    claims.claim(tx, head.id, name, TaskState.IN_FLIGHT)
    return head.id


async def main(data: Path, name: str) -> None:
    store = await Store(data, lambda: int(time.time() * 1000)).open()
    try:
        while True:
            try:
                taken = await store.write(lambda tx: claim(tx, name))
            except Broken:
                continue  # the others wrote for longer than the database waits
            if taken is None:
                return
            print(taken, flush=True)
    finally:
        await store.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
