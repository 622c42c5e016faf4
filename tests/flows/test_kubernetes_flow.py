"""A whole task by an agent in a Job: the real bot, a real cluster, a scripted kubelet."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.flows import afar_bench
from tests.flows.bench import PATIENCE, Bench
from tests.k8s_ground import TOKEN, Ground, ground

pytestmark = pytest.mark.slow
CREW = """
sandbox = "kubernetes"
container = { image = "bench" }
"""


@pytest.fixture(autouse=True)
def cluster(bench: Bench, free_port: int) -> Iterator[Ground]:
    """Nothing of an agent is left in it: its Jobs are deleted, and the cluster follows with their
    pods when it comes to that."""
    cluster = ground()
    afar_bench.configure(bench, "podder", CREW, port=free_port)
    bench.environment["KUBECONFIG"] = cluster.kubeconfig
    yield cluster
    mine = [row["id"][-8:] for row in bench.rows("SELECT id FROM sessions")]
    assert mine
    assert not _left(cluster, "jobs", mine)
    deadline = time.monotonic() + PATIENCE
    while (pods := _left(cluster, "pods", mine)) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not pods


def _left(cluster: Ground, kind: str, mine: list[str]) -> list[str]:
    """Names of what nobody has deleted."""
    found = [one["metadata"] for one in cluster.items(kind)]
    names = [one["name"] for one in found if "deletionTimestamp" not in one]
    return [name for name in names if any(digits in name for digits in mine)]


def test_code_goes_into_a_job_and_a_merged_change_comes_out(bench: Bench) -> None:
    afar_bench.it_is_done_checked_and_merged(bench, "podder", "pwd; hostname")


async def test_a_bot_killed_meanwhile_goes_on_with_it(bench: Bench) -> None:
    await afar_bench.a_bot_killed_meanwhile_goes_on_with_it(bench)


async def test_a_cluster_that_is_away_meanwhile_is_said_and_gone_on_with(
    bench: Bench, cluster: Ground
) -> None:
    """Its API server dies while the agent works, and comes back once that has been told."""
    await afar_bench.an_absence_is_said_and_gone_on_with(
        bench, lambda: cluster.kill("kube-apiserver"), cluster.start_api)


async def test_one_that_has_lost_its_folder_is_killed(bench: Bench) -> None:
    await afar_bench.what_has_lost_its_folder_is_killed(bench, "attempt")


async def test_a_token_that_is_over_is_said_and_the_way_out_named(
    bench: Bench, cluster: Ground
) -> None:
    """What the cluster doesn't allow can't be ended; once it does again, that is."""
    road, words = bench.folder / "road", Path(cluster.kubeconfig).read_text()
    road.write_text(words)
    bench.environment["KUBECONFIG"] = str(road)
    async with bench.running(repo=None) as live:
        await live.say("/add Work --run \"sh -c 'while echo at work; do sleep 1; done'\"")
        await live.until(lambda: "at work" in bench.output(), "it works")
        road.write_text(words.replace(TOKEN, "one-that-is-over"))
        await live.say("/kill 1", "TASK-001 killed.")
        await live.told("can't be ended (the cluster does not allow it: Unauthorized)")
        await live.say("/kill 1", "may run on", "--sure")
        await live.say("/sessions", "can't be reached")
        road.write_text(words)
        await live.told("answers again")
        await live.until(
            lambda: bench.value("SELECT state FROM sessions") == "terminated", "its end")
    told = [row["type"] for row in bench.rows(
        "SELECT type FROM events WHERE type LIKE 'session.%reachable' ORDER BY seq")]
    assert told == ["session.unreachable", "session.reachable"]
    assert bench.value("SELECT outcome FROM sessions") == "killed"
