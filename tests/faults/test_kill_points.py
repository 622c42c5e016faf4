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
    "before-intake:2", "after-intake", "after-staging", "after-intake:2", "after-claim",
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


def test_what_was_on_its_way_to_be_kept_is_swept_at_the_next_start(house: House) -> None:
    incoming = house.data / "tasks" / ".incoming"
    killed = house.play(house.command("greet"), kill_at="after-staging")
    assert killed.process.returncode == -9, killed.text()
    assert len(list(incoming.iterdir())) == 2
    (incoming / ".0123456789abcdef.tmp").write_bytes(b"half wri")
    precious = house.base / "precious"
    precious.write_text("kept")
    (incoming / "a-link").symlink_to(precious)
    again = house.play()
    assert again.process.returncode == 0, house.picture()
    assert not list(incoming.iterdir()) and precious.read_text() == "kept"
    assert house.values("SELECT state FROM tasks") == ["review"], house.picture()
    (tasks,) = (house.data / "tasks" / "active").iterdir()
    assert "greet" in (tasks / "artifacts" / "raw-input.md").read_text()


def test_a_folder_of_someone_else_s_is_not_swept(house: House) -> None:
    others = house.base / "others"
    others.mkdir()
    (others / "file").write_text("kept")
    (house.data / "tasks").mkdir(parents=True)
    (house.data / "tasks" / ".incoming").symlink_to(others)
    assert house.play("/status").process.returncode == 0, house.picture()
    assert (others / "file").read_text() == "kept"
