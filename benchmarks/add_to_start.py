"""From `/add` to the agent's process: an idle bot, a line typed, the agent's first act.

The clock starts before the line is written into the terminal of a real bot, and stops when the
agent's command writes its own time into a ledger. Goal: a median under 150 ms. 50 ms of it are
the pipe's: after a line, a bot that reads no terminal waits that long for one that belongs to it.
`python benchmarks/add_to_start.py [ROUNDS]`
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))

from road_stage import Bot, Machine, until

REST = 0.7
"""Seconds between two rounds, in which the bot comes to rest."""


def rounds(bot: Bot, machine: Machine, count: int) -> tuple[list[float], list[float]]:
    """Milliseconds of each round, and of an empty Python run beside it on the same machine; the
    first round, which fills the caches, doesn't count."""
    ledger = machine.base / "ledger"
    taken, empty = [], []
    for number in range(1, count + 2):
        time.sleep(REST)
        begun = time.time()
        subprocess.run([sys.executable, "-c", "pass"], check=True)
        empty.append((time.time() - begun) * 1000)
        begun = time.time()
        bot.types(f'/add "Round {number}" --run "sh -c \'date +%s.%N >> {ledger}\'"')
        lines = until(lambda n=number: _lines(ledger, n), "the agent's line")
        taken.append((float(lines[number - 1]) - begun) * 1000)
        until(lambda n=number: f"TASK-{n:03d} is ready for you" in bot.screen(), "its review")
        bot.types(f"/approve {number}")
        until(lambda n=number: f"TASK-{n:03d} done" in bot.screen(), "the task's end")
    return taken[1:], empty[1:]


def _lines(ledger: Path, count: int) -> list[str]:
    found = ledger.read_text().splitlines() if ledger.exists() else []
    return found if len(found) >= count else []


def main() -> None:
    count = int(sys.argv[1]) if sys.argv[1:] else 30
    with tempfile.TemporaryDirectory() as folder:
        machine = Machine(Path(folder))
        try:
            with machine.up("--stop-agents") as bot:
                until(lambda: "Bullpen is up" in bot.screen(), "the bot")
                taken, empty = map(sorted, rounds(bot, machine, count))
        finally:
            machine.bury()
    median = statistics.median(taken)
    print("| /add to the agent's process | median | best | worst tenth | beside an empty Python |")
    print("|---|---|---|---|---|")
    print(f"| {count} rounds | {median:.0f} ms | {taken[0]:.0f} ms | "
          f"{taken[int(len(taken) * 0.9)]:.0f} ms | {median / statistics.median(empty):.1f} |")


if __name__ == "__main__":
    main()
