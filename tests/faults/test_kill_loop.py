"""kill -9 of the bot, again and again at random instants, while agents work and merges run.

A run that failed is played again with BULLPEN_TEST_SEED; BULLPEN_TEST_KILLS makes it longer.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.bot_bench import House, Row, merges, numbered

pytestmark = pytest.mark.faults

AGENTS = 10
KILLS = int(os.environ.get("BULLPEN_TEST_KILLS", "6"))
SLOW = (1, 2, 3)
"""Agents that end only while no bot runs."""


@pytest.fixture
def chance() -> random.Random:
    """The instants of a run, drawn from a seed that a failing test shows."""
    seed = os.environ.get("BULLPEN_TEST_SEED", str(time.time_ns() % 1_000_000))
    print(f"BULLPEN_TEST_SEED={seed}")
    return random.Random(seed)


# -- Agents -------------------------------------------------------------------------------


def lines_of(agent: int) -> int:
    return 20 + 25 * agent


def status_of(agent: int) -> int:
    """Every third succeeds; the others fail, each with a number of its own."""
    return 0 if agent % 3 == 0 else 10 + agent


def add(house: House, agent: int, dead: Path) -> str:
    return house.command(f"agent-{agent}", lines_of(agent), 0.02, status_of(agent),
                         dead if agent in SLOW else None)


def test_ten_agents_outlive_a_bot_that_is_killed_again_and_again(
    house: House, chance: random.Random
) -> None:
    dead = house.base / "dead"
    bot = house.start()
    bot.says(*(add(house, agent, dead) for agent in range(AGENTS)))
    house.until(lambda: len(house.values("SELECT id FROM tasks")) == AGENTS, "all are added")
    for _ in range(KILLS - 1):
        time.sleep(chance.uniform(0, 2))
        bot.kill()
        bot = house.start()
    house.until(lambda: {f"agent-{agent}" for agent in SLOW} <= {n for n, _ in house.ledger()},
                "the slow ones have begun")
    time.sleep(chance.uniform(0, 1))
    bot.kill()
    end_without_bot(house, dead)
    last = house.play()
    assert last.process.returncode == 1, house.picture()  # some of them fail, as they should
    judge(house)


def end_without_bot(house: House, dead: Path) -> None:
    """Let the slow ones end, and see that nobody has told of it yet."""
    dead.touch()
    slow = [(attempt.split("/")[0], int(attempt.split("/")[1]))
            for name, attempt in house.ledger() if int(name[-1]) in SLOW]

    def all_ended() -> bool:
        return all((house.attempt(session, number) / "exit.json").exists()
                   for session, number in slow)

    house.until(all_ended, "the agents end without a bot")
    for session, number in slow:
        (state,) = house.values("SELECT state FROM attempts WHERE session_id = ? AND number = ?",
                                session, number)
        assert state != "ended"


def judge(house: House) -> None:
    house.check()
    rows = house.rows("SELECT sessions.id, sessions.state, tasks.title, tasks.state AS task "
                      "FROM sessions JOIN tasks ON tasks.id = task_id")
    names = [f"agent-{agent}" for agent in range(AGENTS)]
    assert sorted(row["title"] for row in rows) == names, f"one session each\n{house.picture()}"
    assert Counter(name for name, _ in house.ledger()) == dict.fromkeys(names, 1)
    started = {attempt.split("/")[0]: attempt for _, attempt in house.ledger()}
    for row in rows:
        judge_one(house, row, int(row["title"].removeprefix("agent-")), started[row["id"]])


def judge_one(house: House, row: Row, agent: int, started: str) -> None:
    """The exit is its own, and the log what it printed, line by line."""
    assert row["task"] == ("review" if status_of(agent) == 0 else "failed")
    assert row["state"] == ("suspended" if status_of(agent) == 0 else "terminated")
    (attempt,) = house.rows("SELECT * FROM attempts WHERE session_id = ? "
                            "AND exit_reason IS NOT 'not_started'", row["id"])
    assert started == f"{row['id']}/{attempt['number']}"
    assert (attempt["exit_status"], attempt["exit_signal"], attempt["exit_reason"]) == (
        status_of(agent), None, None), house.picture()
    folder = house.attempt(row["id"], attempt["number"])
    assert attempt["ended_at"] == json.loads((folder / "exit.json").read_text())["at"]
    assert attempt["position"] == (folder / "output").stat().st_size
    for stream in ("out", "err"):
        logged = house.values("SELECT text FROM lines WHERE session_id = ? AND stream = ? "
                              "ORDER BY seq", row["id"], stream, file="logs.db")
        assert logged == [text for where, text in numbered(f"agent-{agent}", lines_of(agent))
                          if where == stream]


# -- Merges -------------------------------------------------------------------------------


def test_every_change_is_merged_once_whenever_the_bot_is_killed(
    house: House, chance: random.Random
) -> None:
    names = [f"part-{number}" for number in range(4)]
    bot = house.start()
    bot.says(*(house.command(name) for name in names))
    house.until(lambda: len(house.values("SELECT id FROM tasks")) == len(names), "all are added")
    for _ in range(KILLS):
        time.sleep(chance.uniform(0.2, 2))
        bot.kill()
        bot = house.start()
        bot.says(*approvals(house))
    bot.kill()
    for _ in range(2):  # what has no gate yet gets one
        assert house.play(*approvals(house)).process.returncode == 0, house.picture()
    assert set(house.values("SELECT state FROM tasks")) == {"done"}, house.picture()
    assert sorted(merges(house.repo)) == [
        f"Merge TASK-{number:03d}: {name}" for number, name in enumerate(names, 1)]
    assert sorted(name for name, _ in house.ledger()) == names
    assert len(house.sessions()) == len(names)
    assert set(house.values("SELECT state FROM gates")) == {"approved"}
    house.check()


def approvals(house: House) -> list[str]:
    return [f"/approve G-{gate}" for gate in house.values(
        "SELECT id FROM gates WHERE state = 'open'")]
