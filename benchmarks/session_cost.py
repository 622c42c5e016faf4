"""What an agent that runs and says nothing costs the bot: memory, threads, CPU.

A real bot with so many sessions, each under its launcher, after twenty others: those bring the
threads and caches that all later ones share, and are told apart. Beside it a plain asyncio program
that holds the same commands by `create_subprocess_exec`, with the child watcher that Python 3.11
takes by itself: a thread for each.
`python benchmarks/session_cost.py [--sessions 100] [--seconds 10]`
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from _bench import met, table
from flood import add, bot_of, running

FIRST = 20
SILENT = "import time\ntime.sleep(3600)"
PLAIN = """
import asyncio, sys
async def main():
    print("ready", flush=True); sys.stdin.readline()
    pipe = asyncio.subprocess.PIPE
    held = [await asyncio.create_subprocess_exec("sleep", "3600", stdout=pipe)
            for _ in range(int(sys.argv[1]))]
    reading = [asyncio.create_task(one.stdout.readline()) for one in held]
    print("held", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    for one in held: one.kill()
    await asyncio.gather(*(one.wait() for one in held), *reading)
asyncio.run(main())
"""


def cost(pid: int) -> tuple[float, int, float]:
    """KB of memory of its own, threads, and seconds of CPU so far."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    own = sum(int(line.split()[1]) for line in rollup if line.startswith("Private_"))
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return own, int(fields[17]), (int(fields[11]) + int(fields[12])) / 100


@dataclass(frozen=True)
class Found:
    """KB of memory of its own, threads, and percent of a core, with so many silent sessions."""

    sessions: int
    own: float
    threads: int
    busy: float


def bullpen(base: Path, many: int, seconds: float) -> list[Found]:
    """With one session, with those that come first, and with so many more."""
    found: list[Found] = []
    with bot_of(base, FIRST + many, "host") as (house, bot):
        for wanted in (1, FIRST, FIRST + many):
            for number in range(found[-1].sessions if found else 0, wanted):
                add(house, bot, f"silent-{number}", SILENT)
            house.until(lambda n=wanted: running(house) == n, f"{wanted} sessions", within=600)
            time.sleep(10)
            busy = _percent(bot.pid, seconds)
            own, threads, _ = cost(bot.pid)
            found.append(Found(wanted, own, threads, busy))
    return found


def _percent(pid: int, seconds: float) -> float:
    begun = cost(pid)[2]
    time.sleep(seconds)
    return (cost(pid)[2] - begun) / seconds * 100


def plain(many: int) -> tuple[float, float]:
    pipe = subprocess.PIPE
    argv = [sys.executable, "-c", PLAIN, str(many)]
    with subprocess.Popen(argv, stdin=pipe, stdout=pipe, text=True) as child:
        assert child.stdin is not None and child.stdout is not None
        child.stdout.readline()
        before, threads, _ = cost(child.pid)
        print(file=child.stdin, flush=True)
        child.stdout.readline()
        after, more, _ = cost(child.pid)
        print(file=child.stdin, flush=True)
    return (after - before) / many, (more - threads) / many


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sessions", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=10)
    said = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        found = bullpen(Path(name), said.sessions, said.seconds)
    other, others = plain(said.sessions)
    (_, first, last) = found
    own = (last.own - first.own) / said.sessions
    threads = (last.threads - first.threads) / said.sessions
    table([f"a silent agent, of {said.sessions}", "memory", "threads"],
          [["Bullpen", f"{own:.0f} KB", f"{threads:.2f}"],
           ["asyncio's subprocess, as it comes", f"{other:.0f} KB", f"{others:.2f}"]])
    print(met(own <= 20 and threads < 0.05, f"{own:.0f} KB and {threads:.2f} threads "
              "(goal: 20 KB and none)"), "\n")
    table(["the bot, with silent sessions", "memory of its own", "threads", "of a core"],
          [[str(one.sessions), f"{one.own / 1024:.1f} MB", str(one.threads), f"{one.busy:.2f} %"]
           for one in found])


if __name__ == "__main__":
    main()
