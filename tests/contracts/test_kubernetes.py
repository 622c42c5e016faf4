"""What every sandbox promises, run over Kubernetes: a real cluster, a scripted kubelet as its node.

The suite is the others'; what can't be said of a place that shares no folder is left out by name.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from core.ports import Order, Sandbox
from core.sandboxes.kubernetes import KubernetesSandbox
from tests.contracts import test_sandbox_contract as suite
from tests.fakes.agents_api import AgentsApi
from tests.k8s_ground import ground
from tests.sandbox_bench import Bench

ELSEWHERE = {
    "test_it_can_work_here": "it needs an image and an address: below",
    "test_a_missing_workspace_is_named": "over there the workspace is made anew",
    "test_a_folder_starts_one_process_however_often_it_is_asked":
        "it looks into the workspace: see tests/faults/test_kubernetes.py",
    "test_what_cannot_start_says_why_in_one_line": "its programs lie in a folder of this machine",
    "test_a_terminal_is_its_input_and_output": "the size of a terminal does not get there",
}
"""Tests of the suite that look at what is not shared, and why they are not run."""

for _name, _test in vars(suite).items():
    if _name.startswith("test_") and _name not in ELSEWHERE:
        globals()[_name] = _test


@dataclass
class Afar(Bench):
    api: AgentsApi | None = None

    def order(self, *argv: str, **changes: object) -> Order:
        order = super().order(*argv, **{"container": {"image": "bench"}, **changes})
        assert self.api is not None
        return replace(order, door=self.api.door(order))


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    cluster = ground()
    api = await AgentsApi().open()
    sandbox = KubernetesSandbox(lambda: api.url, cluster.kubeconfig)
    bench = Afar(sandbox, tmp_path, api=api)
    yield bench
    await bench.clean()
    await sandbox.close()
    await api.close()


@pytest.fixture
def sandbox(bench: Bench) -> Sandbox:
    return bench.sandbox


async def test_it_says_what_it_lacks(bench: Bench, tmp_path: Path) -> None:
    sandbox = bench.sandbox
    assert sandbox.missing({"image": "bench"}) is None
    assert "container.image is not set" in (sandbox.missing({}) or "")
    nowhere = KubernetesSandbox(lambda: None, ground().kubeconfig)
    assert "api.agents_url is not set" in (nowhere.missing({"image": "bench"}) or "")
    unknown = KubernetesSandbox(lambda: "http://x", str(tmp_path / "none"))
    assert "no way to a cluster" in (unknown.missing({"image": "bench"}) or "")
