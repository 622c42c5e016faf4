"""The bot killed at named instants: the next start ends as if nothing had happened."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bot_bench import House, merges

pytestmark = pytest.mark.faults


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path / "house", by_option=False)
    house.settings |= {"BULLPEN_REPOS__SHOP__CHECK": "true",
                       "BULLPEN_REPOS__SHOP__SOURCE": str(house.repo)}
    yield house
    house.clean()


POINTS = (
    "before-intake:2", "after-intake", "after-intake:2", "after-claim",
    "after-workspace", "after-spawn", "after-log", "after-exit", "after-receipt",
    "after-collect", "in-approval", "after-approval", "after-post", "after-merge", "after-removal",
)  # fmt: skip


@pytest.mark.parametrize("point", POINTS)
def test_the_road_ends_as_if_nothing_had_happened(house: House, point: str) -> None:
    commands = [house.command("greet"), "/approve 1"]
    killed = house.play(*commands, kill_at=point)
    assert killed.process.returncode == -9, killed.text()
    stored = len(house.values("SELECT id FROM intake"))
    again = house.play(*commands[stored:])
    assert again.process.returncode == 0, house.picture()
    assert house.values("SELECT state FROM tasks") == ["done"], house.picture()
    assert len(house.sessions()) == 1
    assert house.ledger() == [("greet", f"{house.sessions()[0]}/1")]
    assert merges(house.repo) == ["Merge TASK-001: greet"]
    assert house.printed().count("G-1 approved. It is being merged.") == 1, house.picture()
    assert len(house.answers()) == len(commands), "one answer each"
    house.check()
