"""How the bot is stopped, and what becomes of the agents that it leaves."""

from __future__ import annotations

import signal

import pytest

from tests.bot_bench import Bot, House
from tests.sandbox_bench import lives

pytestmark = pytest.mark.faults

HANG = 20.0
"""Seconds: far more than leaving takes, so that only a hang fails."""

STUBBORN = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
open(sys.argv[1] + str(os.getpid()), "w").close()
time.sleep(1000)
"""
"""An agent that asks nothing of TERM, and a child that has left its process group."""


def working(house: House, *commands: str) -> Bot:
    """A bot whose agents have all begun."""
    bot = house.start()
    bot.says(*commands)
    house.until(lambda: len(house.values("SELECT id FROM sessions WHERE state = 'running'"))
                == len(commands), "all agents work")
    return bot


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_bot_leaves_its_agents_and_the_next_takes_over(
    house: House, number: signal.Signals
) -> None:
    go_on = house.base / "go-on"
    bot = working(house, house.command("one", until=go_on), house.command("two", until=go_on))
    bot.process.send_signal(number)
    assert bot.over(HANG) == 0
    assert "2 agents left running; `bullpen up` takes over again." in bot.text()
    assert "Traceback" not in bot.text()
    assert len(house.processes()) >= 4, "two launchers and two agents go on"
    go_on.touch()
    assert house.play().process.returncode == 0
    assert house.values("SELECT state FROM tasks") == ["review", "review"]
    assert house.values("SELECT number FROM attempts") == [1, 1]
    assert sorted(name for name, _ in house.ledger()) == ["one", "two"]
    house.check()


def test_agents_are_stopped_with_the_bot_where_that_is_asked(house: House) -> None:
    script = house.base / "stubborn.py"
    script.write_text(STUBBORN)
    pids = house.base / "pid-"
    bot = house.start("--stop-agents")
    bot.says(f'/add "stubborn" --run "python3 {script} {pids}"',
             house.command("one", until=house.base / "never"))
    house.until(lambda: len(list(house.base.glob("pid-*"))) == 2 and house.ledger(),
                "both agents work")
    house.until(lambda: house.values("SELECT id FROM sessions WHERE state = 'running'")[1:],
                "both are noted")
    bot.process.send_signal(signal.SIGINT)
    assert bot.over(HANG) == 0
    assert "2 agents stopped." in bot.text()
    assert house.processes() == []
    assert not any(lives(int(path.name[4:])) for path in house.base.glob("pid-*"))
    again = house.start("--stop-agents")
    house.until(lambda: house.values("SELECT state FROM attempts ORDER BY state") ==
                ["ended", "ended", "running", "running"], "both are tried again")
    assert house.values("SELECT exit_reason FROM attempts WHERE state = 'ended'") == [
        "stopped", "stopped"], house.picture()
    assert house.values("SELECT outcome FROM sessions WHERE state = 'terminated'") == [
        "lost", "lost"], "who stops agents with the bot has them begin anew"
    again.says("/cancel 1", "/cancel 2")
    house.until(lambda: not house.values("SELECT id FROM sessions WHERE state <> 'terminated'"),
                "both are over")
    again.process.send_signal(signal.SIGINT)
    assert again.over(HANG) == 0
    house.check()


def test_a_second_bot_on_the_same_data_is_refused_in_one_line(house: House) -> None:
    go_on = house.base / "go-on"
    first = working(house, house.command("one", until=go_on))
    second = house.play("/cancel 1")
    assert second.process.returncode == 3
    said = second.text().strip()
    assert len(said.splitlines()) == 1, said
    assert str(first.pid) in said
    assert str(house.data) in said
    assert house.values("SELECT state FROM tasks") == ["in_flight"]
    go_on.touch()
    house.until(lambda: house.values("SELECT state FROM tasks") == ["review"], "the first goes on")
    first.process.send_signal(signal.SIGINT)
    assert first.over(HANG) == 0
    assert "left running" not in first.text()
    house.check()


def test_the_lock_of_a_killed_bot_is_no_lock(house: House) -> None:
    bot = house.start()
    house.until(lambda: "Bullpen is up" in bot.text(), "it is up")
    bot.kill()
    assert house.play("/status").process.returncode == 0
    house.check()
