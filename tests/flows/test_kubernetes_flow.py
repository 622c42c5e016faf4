"""A whole task by an agent in a Job: the real bot, a real cluster, a scripted kubelet."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path

import pytest

from tests.flows.bench import Bench
from tests.k8s_ground import Ground, ground
from tests.sandbox_bench import until

CREW = """
[agents.podder]
driver = "command"
sandbox = "kubernetes"
types = ["work"]
container = { image = "bench" }
[agents.shell]
driver = "command"
enabled = false
"""


@pytest.fixture
def cluster(bench: Bench, free_port: int) -> Ground:
    cluster = ground()
    bench.configure(CREW, "config/agents.toml")
    bench.configure(
        f'[api]\nagents_url = "http://127.0.0.1:{free_port}"\nagents_host = "127.0.0.1"\n'
        f"agents_port = {free_port}\n"
        f'[repos.shop]\nsource = "{bench.repo}"\ncheck = "test -s greeting.txt && git log -1"\n'
    )
    bench.environment["KUBECONFIG"] = cluster.kubeconfig
    return cluster


@pytest.mark.slow
def test_code_goes_into_a_job_and_a_merged_change_comes_out(bench: Bench, cluster: Ground) -> None:
    ran = bench.up(
        '/add "Add a greeting" --run "sh -c \'pwd; hostname; echo hello > greeting.txt\'"',
        "/approve 1", repo=None)
    ran.said("Ready. podder takes it", "greeting.txt +1", "✅ TASK-001 done · merged")
    assert bench.file("greeting.txt") == "hello\n"
    assert bench.states() == {1: "done"}
    (receipt,) = bench.rows("SELECT checks FROM receipts")[:1]
    assert [check["passed"] for check in json.loads(receipt["checks"])] == [True]
    _nothing_left(cluster)


def _nothing_left(cluster: Ground) -> None:
    for kind in ("jobs", "pods"):
        for one in cluster.items(kind):
            assert "deletionTimestamp" in one["metadata"] or "coding" not in one["metadata"]["name"]


@pytest.mark.slow
async def test_a_bot_killed_meanwhile_goes_on_with_it(bench: Bench, cluster: Ground) -> None:
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
    assert bench.rows("SELECT count(*) AS n FROM attempts")[0]["n"] == 1
    said = b"".join(path.read_bytes() for path in _outputs(bench)).decode()
    assert [said.count(f"o at {n}\n") for n in range(1, 9)] == [1] * 8


def _outputs(bench: Bench) -> list[Path]:
    return list((bench.data / "sessions").glob("*/attempts/*/output"))
