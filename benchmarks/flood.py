"""One agent that floods beside ten quiet ones; a hundred that start; fifty that are held.

A real bot, real launchers. The delay of a line is the time between the launcher's having read it
(each record is dated) and its row in logs.db, looked for every 10 ms. Goals: with a flooder of
500 MB/s no other session's line is delayed by more than 1 s, and the bot grows by less than 50 MB;
100 sessions are started within 60 s; 50 are held for ten minutes and miss nothing.
`python benchmarks/flood.py [--seconds 20] [--hold 600] [--sandbox host] [--many 100] [PART]…`,
where a part is `flood`, `start` or `hold`.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from _bench import met, table

from tests.bot_bench import Bot, House

QUIET = "import time\nwhile 1: print('tick', flush=True); time.sleep({})"
FLOOD = r"""
import os, sys, time
block = (b"x" * 99 + b"\n") * 5000
while not os.path.exists(sys.argv[1]): time.sleep(0.05)
begun, sent = time.monotonic(), 0
while os.path.exists(sys.argv[1]):
    sent += os.write(1, block)
    ahead = sent / 500e6 - (time.monotonic() - begun)
    if ahead > 0.01: time.sleep(ahead)
"""


@contextmanager
def bot_of(base: Path, many: int, sandbox: str) -> Iterator[tuple[House, Bot]]:
    house = House(base / "house", {
        "BULLPEN_QUEUE__MAX_CONCURRENT": str(many),
        "BULLPEN_QUEUE__STOP_ON_FAILURE": "true",
        "BULLPEN_LIMITS__OUTPUT_LIMIT_BYTES": str(1 << 48),
    })  # fmt: skip
    crew = f'[agents.shell]\ndriver = "command"\nmax_concurrent_tasks = {many}\n'
    (house.base / "config/agents.toml").write_text(f'{crew}sandbox = "{sandbox}"\n')
    bot = house.start("--stop-agents")
    try:
        yield house, bot
    finally:
        bot.signalled(15)
        house.clean()


def add(house: House, bot: Bot, name: str, script: str, *words: str) -> None:
    path = house.base / "programs" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!{sys.executable} -ISu\n{script}")
    path.chmod(0o755)
    bot.says(f'/add "{name}" --run "{" ".join([str(path), *words])}"')


def running(house: House) -> int:
    return len(house.rows("SELECT 1 FROM attempts WHERE state = 'running'"))


def resident(bot: Bot) -> int:
    fields = Path(f"/proc/{bot.pid}/statm").read_text().split()
    return int(fields[1]) * 4096


def cpu(bot: Bot) -> float:
    fields = Path(f"/proc/{bot.pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / 100


def watch(house: House, bot: Bot, seconds: float, but: str = "") -> tuple[list[float], int]:
    """The delay of each line in that time, in ms, ascending; and the bot's most memory."""
    delays, most, end = [], 0, time.monotonic() + seconds
    with closing(sqlite3.connect(f"file:{house.data}/logs.db?mode=ro", uri=True)) as db:
        last = db.execute("SELECT coalesce(max(seq), 0) FROM lines").fetchone()[0]
        while time.monotonic() < end:
            rows = db.execute("SELECT seq, at, session_id FROM lines WHERE seq > ? ORDER BY seq",
                              (last,)).fetchall()  # fmt: skip
            now = time.time() * 1000
            delays += [now - at for _, at, session in rows if session != but]
            last = rows[-1][0] if rows else last
            most = max(most, resident(bot))
            time.sleep(0.01)
    return sorted(delays), most


def at(delays: list[float], share: float) -> str:
    return f"{delays[min(int(len(delays) * share), len(delays) - 1)]:.0f} ms"


def flood(base: Path, seconds: float, sandbox: str) -> None:
    with bot_of(base, 11, sandbox) as (house, bot):
        go = house.base / "programs/go"  # where the flooder can see it
        for number in range(10):
            add(house, bot, f"quiet-{number}", QUIET.format(0.1))
        add(house, bot, "flooder", FLOOD, str(go))
        house.until(lambda: running(house) == 11, "eleven sessions")
        flooder = house.values("SELECT id FROM sessions ORDER BY task_id DESC LIMIT 1")[0]
        time.sleep(3)
        alone, before = watch(house, bot, seconds / 2)
        go.touch()
        begun = time.monotonic()
        beside, most = watch(house, bot, seconds, but=flooder)
        go.unlink()
        taken = time.monotonic() - begun
        end = house.attempt(flooder, 1) / "exit.json"
        house.until(end.exists, "the flooder ends")
        speed = json.loads(end.read_text())["dropped"] / taken / 1e6
    table(("ten quiet sessions", "lines", "median delay", "99 %", "longest", "the bot's memory"),
          (("alone", str(len(alone)), at(alone, 0.5), at(alone, 0.99), at(alone, 1),
            f"{before >> 20} MB"),
           (f"beside a flooder of {speed:.0f} MB/s", str(len(beside)), at(beside, 0.5),
            at(beside, 0.99), at(beside, 1), f"{most >> 20} MB")))  # fmt: skip
    print(met(beside[-1] <= 1000, "no line delayed by more than 1 s"))
    print(met(most - before < 50 << 20, "the bot grows by less than 50 MB"), "\n")


def start(base: Path, sandbox: str, many: int) -> None:
    with bot_of(base, many, sandbox) as (house, bot):
        begun = time.monotonic()
        for number in range(many):
            add(house, bot, f"quiet-{number}", QUIET.format(5))
        house.until(lambda: running(house) == many, f"{many} sessions", within=300)
        taken = time.monotonic() - begun
        print(f"{many} sessions in {sandbox}: started in {taken:.1f} s ({cpu(bot):.1f} s of the "
              f"processor's by the bot and its git), "
              f"{resident(bot) >> 20} MB. {met(taken <= 60, 'within 60 s')}\n")  # fmt: skip


def hold(base: Path, seconds: float, sandbox: str, many: int = 50) -> None:
    with bot_of(base, many, sandbox) as (house, bot):
        for number in range(many):
            add(house, bot, f"quiet-{number}", QUIET.format(1))
        house.until(lambda: running(house) == many, f"{many} sessions", within=300)
        time.sleep(3)
        before, used, begun = resident(bot), cpu(bot), time.monotonic()
        delays, most = watch(house, bot, seconds)
        load = (cpu(bot) - used) / (time.monotonic() - begun)
        threads = len(list(Path(f"/proc/{bot.pid}/task").iterdir()))
        alive = running(house)
        print(f"{many} sessions held for {seconds:.0f} s: {alive} alive, {len(delays)} lines, "
              f"99 % within {at(delays, 0.99)}, the bot at {load:.0%} of a core with {threads} "
              f"threads, {before >> 20} MB, at most {most >> 20} MB. "
              f"{met(alive == many, 'all held')}\n")  # fmt: skip


def main() -> None:
    reader = argparse.ArgumentParser()
    reader.add_argument("parts", nargs="*", default=["flood", "start", "hold"])
    reader.add_argument("--seconds", type=float, default=20)
    reader.add_argument("--hold", type=float, default=600)
    reader.add_argument("--sandbox", default="host")
    reader.add_argument("--many", type=int, default=100)
    asked = reader.parse_args()
    for part in asked.parts or ["flood", "start", "hold"]:
        with tempfile.TemporaryDirectory() as folder:
            if part == "flood":
                flood(Path(folder), asked.seconds, asked.sandbox)
            elif part == "start":
                start(Path(folder), asked.sandbox, asked.many)
            else:
                hold(Path(folder), asked.hold, asked.sandbox)


if __name__ == "__main__":
    main()
