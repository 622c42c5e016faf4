"""A whole task by an agent in a container on an engine behind ssh: the real bot, real engine."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import remote_bench
from tests.docker_ground import PYTHON_IMAGE
from tests.flows.bench import Bench
from tests.sandbox_bench import PATIENCE, until
from tests.ssh_ground import Sshd

CREW = """
[agents.boxer]
driver = "command"
sandbox = "docker"
types = ["work"]
network = "host"
container = { image = "IMAGE", engine = "ENGINE" }
limits = { memory = "500m", processes = 100 }
[agents.shell]
driver = "command"
enabled = false
"""


@pytest.fixture
def sshd(bench: Bench, free_port: int) -> Iterator[Sshd]:
    engine = remote_bench.engine()
    sshd = Sshd(bench.folder / "ssh").begin()
    (bench.folder / "bin" / "ssh").write_text(
        f'#!/bin/sh\nexec /usr/bin/ssh -F {sshd.folder}/client.conf "$@"\n')
    (bench.folder / "bin" / "ssh").chmod(0o755)
    crew = CREW.replace("IMAGE", PYTHON_IMAGE).replace("ENGINE", sshd.address(engine))
    bench.configure(crew, "config/agents.toml")
    check = "test -s greeting.txt && test ! -e /usr/bin/make && git log -1"
    bench.configure(
        f'[api]\nagents_url = "http://127.0.0.1:{free_port}"\nagents_host = "127.0.0.1"\n'
        f"agents_port = {free_port}\n"
        f'[repos.shop]\nsource = "{bench.repo}"\ncheck = "{check}"\n')
    yield sshd
    sshd.stop()


def test_code_goes_to_another_machine_and_a_merged_change_comes_out(
    bench: Bench, sshd: Sshd
) -> None:
    """Where the check runs there is no make, as there is in the machine's own system."""
    assert Path("/usr/bin/make").exists()
    ran = bench.up(
        '/add "Add a greeting" --run "sh -c \'pwd; echo hello > greeting.txt\'"',
        "/approve 1", repo=None)
    ran.said("Ready. boxer takes it", "greeting.txt +1", "✅ TASK-001 done · merged")
    assert bench.file("greeting.txt") == "hello\n"
    assert bench.states() == {1: "done"}
    assert bench.value("SELECT sandbox FROM sessions") == "docker-remote"
    (receipt,) = bench.rows("SELECT checks FROM receipts")[:1]
    assert [check["passed"] for check in json.loads(receipt["checks"])] == [True]
    assert remote_bench.engine().containers() == []


async def test_a_bot_killed_meanwhile_goes_on_with_it(bench: Bench, sshd: Sshd) -> None:
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
    assert remote_bench.engine().containers() == []


def test_a_way_that_breaks_meanwhile_is_said_and_gone_on_with(bench: Bench, sshd: Sshd) -> None:
    """The server ends while the agent works, and comes back when it has long finished."""
    cut = threading.Thread(target=_cut, args=(bench, sshd))
    cut.start()
    ran = bench.up(
        '/add "Add a greeting" --run "sh -c \'for i in 1 2 3 4 5 6; do echo at $i; sleep 0.5;'
        ' done; echo hello > greeting.txt\'"', "/approve 1", repo=None)
    cut.join()
    ran.said("✅ TASK-001 done · merged")
    told = [row["type"] for row in bench.rows(
        "SELECT type FROM events WHERE type LIKE 'session.%reachable' ORDER BY seq")]
    assert told == ["session.unreachable", "session.reachable"]
    assert bench.value("SELECT count(*) FROM attempts") == 1
    said = b"".join(path.read_bytes() for path in _outputs(bench)).decode()
    assert [said.count(f"o at {n}\n") for n in range(1, 7)] == [1] * 6


def _cut(bench: Bench, sshd: Sshd) -> None:
    deadline = time.monotonic() + PATIENCE
    while not any(b"at 2" in path.read_bytes() for path in _outputs(bench)):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    sshd.stop()
    while not bench.rows("SELECT 1 FROM events WHERE type = 'session.unreachable'"):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    sshd.start()


def _outputs(bench: Bench) -> list[Path]:
    return list((bench.data / "sessions").glob("*/attempts/*/output"))
