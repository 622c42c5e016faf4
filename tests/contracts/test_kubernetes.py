"""What every sandbox promises, over a real Kubernetes cluster with a scripted kubelet."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from core.ports import Order, Sandbox
from core.sandboxes.kubernetes import KubernetesSandbox
from tests.contracts import elsewhere
from tests.fakes.agents_api import AgentsApi
from tests.k8s_ground import ground
from tests.sandbox_bench import Bench

globals().update(elsewhere.promised())


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
