"""How the bot is stopped, and what becomes of the agents that it leaves."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.app import build
from bot.leaving import leave
from bot.life import Options
from config.load import load
from core.redaction import Redactor
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


@contextlib.contextmanager
def frozen(house: House, task: int) -> Iterator[int]:
    """The launcher of a task's agent makes no move meanwhile."""
    (handle,) = house.values("SELECT handle FROM attempts JOIN sessions ON sessions.id = session_id"
                             " WHERE task_id = ?", task)
    launcher = int(json.loads(handle)["pid"])
    os.kill(launcher, signal.SIGSTOP)
    try:
        yield launcher
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(launcher, signal.SIGCONT)


def asked_to_end(launcher: int) -> bool:
    """Whether the signal that forces an end waits for it."""
    status = dict(line.split(":", 1) for line in
                  Path(f"/proc/{launcher}/status").read_text().splitlines())
    forced = 1 << signal.SIGUSR1 - 1
    return any(int(status[name], 16) & forced for name in ("SigPnd", "ShdPnd"))


def goes_on_in_the_same_session(house: House, task: int, go_on: Path) -> None:
    """The next bot has no reason to begin it anew."""
    again = house.start()
    house.until(lambda: house.values(
        "SELECT number FROM attempts JOIN sessions ON sessions.id = session_id WHERE task_id = ? "
        "AND number = 2 AND attempts.state = 'running'", task), "it goes on")
    assert len(house.values("SELECT id FROM sessions WHERE task_id = ?", task)) == 1
    go_on.touch()
    house.until(lambda: house.values("SELECT state FROM tasks WHERE id = ?", task) == ["review"],
                "it has a result")
    again.process.send_signal(signal.SIGINT)
    assert again.over(HANG) == 0


def test_who_can_not_be_stopped_is_named_and_holds_up_nothing(house: House) -> None:
    go_on = house.base / "go-on"
    bot = house.start("--stop-agents")
    bot.says(house.command("one", until=house.base / "never"), house.command("two", until=go_on))
    house.until(lambda: len(house.values("SELECT id FROM sessions WHERE state = 'running'")) == 2,
                "both work")
    with frozen(house, 2):
        bot.process.send_signal(signal.SIGINT)
        assert bot.over(2 * HANG) == 0
        assert ("1 agent stopped; 1 agent could not be stopped, and may run on: start again, "
                "then /kill 2.") in bot.text()
        assert "Traceback" not in bot.text()
        assert [tuple(row) for row in house.rows(
            "SELECT task_id, called_off FROM attempts JOIN sessions ON sessions.id = session_id "
            "ORDER BY task_id")] == [(1, 1), (2, 0)]
    goes_on_in_the_same_session(house, 2, go_on)


def test_a_bot_killed_while_it_stops_agents_has_called_none_off(house: House) -> None:
    go_on = house.base / "go-on"
    bot = house.start("--stop-agents")
    bot.says(house.command("one", until=go_on))
    house.until(lambda: house.values("SELECT id FROM sessions WHERE state = 'running'"), "it works")
    with frozen(house, 1) as launcher:
        bot.process.send_signal(signal.SIGINT)
        house.until(lambda: asked_to_end(launcher), "the bot stops its agent")
        bot.kill()
    goes_on_in_the_same_session(house, 1, go_on)
    house.check()


def test_an_engine_that_gives_no_answer_holds_up_no_end(house: House) -> None:
    with socket.socket(socket.AF_UNIX) as engine:
        engine.bind(str(house.base / "engine"))
        engine.listen()
        engine.settimeout(HANG)
        (house.base / "config/agents.toml").write_text(
            '[agents.boxer]\ndriver = "command"\nsandbox = "docker"\n'
            f'container = {{ image = "any", engine = "unix://{house.base}/engine" }}\n')
        bot = house.start("--stop-agents")
        asking, _ = engine.accept()
        with asking:
            assert asking.recv(1), "it asks, and waits"
            house.until(lambda: "Bullpen is up" in bot.text(), "it is up")
            bot.process.send_signal(signal.SIGINT)
            assert bot.over(HANG) == 0


async def test_who_is_just_being_started_is_stopped_too(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever was starting it has been ended before that stood in the rows."""
    house.play(house.command("one", until=house.base / "never"), kill_at="after-spawn")
    assert house.values("SELECT state FROM attempts") == ["starting"]
    assert house.processes()
    monkeypatch.chdir(house.base)
    said = io.StringIO()
    options = Options(io.StringIO(), said, data=str(house.data), repo="shop", stop_agents=True)
    async with contextlib.AsyncExitStack() as stack:
        configuration = load(data=options.data, repo=options.repo)
        app = await build(options, configuration, Redactor(), stack)
        await app.pages.start()
        await leave(app)
    assert said.getvalue() == "1 agent stopped.\n"
    assert house.processes() == []
    assert house.values("SELECT called_off FROM attempts") == [1]


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
