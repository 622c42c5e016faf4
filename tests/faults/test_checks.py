"""Checks that the bot runs in a workspace, while somebody kills, cancels or deletes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bot_bench import House, merges
from tests.sandbox_bench import lives

pytestmark = pytest.mark.faults


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """With a check that signs in, and ends as the file `verdict` says once it is there."""
    house = House(tmp_path / "house", by_option=False)
    script = house.base / "check.sh"
    script.write_text(f"cd {house.base}; echo $$ >> checks\n"
                      "while [ ! -s verdict ]; do sleep 0.05; done; exit $(cat verdict)\n")
    house.settings |= {"BULLPEN_REPOS__SHOP__CHECK": f"sh {script}",
                       "BULLPEN_REPOS__SHOP__SOURCE": str(house.repo)}
    yield house
    house.clean()


def checks(house: House) -> list[int]:
    """The pid of each check so far."""
    file = house.base / "checks"
    return [int(line) for line in file.read_text().splitlines()] if file.exists() else []


def verdict(house: House, status: int) -> None:
    (house.base / "verdict").write_text(f"{status}\n")


def test_the_check_of_a_killed_bot_is_ended_before_the_next_begins(house: House) -> None:
    bot = house.start()
    bot.says(house.command("one"))
    house.until(lambda: checks(house), "the check runs")
    bot.kill()
    assert lives(checks(house)[0])
    bot = house.start()
    house.until(lambda: len(checks(house)) == 2, "the check runs again")
    assert not lives(checks(house)[0]), "two checks at once"
    verdict(house, 0)
    house.until(lambda: house.values("SELECT state FROM tasks") == ["review"], "it is judged")
    bot.kill()
    assert house.play("/approve 1").process.returncode == 0
    assert house.values("SELECT result FROM qa_results") == ["passed"]
    assert merges(house.repo) == ["Merge TASK-001: one"]
    house.check()


@pytest.mark.parametrize("status", [0, 1])
def test_a_task_cancelled_while_it_is_checked_stays_cancelled(house: House, status: int) -> None:
    bot = house.start()
    bot.says(house.command("one"))
    house.until(lambda: checks(house), "the check runs")
    bot.says("/cancel 1")
    house.until(lambda: house.values("SELECT state FROM tasks") == ["cancelled"], "it is cancelled")
    verdict(house, status)
    house.until(lambda: not lives(checks(house)[0]), "the check has ended")
    bot.says("/status")
    house.until(lambda: "0 working" in bot.text(), "the bot goes on")
    bot.kill()
    assert house.play().process.returncode == 0
    assert house.values("SELECT state FROM tasks") == ["cancelled"]
    assert house.values("SELECT state FROM iterations") == ["completed"]
    assert house.values("SELECT id FROM gates") == []
    house.check()


def test_work_that_cant_be_committed_fails_the_task_and_says_so(house: House) -> None:
    """An agent that has set up its clone to sign, without a key."""
    verdict(house, 0)
    house.play('/add "sign" --run "sh -c \'git config commit.gpgsign true; '
               'git config gpg.program false; echo 1 > new.txt\'"')
    assert house.values("SELECT state FROM tasks") == ["failed"]
    (why,) = house.values("SELECT failure FROM tasks")
    assert why.startswith("What it left uncommitted can't be committed")
    assert why in house.printed()
    house.check()


# -- A workspace is deleted by hand --------------------------------------------------------


def reviewed(house: House) -> Path:
    """A task that waits for its review; its workspace."""
    verdict(house, 0)
    assert house.play(house.command("one")).process.returncode == 0
    assert house.values("SELECT state FROM gates") == ["open"]
    return Path(house.values("SELECT worktree FROM sessions")[0])


def test_what_was_collected_is_merged_although_its_workspace_was_deleted(house: House) -> None:
    shutil.rmtree(reviewed(house))
    assert house.play("/approve 1").process.returncode == 0
    assert house.values("SELECT state FROM tasks") == ["done"], house.picture()
    assert merges(house.repo) == ["Merge TASK-001: one"]
    house.check()


def test_sent_back_without_its_workspace_it_fails_and_says_why(house: House) -> None:
    workspace = reviewed(house)
    shutil.rmtree(workspace)
    assert house.play("/reject 1 again").process.returncode == 1
    assert house.values("SELECT state FROM tasks") == ["failed"], house.picture()
    (why,) = house.values("SELECT failure FROM tasks")
    assert f"the workspace {workspace} is gone" in why
    assert why in house.printed()
    assert house.values("SELECT state, outcome FROM sessions") == ["terminated"]
    assert len(house.ledger()) == 1


def test_a_workspace_deleted_under_its_agent_fails_the_task(house: House) -> None:
    go_on = house.base / "go-on"
    verdict(house, 0)
    bot = house.start()
    bot.says(house.command("one", until=go_on))
    house.until(house.ledger, "the agent works")
    workspace = Path(house.values("SELECT worktree FROM sessions")[0])
    bot.says('/add "two" --run "true"')
    shutil.rmtree(workspace)
    go_on.touch()
    house.until(lambda: house.values("SELECT state FROM tasks") == ["failed", "review"],
                "one fails, and two goes on")
    (why,) = house.values("SELECT failure FROM tasks WHERE id = 1")
    assert why
    bot.kill()
