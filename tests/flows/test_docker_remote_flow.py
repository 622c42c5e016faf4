"""A whole task by an agent in a container on an engine behind ssh: the real bot, real engine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests import remote_bench
from tests.docker_ground import PYTHON_IMAGE
from tests.flows.bench import Bench
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
def sshd(bench: Bench, free_port: int):  # type: ignore[no-untyped-def]
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
