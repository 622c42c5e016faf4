"""A bot that is killed while fifty agents work, and started again.

Each agent prints a number every 200 ms, bot or no bot. Measured is the time from the new bot's
start until the rows hold something of every session that was printed after the kill, in two parts:
until the bot says that it is up (the interpreter, imports, its files), and from there until all
are heard (its sessions found again, and their output taken in). And whether any line is missing or
there twice. Beside it, what a bot needs that has nothing to take over, and what imports alone cost.
`python benchmarks/restart.py [--sessions 50] [--rounds 3]`
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from _bench import met, table
from flood import add, bot_of, running

from tests.bot_bench import ROOT, Bot, House

COUNTS = "import time\nn = 0\nwhile 1: n += 1; print('line', n, flush=True); time.sleep(0.2)"
HEARD = "SELECT session_id, max(seq) AS last, count(*) AS n FROM lines GROUP BY session_id"


UP = "Bullpen is up"


def up(house: House) -> Bot:
    return house.start("--stop-agents")


def imports() -> float:
    """Seconds that an interpreter takes that imports the bot and ends."""
    begun = time.monotonic()
    subprocess.run([sys.executable, "-c", "import bot.app"], check=True, cwd=ROOT)
    return time.monotonic() - begun


def empty(base: Path) -> float:
    """Seconds from a start until it is up, with nothing to take over, on data that is there."""
    house = House(base / "house")
    for _ in range(2):
        begun = time.monotonic()
        bot = up(house)
        house.until(lambda bot=bot: UP in bot.text(), "its first words")
        taken = time.monotonic() - begun
        if len(house.bots) == 1:
            bot.signalled(15)
    bot.signalled(15)
    house.clean()
    return taken


def taken_over(base: Path, many: int, rounds: int) -> list[tuple[float, float, float]]:
    """Seconds of each round: of imports alone, beside the agents and a bot killed before; until
    the bot is up, and from there until all are heard. Raises AssertionError where a line is
    missing."""
    found = []
    with bot_of(base, many, "host") as (house, bot):
        for number in range(many):
            add(house, bot, f"counts-{number}", COUNTS)
        house.until(lambda: running(house) == many, f"{many} sessions", within=600)
        for _ in range(rounds):
            time.sleep(3)
            bot.kill()
            plain = imports()
            before = {row["session_id"]: row["last"] for row in house.rows(HEARD, file="logs.db")}
            begun = time.monotonic()
            bot = up(house)
            house.until(lambda bot=bot: UP in bot.text(), "its first words")
            there = time.monotonic()
            house.until(lambda before=before: _all_heard(house, before, many), "all sessions")
            found.append((plain, there - begun, time.monotonic() - there))
        time.sleep(1)
        bot.signalled(15)
        _check(house)
    return found


def _all_heard(house: House, before: dict[str, int], many: int) -> bool:
    rows = house.rows(HEARD, file="logs.db")
    return len(rows) == many and all(row["last"] > before[row["session_id"]] for row in rows)


def _check(house: House) -> None:
    """What is in the log of each session is 1, 2, 3 … without a gap."""
    said: dict[str, list[int]] = {}
    for row in house.rows("SELECT session_id, text FROM lines WHERE text LIKE 'line %' "
                          "ORDER BY seq", file="logs.db"):
        said.setdefault(row["session_id"], []).append(int(row["text"].split()[1]))
    for session, numbers in said.items():
        assert numbers == list(range(1, len(numbers) + 1)), f"{session}: {numbers[:50]}"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sessions", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=3)
    said = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        alone = [empty(Path(name, str(number))) for number in range(said.rounds)]
        found = taken_over(Path(name, "many"), said.sessions, said.rounds)
    usual = statistics.median(alone)
    plain, coming, hearing = (statistics.median(part) for part in zip(*found, strict=True))
    table(["a bot starts", "s", "×"],
          [["with nothing to take over and nobody at work, until it is up", f"{usual:.2f}", "1.0"],
           [f"an interpreter that imports it, and ends, with {said.sessions} agents at work",
            f"{plain:.2f}", f"{plain / usual:.1f}"],
           [f"after kill -9, with {said.sessions} agents at work, until it is up",
            f"{coming:.2f}", f"{coming / usual:.1f}"],
           ["from there until all are heard again", f"{hearing:.2f}", f"{hearing / usual:.1f}"]])
    print("no line is missing, none is there twice")
    longest = max(up + heard for _, up, heard in found)
    print(met(longest < 5, f"the longest of {said.rounds} took {longest:.2f} s (goal: 5)"))


if __name__ == "__main__":
    main()
