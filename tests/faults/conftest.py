"""A house for each fault."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from core.sandboxes.kubernetes import KubernetesSandbox
from tests.bot_bench import House
from tests.cluster_bench import started
from tests.fakes.cluster import Cluster


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """Nothing of it is left."""
    house = House(tmp_path / "house")
    yield house
    house.clean()


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    """A scripted one."""
    cluster = Cluster()
    await cluster.open(tmp_path)
    yield cluster
    await cluster.close()


@pytest.fixture
async def sandbox(cluster: Cluster, tmp_path: Path) -> AsyncIterator[KubernetesSandbox]:
    """Its sandbox."""
    sandbox = KubernetesSandbox(lambda: "http://127.0.0.1:1", str(tmp_path / "kubeconfig"))
    yield sandbox
    await sandbox.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An attempt that has been started over there."""
    return started(tmp_path / "attempt")
