"""What it says brings out a fault of ours: whatever that is, it is ended, and its end is told."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from core.sandboxes.kubernetes import KubernetesSandbox
from tests.cluster_bench import HANDLE, WHOLE
from tests.fakes.cluster import Cluster
from tests.sandbox_bench import PATIENCE, texts, until

pytestmark = pytest.mark.faults


def spoil(folder: Path, *names: str) -> None:
    """A file of ours, by hand say."""
    facts = json.loads((folder / "afar.json").read_text())
    kept = {name: value for name, value in facts.items() if name not in names}
    (folder / "afar.json").write_text(json.dumps(kept))


@pytest.mark.parametrize("spoilt", [("log_cap",), ("log_cap", "workspace")])
async def test_a_fault_of_ours_that_hearing_it_brings_out_ends_it_and_is_told(
    cluster: Cluster, sandbox: KubernetesSandbox, folder: Path, spoilt: tuple[str, ...]
) -> None:
    """Nobody knows any more what it does, and trying again would bring it out again."""
    spoil(folder, *spoilt)
    async with asyncio.timeout(PATIENCE):
        await sandbox.ended(folder, HANDLE)
    assert cluster.deleted
    end = (await sandbox.status(folder, HANDLE)).end
    assert end is not None and end.at
    told = ("its work could not be brought back: a fault of ours (KeyError): 'workspace'"
            if "workspace" in spoilt else
            "what it says can't be taken in: a fault of ours (KeyError): 'log_cap'")
    assert (end.reason, end.error) == ("gone", told)
    (mark,) = texts(list(await sandbox.read(folder, 0, 1 << 20)), "mark")
    assert "can't be taken in: a fault of ours" in mark
    assert await sandbox.stop(folder, HANDLE, force=True) == end


async def test_who_has_it_ended_while_it_can_t_be_heard_is_told_so(
    cluster: Cluster, sandbox: KubernetesSandbox, folder: Path
) -> None:
    spoil(folder, "log_cap")
    async with asyncio.timeout(PATIENCE):
        end = await sandbox.stop(folder, HANDLE, force=True)
    assert end.reason == "stopped"


async def test_an_end_that_nobody_could_read_keeps_nobody_from_the_one_that_follows(
    cluster: Cluster, sandbox: KubernetesSandbox, folder: Path
) -> None:
    deep = b'= {"exit": {"status": 0, "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}}\n"
    cluster.log = deep + WHOLE
    waiting = asyncio.ensure_future(sandbox.ended(folder, HANDLE))
    await until(lambda: cluster.heard > 1, "its log is taken in")
    cluster.phase = "Succeeded"
    async with asyncio.timeout(PATIENCE):
        await waiting
    end = (await sandbox.status(folder, HANDLE)).end
    assert end is not None
    assert (end.status, end.reason) == (3, None)
    assert texts(list(await sandbox.read(folder, 0, 1 << 20))) == ["hello", "there"]
