"""kill -9 of the bot, again and again, while a run goes through its waves."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bot_bench import CHORE, House

pytestmark = pytest.mark.faults

WAVES = 4
WIDTH = 4
KILLS = int(os.environ.get("BULLPEN_TEST_KILLS", "6"))

@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path / "house")
    (house.base / "config" / "workflows").mkdir()
    (house.base / "config" / "workflows" / "chore.toml").write_text(CHORE)
    yield house
    house.clean()


def add(house: House, task: int) -> str:
    """A task that needs two of the wave before it."""
    wave, place = divmod(task - 1, WIDTH)
    first = (wave - 1) * WIDTH + 1
    needed = [first + place, first + (place + 1) % WIDTH] if wave else []
    after = f" --after {','.join(map(str, needed))}" if needed else ""
    line = house.command(f"task-{task}", lines=5, pause=0.05)
    return f"{line} --workflow chore --lane chores --draft{after}"


def test_a_run_ends_as_if_nobody_had_been_killed(house: House) -> None:
    seed = os.environ.get("BULLPEN_TEST_SEED", str(time.time_ns() % 1_000_000))
    print(f"BULLPEN_TEST_SEED={seed}")
    chance = random.Random(seed)
    total = WAVES * WIDTH
    bot = house.start()
    bot.says(*(add(house, task) for task in range(1, total + 1)), "/go chores")
    house.until(lambda: house.values("SELECT state FROM runs"), "the run has begun")
    for _ in range(KILLS):
        time.sleep(chance.uniform(0, 1.2))
        bot.kill()
        bot = house.start()
    bot.kill()
    last = house.play()
    assert last.process.returncode == 0, house.picture()
    house.check()
    (run,) = house.rows("SELECT * FROM runs")
    assert (run["state"], run["done"], run["failed"]) == ("completed", total, 0), house.picture()
    assert house.values("SELECT state FROM waves") == ["completed"] * WAVES
    assert [name for name, _ in house.ledger()].count("task-1") == 1
    assert len(house.ledger()) == total, "each agent has begun once"
    begun_in_order(house)


def begun_in_order(house: House) -> None:
    """No agent has signed before those of the wave before it."""
    seen: set[int] = set()
    for name, _ in house.ledger():
        wave = (int(name.removeprefix("task-")) - 1) // WIDTH
        earlier = set(range(wave * WIDTH))
        assert earlier <= seen, f"{name} began too early"
        seen.add(int(name.removeprefix("task-")) - 1)

