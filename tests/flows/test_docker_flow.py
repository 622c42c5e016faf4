"""A whole task by an agent in a container: the real bot, a real engine."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path

import pytest

from tests import docker_ground
from tests.docker_ground import PYTHON_IMAGE
from tests.flows.bench import Bench
from tests.sandbox_bench import until

CREW = """
[agents.boxer]
driver = "command"
sandbox = "docker"
types = ["work"]
network = "off"
container = { image = "IMAGE", engine = "ENGINE", cpus = 1.0 }
limits = { memory = "500m", processes = 100 }
[agents.shell]
driver = "command"
enabled = false
"""


@pytest.fixture
def engine(bench: Bench) -> docker_ground.Engine:
    engine = docker_ground.engine()
    crew = CREW.replace("IMAGE", PYTHON_IMAGE).replace("ENGINE", engine.address)
    bench.configure(crew, "config/agents.toml")
    check = "test -s greeting.txt && test ! -e /usr/bin/make && git log -1"
    bench.configure(f'[repos.shop]\nsource = "{bench.repo}"\ncheck = "{check}"\n')
    return engine


def test_what_was_done_in_a_container_is_checked_in_one_and_merged(
    bench: Bench, engine: docker_ground.Engine
) -> None:
    """Where the check runs there is no make, as there is in the machine's own system."""
    assert Path("/usr/bin/make").exists()
    ran = bench.up(
        '/add "Add a greeting" --run "sh -c \'pwd; id -u; echo hello > greeting.txt\'"',
        "/approve 1", repo=None)
    ran.said("Ready. boxer takes it", "greeting.txt +1", "✅ TASK-001 done · merged")
    assert bench.file("greeting.txt") == "hello\n"
    assert bench.states() == {1: "done"}
    (receipt,) = bench.rows("SELECT checks FROM receipts")[:1]
    assert [check["passed"] for check in json.loads(receipt["checks"])] == [True]
    _nothing_left(engine)


async def test_a_bot_killed_meanwhile_goes_on_with_it(
    bench: Bench, engine: docker_ground.Engine
) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bot.cli", "up", "--data", str(bench.data), cwd=bench.folder,
        env=bench.environment, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL)
    assert process.stdin is not None
    process.stdin.write(
        b'/add "Add a greeting" --run "sh -c \'for i in 1 2 3 4 5 6 7 8; do echo at $i; sleep 1;'
        b" done; echo hello > greeting.txt'\"\n")
    await process.stdin.drain()
    await until(lambda: any(b"at 2" in path.read_bytes() for path in _outputs(bench)), "it works")
    process.send_signal(signal.SIGKILL)
    await process.wait()
    ran = await asyncio.to_thread(bench.up, "/approve 1", repo=None)
    ran.said("✅ TASK-001 done · merged")
    assert bench.file("greeting.txt") == "hello\n"
    assert bench.value("SELECT count(*) FROM attempts") == 1
    said = b"".join(path.read_bytes() for path in _outputs(bench)).decode()
    assert [said.count(f"o at {n}\n") for n in range(1, 9)] == [1] * 8
    _nothing_left(engine)


def _outputs(bench: Bench) -> list[Path]:
    return list((bench.data / "sessions").glob("*/attempts/*/output"))


def _nothing_left(engine: docker_ground.Engine) -> None:
    assert engine.containers() == []


SPOILS = {
    "folder": ("rm -f output; mkdir output", "no more of it can be read"),
    "sparse": ("truncate -s 400G output", "the rest is not read"),
}


@pytest.mark.parametrize("how", SPOILS)
def test_an_agent_that_spoils_its_output_ends_as_any_other(
    bench: Bench, engine: docker_ground.Engine, how: str
) -> None:
    act, mark = SPOILS[how]
    bench.configure(f'[limits]\nlog_cap_bytes = 100000\n[repos.shop]\nsource = "{bench.repo}"\n')
    script = f"cd $(dirname $BULLPEN_ARTIFACTS)/attempts/01; {act}; sleep 1; echo end"
    bench.commit({"spoil.sh": script})
    ran = bench.up('/add "Spoil" --run "sh spoil.sh"', repo=None)
    assert [row["state"] for row in bench.rows("SELECT state FROM attempts")] == ["ended"], ran
    bench.up("/logs 1", repo=None).said(mark)
    _nothing_left(engine)
