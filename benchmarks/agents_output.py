"""What agents say, parsed and stored; and how soon a subscriber has it.

Fifty sessions, each with 200 lines of 530 bytes a second, written by a child as their launchers
would, a line at a time. First the CPU that a line costs (all threads of this process): Bullpen's
tailers, which read files, parse, store in the log and in state; beside them asyncio's readline on
pipes with the json module, once with nothing stored and once with a row for each line: one INSERT
transaction for each session and interval, in a thread, into one table with one index. (Bullpen
keeps more of a line: when, which stream, what the agent did, its data, and how far it has read.)
Then the time from a line's being written until a subscriber of its session has it; beside it a
program of its own that does nothing but read that one file each 100 ms, on the same machine at the
same time: what a busy machine costs anybody.
`python benchmarks/agents_output.py [--sessions 50] [--rate 200] [--seconds 8]`
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from _bench import met, table
from _crew import crew, speaking, tail

from core.live import Live

INTERVAL = 0.1
ROUNDS = 3
BARE = r"""
import json, os, select, sys, time
file, delays, rest = os.open(sys.argv[1], os.O_RDONLY), [], b""
while not select.select([0], [], [], 0.1 - time.monotonic() % 0.1)[0]:
    lines = (rest + os.read(file, 1 << 20)).split(b"\n")
    rest, now = lines.pop(), time.time() * 1000
    delays += [now - int(line.split(b" ", 1)[0]) for line in lines]
print(json.dumps(delays))
"""


async def bullpen(
    folder: Path, many: int, rate: int, seconds: float
) -> tuple[float, list[float], list[float]]:
    """Microseconds of CPU a line, and the delays (ms) of those that one subscriber heard, and of
    the same ones as the bare program saw them."""
    delays: list[float] = []
    async with crew(folder, many) as at_work:
        store, over = at_work.house.store, asyncio.Event()
        tailers = await at_work.tailers()
        ears = [asyncio.create_task(_listen(Live(store), at_work.ids[0], delays))]
        with _looking(at_work.outputs[0]) as bare, \
                speaking(folder, at_work.outputs, rate, seconds) as child:
            await asyncio.to_thread(child.stdout.readline)  # type: ignore[union-attr]
            before = time.process_time()
            tails = [asyncio.create_task(tail(at_work.house, one, over, INTERVAL))
                     for one in tailers]
            await asyncio.to_thread(child.wait)
            over.set()
            await asyncio.gather(*tails)
            spent = time.process_time() - before
            seen, _ = await asyncio.to_thread(bare.communicate)
        for ear in ears:
            ear.cancel()
        found = await store.view(lambda db: db.execute(
            "SELECT count(DISTINCT position || session_id) FROM logs.lines").fetchone()[0])
        written = many * round(rate * seconds)
        assert found == written, f"{found} of {written} lines are in the log"
    return spent / written * 1e6, delays, json.loads(seen)


def _looking(path: Path) -> subprocess.Popen[bytes]:
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, "-ISc", BARE, str(path)], stdin=pipe, stdout=pipe)


async def _listen(live: Live, session: str, delays: list[float]) -> None:
    async for heard in live.subscribe(session=session):
        now = time.time() * 1000
        delays += [now - line.at for line in heard.lines]


async def readline(
    folder: Path, many: int, rate: int, seconds: float, stored: bool = False
) -> float:
    """Microseconds of CPU a line with asyncio's own means; `stored`: each line is a row, too, a
    transaction for each session and interval."""
    table = _Table(folder / "lines.db") if stored else None
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
            counts = await asyncio.gather(
                *(_read(reader, table, number) for number, reader in enumerate(readers)))
            return (time.process_time() - before) / sum(counts) * 1e6


class _Table:
    """Rows in SQLite as one would write them at first, in a thread of its own."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, check_same_thread=False)
        self._db.executescript(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
            "CREATE TABLE lines (id INTEGER PRIMARY KEY, session INTEGER, kind TEXT, text TEXT);"
            "CREATE INDEX of_session ON lines (session, id);")
        self._lock = threading.Lock()

    def store(self, rows: list[tuple[int, str, str]]) -> None:
        with self._lock, self._db:
            self._db.executemany("INSERT INTO lines (session, kind, text) VALUES (?, ?, ?)", rows)


async def _read(reader: asyncio.StreamReader, table: _Table | None, number: int) -> int:
    count, rows, flushed = 0, [], time.monotonic()
    while line := await reader.readline():
        found = json.loads(line)
        count += 1
        if table is None:
            continue
        rows.append((number, found["type"], line.decode()))
        if time.monotonic() - flushed >= INTERVAL:
            await asyncio.to_thread(table.store, rows)
            rows, flushed = [], time.monotonic()
    if table is not None:
        table.store(rows)
    return count


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sessions", type=int, default=50)
    parser.add_argument("--rate", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=8)
    said = parser.parse_args()
    ours, delays, plain = [], [], []
    theirs: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as name:
            spent, late, bare = asyncio.run(
                bullpen(Path(name, "a"), said.sessions, said.rate, said.seconds))
            ours.append(spent)
            delays += late
            plain += bare
        for stored in theirs:
            with tempfile.TemporaryDirectory() as name:
                theirs[stored].append(asyncio.run(
                    readline(Path(name), said.sessions, said.rate, said.seconds, stored)))
    one = statistics.median(ours)
    bare, other = (statistics.median(theirs[stored]) for stored in (False, True))
    table([f"{said.sessions} sessions × {said.rate} lines/s", "CPU a line", "×"],
          [["Bullpen: parsed, stored, counted", f"{one:.1f} µs", f"{one / other:.2f}"],
           ["asyncio readline, json, a row each", f"{other:.1f} µs", "1.00"],
           ["the same, nothing stored", f"{bare:.1f} µs", f"{bare / other:.2f}"]])
    print(met(one <= 0.5 * other, f"{one / other:.2f} × readline, json and rows (goal: 0.5)"), "\n")
    both = [sorted(some) for some in (delays, plain)]
    late, least = (some[int(len(some) * 0.99)] for some in both)
    table(["from written to a subscriber", "Bullpen", "a bare look each 100 ms"],
          [["median", *(f"{statistics.median(some):.0f} ms" for some in both)],
           ["99 %", f"{late:.0f} ms", f"{least:.0f} ms"],
           ["longest", *(f"{some[-1]:.0f} ms" for some in both)]])
    print(met(late <= 1.3 * INTERVAL * 1000, f"99 % within {late / INTERVAL / 1000:.2f} × the "
              f"interval of 100 ms (goal: 1.3; {late / least:.2f} × the bare look)"))


if __name__ == "__main__":
    main()
