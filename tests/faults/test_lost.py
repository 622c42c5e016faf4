"""An attempt whose launcher was killed: lost, proven gone, and tried again by policy."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from tests.bot_bench import House, merges
from tests.sandbox_bench import lives

pytestmark = pytest.mark.faults


def go_on(house: House) -> Path:
    return house.base / "go-on"


def begun(house: House, times: int) -> None:
    house.until(lambda: len(house.ledger()) == times, f"{times} starts")


def launcher(house: House) -> tuple[int, int]:
    """The newest attempt's launcher and its agent."""
    name, number = house.ledger()[-1][1].split("/")
    file = house.data / "sessions" / name / "attempts" / f"{int(number):02d}" / "handle.json"
    handle = house.until(lambda: file.exists() and json.loads(file.read_text()), "a handle")
    return handle["pid"], handle["child"]


def lose(house: House) -> int:
    """Kill the newest attempt's launcher, once its session is noted as running."""
    pid, agent = launcher(house)
    house.until(lambda: house.values("SELECT id FROM sessions WHERE state = 'running'"),
                "its row says running")
    os.kill(pid, signal.SIGKILL)
    return agent


def outcomes(house: House) -> list[str]:
    found = house.values("SELECT outcome FROM sessions ORDER BY created_at")
    return [str(outcome) for outcome in found]


def done(house: House) -> None:
    """The second try was the last, and its work is merged once."""
    house.until(lambda: house.values("SELECT id FROM gates WHERE state = 'open'"), "its review")
    for bot in house.bots:
        bot.kill()
    assert house.play("/approve 1").process.returncode == 0
    assert house.values("SELECT state, attempts FROM tasks") == ["done"]
    assert outcomes(house) == ["lost", "completed"]
    assert house.values("SELECT exit_reason FROM attempts ORDER BY started_at") == ["gone", None]
    assert len(house.ledger()) == 2
    assert merges(house.repo) == ["Merge TASK-001: one"]
    house.check()


def test_a_lost_session_is_tried_again_once_it_is_proven_gone(house: House) -> None:
    bot = house.start()
    bot.says(house.command("one", until=go_on(house)))
    begun(house, 1)
    agent = lose(house)
    begun(house, 2)
    assert not lives(agent), "the first was still there when the second began"
    go_on(house).touch()
    done(house)
    (why,) = house.values("SELECT reason FROM sessions WHERE outcome = 'lost'")
    assert "gone without a trace" in why


def test_a_launcher_killed_while_no_bot_runs_is_found_out_at_the_start(house: House) -> None:
    bot = house.start()
    bot.says(house.command("one", until=go_on(house)))
    begun(house, 1)
    house.until(lambda: house.values("SELECT id FROM sessions WHERE state = 'running'"), "runs")
    bot.kill()
    lose(house)
    house.start()
    begun(house, 2)
    go_on(house).touch()
    done(house)


def test_a_launcher_killed_before_its_handle_was_stored_is_lost_too(house: House) -> None:
    bot = house.start(kill_at="after-spawn")
    bot.says(house.command("one", until=go_on(house)))
    assert bot.over() == -9
    begun(house, 1)
    os.kill(launcher(house)[0], signal.SIGKILL)
    house.start()
    begun(house, 2)
    go_on(house).touch()
    done(house)


def test_lost_twice_is_lost_for_good(house: House) -> None:
    bot = house.start()
    bot.says(house.command("one", until=go_on(house)))
    for times in (1, 2):
        begun(house, times)
        lose(house)
    house.until(lambda: house.values("SELECT state FROM tasks") == ["failed"], "it has failed")
    bot.kill()
    assert house.play().process.returncode == 1
    assert outcomes(house) == ["lost", "lost"]
    (why,) = house.values("SELECT failure FROM tasks")
    assert "lost" in why
    assert house.printed().count("TASK-001 failed: ") == 1
    assert house.values("SELECT type FROM events WHERE type = 'task.failed'") == ["task.failed"]
    house.check()


RESULT = """#!/bin/sh
read line
echo '{"type":"system","subtype":"init","session_id":"s1","model":"m"}'
echo one begun >> %s/begun
echo x > made.txt
echo '{"type":"result","subtype":"success","is_error":false,"result":"Ready","num_turns":1}'
exec sleep 600
"""


def test_a_result_stands_though_its_launcher_died_after_it(house: House) -> None:
    agent = house.base / "claude"
    agent.write_text(RESULT % house.base)
    agent.chmod(0o755)
    (house.base / "config" / "agents.toml").write_text(
        f'[agents.claude]\ndriver = "claude"\nsandbox = "host"\n'
        f'options = {{ program = "{agent}" }}\n')
    bot = house.start(BULLPEN_LIMITS__GRACE_SECONDS="60")
    bot.says('/add "Write" --agent claude')
    house.until(lambda: house.values("SELECT 1 FROM lines WHERE kind = 'finished'",
                                     file="logs.db"), "its result")
    house.until(lambda: house.values("SELECT 1 FROM attempts WHERE state = 'running'"), "runs")
    (handle,) = house.values("SELECT handle FROM attempts")
    os.kill(json.loads(handle)["pid"], signal.SIGKILL)
    house.until(lambda: house.values("SELECT 1 FROM gates WHERE state = 'open'"), "its review")
    assert house.values("SELECT exit_reason FROM attempts") == ["gone"]
    assert (house.base / "begun").read_text().split() == ["one", "begun"], "done once"
    bot.kill()


def test_an_agent_that_was_killed_is_no_lost_one(house: House) -> None:
    """Its launcher saw the end, and says which signal it was."""
    bot = house.start()
    bot.says(house.command("one", until=go_on(house)))
    begun(house, 1)
    os.kill(launcher(house)[1], signal.SIGKILL)
    house.until(lambda: house.values("SELECT state FROM tasks") == ["failed"], "it has failed")
    bot.kill()
    house.play()
    assert outcomes(house) == ["failed"]
    assert house.values("SELECT exit_signal FROM attempts") == [9]
    assert len(house.ledger()) == 1
    house.check()
