"""The bot dies while it looks for itself: the next start ends as if nothing had happened."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bot_bench import House, merges
from tests.sandbox_bench import lives

pytestmark = pytest.mark.faults


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """With a check that signs in and waits while there is a file `wait`."""
    house = House(tmp_path / "house", by_option=False)
    script = house.base / "check.sh"
    script.write_text(f"echo $$ >> {house.base}/checks\n"
                      f"while [ -e {house.base}/wait ]; do sleep 0.05; done\n")
    house.settings |= {"BULLPEN_REPOS__SHOP__CHECK": f"sh {script}",
                       "BULLPEN_REPOS__SHOP__SOURCE": str(house.repo)}
    yield house
    house.clean()


def checks(house: House) -> list[int]:
    file = house.base / "checks"
    return [int(line) for line in file.read_text().splitlines()] if file.exists() else []


def two_in_review(house: House) -> None:
    """Two tasks with a result; the first is merged, so that the second is behind."""
    house.play(house.command("one"), house.command("two"), "/approve 1")
    assert house.values("SELECT state FROM tasks") == ["done", "review"], house.picture()


def merged_once(house: House) -> None:
    assert house.values("SELECT state FROM tasks") == ["done", "done"], house.picture()
    assert merges(house.repo) == ["Merge TASK-002: two", "Merge TASK-001: one"]
    assert house.values("SELECT state FROM gates") == ["approved", "approved"]
    last = house.rows("SELECT * FROM receipts WHERE task_id = 2 ORDER BY id")[-1]
    (first,) = house.values("SELECT merge_commit FROM tasks WHERE id = 1")
    (second,) = house.values("SELECT merge_commit FROM tasks WHERE id = 2")
    assert (last["base"], last["commit_id"], last["stale_at"]) == (first, second, None)
    assert list((house.data / "sessions").glob("*/receipts")) == []
    house.check()


@pytest.mark.parametrize("point", ["after-receipt", "after-merge", "after-merge:2"])
def test_killed_while_the_merge_is_seen_again(house: House, point: str) -> None:
    two_in_review(house)
    assert house.play("/approve 2", kill_at=point).process.returncode == -9
    assert house.play().process.returncode == 0
    merged_once(house)


def test_a_check_of_a_killed_bot_is_ended_before_its_checkout_is_made_anew(house: House) -> None:
    two_in_review(house)
    (house.base / "wait").touch()
    before = len(checks(house))
    bot = house.start()
    bot.says("/approve 2")
    house.until(lambda: len(checks(house)) > before, "what would be merged is checked")
    bot.kill()
    running = checks(house)[-1]
    assert lives(running)
    bot = house.start()
    house.until(lambda: len(checks(house)) == before + 2, "it is checked again")
    assert not lives(running), "two checks at once"
    (house.base / "wait").unlink()
    house.until(lambda: house.values("SELECT state FROM tasks") == ["done"] * 2, "it is merged")
    bot.kill()
    assert house.play().process.returncode == 0
    merged_once(house)


def test_a_task_cancelled_while_its_merge_is_checked_is_not_merged(house: House) -> None:
    two_in_review(house)
    (house.base / "wait").touch()
    before = len(checks(house))
    bot = house.start()
    bot.says("/approve 2")
    house.until(lambda: len(checks(house)) > before, "what would be merged is checked")
    bot.says("/cancel 2")
    house.until(lambda: house.values("SELECT state FROM tasks")[1] == "cancelled", "cancelled")
    (house.base / "wait").unlink()
    house.until(lambda: not lives(checks(house)[-1]), "the check has ended")
    bot.kill()
    assert house.play().process.returncode == 0
    assert merges(house.repo) == ["Merge TASK-001: one"]
    house.check()
