"""A claim while agents' output is being stored: 10,000 log rows a second.

The delay of one claim with its event, from the call to its being durable, one every 5 ms: with
nothing else to do; beside the log in a file of its own, as Bullpen keeps it; and beside the same
rows in the state's own file. `python benchmarks/claims_under_load.py [--rate 10000] [--claims 600]`
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from importlib import resources
from pathlib import Path

from _bench import NOW, add_tasks, met, table
from claim import _back, take

from core.model import AgentEvent, AgentEventKind
from core.ports import Line
from core.store import claims
from core.store.database import Store
from core.store.logbook import Logbook
from core.store.logs import Entry

SESSIONS, BEAT, PAUSE = 50, 0.1, 0.005
ROUNDS = 3


async def load(book: Logbook, rate: int, over: asyncio.Event) -> int:
    """Rows as tailers write them: all sessions at each beat. How many were written."""
    each, end, said = round(rate * BEAT / SESSIONS), 0, 0
    event = AgentEvent(AgentEventKind.TOOL_CALL, "Bash: " + "word " * 50, {"input": "word " * 50})
    begun = time.monotonic()
    while not over.is_set():
        entries = [Entry(Line("out", NOW, "", end + n + 1), (event,)) for n in range(each)]
        end += each
        await asyncio.gather(*(book.append(f"coder-{n:08d}", 1, 1, entries)
                               for n in range(SESSIONS)))
        said += each * SESSIONS
        await asyncio.sleep(max(0, begun + said / rate - time.monotonic()))
    return said


async def measured(kind: str, rate: int, count: int) -> list[float]:
    """Milliseconds of each claim, ascending."""
    with tempfile.TemporaryDirectory() as name:
        store = await Store(Path(name), lambda: NOW).open()
        try:
            await store.write(lambda tx: add_tasks(tx, 10_000))
            await store.write(claims.demands)
            if kind == "one file":
                script = resources.files("core.store").joinpath("logs_0001_first.sql").read_text()
                script = script[script.index("CREATE TABLE lines"):]
                await store.write(lambda tx: [tx.run(part) for part in script.split(";")
                                              if part.strip()])
            over = asyncio.Event()
            writer = store.state if kind == "one file" else store.logs
            busy = [asyncio.create_task(load(Logbook(writer), rate, over))] if kind else []
            await asyncio.sleep(0.5)
            begun = time.monotonic()
            taken = []
            for _ in range(count):
                await asyncio.sleep(PAUSE)
                before = time.perf_counter()
                await store.write(take)
                taken.append((time.perf_counter() - before) * 1000)
            lasted = time.monotonic() - begun
            over.set()
            written = sum([await one for one in busy])
            if kind and written < 0.8 * rate * lasted:
                print(f"only {written / lasted:.0f} rows/s were written beside: {kind}")
            await store.write(_back)
            return sorted(taken)
        finally:
            await store.close()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rate", type=int, default=10_000)
    parser.add_argument("--claims", type=int, default=600)
    said = parser.parse_args()
    kinds = {"": "idle", "own file": f"beside {said.rate} log rows/s, in a file of their own",
             "one file": "the same rows in one file with the state"}
    found: dict[str, list[float]] = {kind: [] for kind in kinds}
    for _ in range(ROUNDS):
        for kind in kinds:
            taken = asyncio.run(measured(kind, said.rate, said.claims))
            found[kind].append(taken[int(len(taken) * 0.99)])
    late = {kind: statistics.median(ends) for kind, ends in found.items()}
    table(["a claim", "99 % within", "× idle"],
          [[words, f"{late[kind]:.2f} ms", f"{late[kind] / late['']:.1f}"]
           for kind, words in kinds.items()])
    over = late["own file"] / late[""]
    print(met(over <= 2, f"{over:.2f} × idle (goal: 2)"))


if __name__ == "__main__":
    main()
