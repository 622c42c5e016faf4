"""The very first start is killed at random: the next one makes good what is half-made."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bot_bench import House, merges

pytestmark = pytest.mark.faults

KILLS = 6


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """Without a repository: the first start makes one to try things on."""
    house = House(tmp_path / "house", by_option=False)
    yield house
    house.clean()


def test_a_first_start_that_is_killed_again_and_again(house: House) -> None:
    seed = os.environ.get("BULLPEN_TEST_SEED", str(time.time_ns() % 1_000_000))
    print(f"BULLPEN_TEST_SEED={seed}")
    chance = random.Random(seed)
    for _ in range(KILLS):
        bot = house.start()
        house.until(house.data.exists, "it has begun")
        time.sleep(chance.uniform(0, 0.6))
        bot.kill()
    assert house.play(house.command("one"), "/approve 1").process.returncode == 0
    assert merges(house.data / "demo") == ["Merge TASK-001: one"]
    house.check()
