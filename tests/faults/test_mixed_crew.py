"""A crew of three kinds (a command on the host, Claude Code in bubblewrap, a container) finishes a
run of ten tasks while the bot is killed five times."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tests import docker_ground
from tests.bot_bench import CHORE, House
from tests.fakes.git_world import run_git
from tests.fakes.model_server import ModelServer, Say, Turn, Use
from tests.flows.real_bench import need_sandbox, program

pytestmark = [pytest.mark.faults, pytest.mark.timeout(400)]

KILLS = 5
PATIENCE = 270.0
"""Seconds: a bound for a busy machine, which starts Claude three times and a container thrice."""
MERGED = CHORE.replace('default = "done"', 'default = "merge"') + """
writes_code = true

[[steps]]
id = "merge"
kind = "forge"
action = "merge"
outcomes = { "pr.merged" = "done", "merge.conflict" = "failed" }
"""
CREW = """
[agents.shell]
driver = "command"
sandbox = "host"
tags = ["host"]
max_concurrent_tasks = 3

[agents.claude]
driver = "claude"
sandbox = "bubblewrap"
max_concurrent_tasks = 2
[agents.claude.options]
program = "{claude}"
permission_mode = "acceptEdits"
[agents.claude.environment]
ANTHROPIC_BASE_URL = "{model}"
ANTHROPIC_API_KEY = "dummy-key-of-a-test"
DISABLE_TELEMETRY = "1"
DISABLE_ERROR_REPORTING = "1"
DISABLE_AUTOUPDATER = "1"
CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC = "1"
CLAUDE_CODE_MAX_RETRIES = "0"

[agents.box]
driver = "command"
sandbox = "docker"
network = "off"
max_concurrent_tasks = 2
[agents.box.container]
image = "{image}"
engine = "{engine}"
"""
CREW_OF = {1: "shell", 2: "claude", 3: "box", 4: "shell", 5: "box", 6: "claude", 7: "shell",
           8: "box", 9: "claude", 10: "shell"}
NEEDS: Mapping[int, Sequence[int]] = {5: (1,), 6: (3,), 7: (2,), 8: (5, 6), 9: (7,), 10: (8, 9)}
AT_WORK = "SELECT 1 FROM runs WHERE state = 'running'"


def script(task: int) -> str:
    """Lines over some seconds, then a file."""
    return (f"for i in 1 2 3 4 5 6 7 8; do echo task-{task} line $i; sleep 0.25; done; "
            f"echo made > made-by-task-{task}.txt")


def add(task: int) -> str:
    agent = CREW_OF[task]
    what = "" if agent == "claude" else f""" --run 'sh -c "{script(task)}"'"""
    after = f" --after {','.join(map(str, NEEDS[task]))}" if task in NEEDS else ""
    line = f'/add "job-{task}-of-ten"{what} --agent {agent}'
    return f"{line} --workflow chore --lane chores --draft{after}"


def plays(house: House) -> dict[str, Sequence[Turn]]:
    """What the model says to each of Claude's tasks: a pause, a file, an end."""
    return {f"job-{task}-of-ten": [
        Use("Bash", {"command": "echo thinking"}, "I look around."),
        Use("Write", {"file_path": f"made-by-task-{task}.txt", "content": "made\n"}),
        Say("It is made.", 1.0)] for task, agent in CREW_OF.items() if agent == "claude"}


@pytest.mark.parametrize("again", range(int(os.environ.get("BULLPEN_TEST_REPEAT", "1"))))
async def test_ten_tasks_end_whoever_does_them_and_whoever_is_killed(
    tmp_path: Path, again: int
) -> None:
    engine = docker_ground.engine()
    need_sandbox("bubblewrap")
    claude = program("claude", "BULLPEN_TEST_CLAUDE", "Claude Code")
    seed = os.environ.get("BULLPEN_TEST_SEED", str(time.time_ns() % 1_000_000))
    print(f"BULLPEN_TEST_SEED={seed}")
    house = House(tmp_path / "house")
    async with ModelServer(plays(house)) as model:
        crew = CREW.format(claude=claude, model=model.url, engine=engine.address,
                           image=docker_ground.PYTHON_IMAGE)
        (house.base / "config" / "agents.toml").write_text(crew)
        (house.base / "config" / "workflows").mkdir()
        (house.base / "config" / "workflows" / "chore.toml").write_text(MERGED)
        try:
            await asyncio.to_thread(play, house, random.Random(seed))
        finally:
            house.clean()
    assert engine.containers() == []


def play(house: House, chance: random.Random) -> None:
    bot = house.start()
    bot.says(*map(add, CREW_OF), "/go chores")
    house.until(lambda: house.values(AT_WORK), "the run has begun")
    for _ in range(KILLS):
        time.sleep(chance.uniform(0.5, 2.5))
        bot.kill()
        bot = house.start()
    bot.kill()
    last = house.start("--until-idle")
    last.silent()
    last.over(PATIENCE)
    assert last.process.returncode == 0, house.picture()
    house.check()
    (run,) = house.rows("SELECT * FROM runs")
    assert (run["state"], run["done"], run["failed"]) == ("completed", 10, 0), house.picture()
    assert house.values("SELECT count(*) FROM events WHERE type = 'pr.merged'") == [10]
    where = dict(house.rows("SELECT agent, sandbox FROM sessions GROUP BY agent"))
    assert where == {"shell": "host", "claude": "bubblewrap", "box": "docker"}
    merged = run_git(house.repo, "ls-tree", "--name-only", "main").split()
    assert {f"made-by-task-{task}.txt" for task in CREW_OF} <= set(merged)
