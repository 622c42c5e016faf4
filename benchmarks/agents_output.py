"""What agents say, parsed and stored; and how soon a subscriber has it.

Fifty sessions, each with 200 lines of 530 bytes a second, written by a child as their launchers
would. First the CPU that a line costs (all threads of this process): Bullpen's tailers, which
read files, parse, store in the log and in state; beside them asyncio's readline on pipes with the
json module, which stores nothing. Then the time from a line's being written until a subscriber of
its session has it. `python benchmarks/agents_output.py [--sessions 50] [--rate 200] [--seconds 8]`
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import tempfile
import time
from pathlib import Path

from _bench import met, table
from _crew import crew, speaking, tail

from core.live import Live

INTERVAL = 0.1
ROUNDS = 3


async def bullpen(folder: Path, many: int, rate: int, seconds: float) -> tuple[float, list[float]]:
    """Microseconds of CPU a line, and the delays (ms) of those that one subscriber heard."""
    delays: list[float] = []
    async with crew(folder, many) as at_work:
        store, over = at_work.house.store, asyncio.Event()
        tailers = await at_work.tailers()
        ears = [asyncio.create_task(_listen(Live(store), at_work.ids[0], delays))]
        with speaking(folder, at_work.outputs, rate, seconds) as child:
            await asyncio.to_thread(child.stdout.readline)  # type: ignore[union-attr]
            before = time.process_time()
            tails = [asyncio.create_task(tail(one, over, INTERVAL)) for one in tailers]
            await asyncio.to_thread(child.wait)
            over.set()
            await asyncio.gather(*tails)
            spent = time.process_time() - before
        for ear in ears:
            ear.cancel()
        found = await store.view(lambda db: db.execute(
            "SELECT count(DISTINCT position || session_id) FROM logs.lines").fetchone()[0])
        written = many * round(rate * seconds)
        assert found == written, f"{found} of {written} lines are in the log"
    return spent / written * 1e6, delays


async def _listen(live: Live, session: str, delays: list[float]) -> None:
    async for heard in live.subscribe(session=session):
        now = time.time() * 1000
        delays += [now - line.at for line in heard.lines]


async def readline(folder: Path, many: int, rate: int, seconds: float) -> float:
    """Microseconds of CPU a line with asyncio's own means."""
    paths = [folder / f"pipe-{number}" for number in range(many)]
    with contextlib.ExitStack() as stack:
        readers = []
        for path in paths:
            os.mkfifo(path)
            fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
            pipe = stack.enter_context(os.fdopen(fd, "rb"))
            reader = asyncio.StreamReader(limit=1 << 20)
            await asyncio.get_running_loop().connect_read_pipe(
                lambda reader=reader: asyncio.StreamReaderProtocol(reader), pipe)
            readers.append(reader)
        with speaking(folder, paths, rate, seconds) as child:
            await asyncio.to_thread(child.stdout.readline)  # type: ignore[union-attr]
            before = time.process_time()
            counts = await asyncio.gather(*(_read(reader) for reader in readers))
            return (time.process_time() - before) / sum(counts) * 1e6


async def _read(reader: asyncio.StreamReader) -> int:
    count = 0
    while line := await reader.readline():
        json.loads(line)
        count += 1
    return count


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sessions", type=int, default=50)
    parser.add_argument("--rate", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=8)
    said = parser.parse_args()
    ours, theirs, delays = [], [], []
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as name:
            spent, late = asyncio.run(
                bullpen(Path(name, "a"), said.sessions, said.rate, said.seconds))
            ours.append(spent)
            delays += late
        with tempfile.TemporaryDirectory() as name:
            theirs.append(asyncio.run(
                readline(Path(name), said.sessions, said.rate, said.seconds)))
    one, other = statistics.median(ours), statistics.median(theirs)
    table([f"{said.sessions} sessions × {said.rate} lines/s", "CPU a line", "×"],
          [["Bullpen: parsed, stored, counted", f"{one:.1f} µs", f"{one / other:.2f}"],
           ["asyncio readline and json, nothing stored", f"{other:.1f} µs", "1.00"]])
    print(met(one <= 0.5 * other, f"{one / other:.2f} × readline and json (goal: 0.5)"), "\n")
    delays.sort()
    late = delays[int(len(delays) * 0.99)]
    table(["from written to a subscriber", "ms"],
          [["median", f"{statistics.median(delays):.0f}"], ["99 %", f"{late:.0f}"],
           ["longest", f"{delays[-1]:.0f}"]])
    print(met(late <= 1.3 * INTERVAL * 1000, f"99 % within {late / INTERVAL / 1000:.2f} × the "
              "interval of 100 ms (goal: 1.3)"))


if __name__ == "__main__":
    main()
