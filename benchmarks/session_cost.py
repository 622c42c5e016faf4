"""What an agent that runs and says nothing costs the bot: memory, threads, CPU.

A real bot with so many sessions, each under its launcher; beside it a plain asyncio program that
holds the same commands by `create_subprocess_exec`, with the child watcher that Python 3.11 takes
by itself: a thread for each. `python benchmarks/session_cost.py [--sessions 100] [--seconds 10]`
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from _bench import met, table
from flood import add, bot_of, running

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


def bullpen(base: Path, many: int, seconds: float) -> tuple[float, float, float, float]:
    """KB and threads a session; percent of a core with none, and with all of them, silent."""
    with bot_of(base, many + 1, "host") as (house, bot):
        add(house, bot, "first", SILENT)  # what the first one loads is not the others'
        house.until(lambda: running(house) == 1, "the first session")
        time.sleep(5)
        alone = _percent(bot.pid, seconds)
        before, threads, _ = cost(bot.pid)
        for number in range(many):
            add(house, bot, f"silent-{number}", SILENT)
        house.until(lambda: running(house) == many + 1, f"{many} sessions", within=600)
        time.sleep(10)
        beside = _percent(bot.pid, seconds)
        after, more, _ = cost(bot.pid)
    return (after - before) / many, (more - threads) / many, alone, beside


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
        own, threads, alone, beside = bullpen(Path(name), said.sessions, said.seconds)
    other, others = plain(said.sessions)
    table([f"a silent agent, of {said.sessions}", "memory", "threads"],
          [["Bullpen", f"{own:.0f} KB", f"{threads:.2f}"],
           ["asyncio's subprocess, as it comes", f"{other:.0f} KB", f"{others:.2f}"]])
    print(met(own <= 20 and threads < 0.05, f"{own:.0f} KB and {threads:.2f} threads "
              "(goal: 20 KB and none)"), "\n")
    table(["the bot", "of a core"],
          [["with one silent session", f"{alone:.1f} %"],
           [f"with {said.sessions + 1}", f"{beside:.1f} %"]])


if __name__ == "__main__":
    main()
