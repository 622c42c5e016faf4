"""A start that takes too long is ended before it is given up: nothing starts unwatched."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core.errors import Broken
from core.sandboxes.attempt import Attempt, claimant
from core.sandboxes.bubblewrap import BubblewrapSandbox
from core.sandboxes.host import HostSandbox
from tests.needs import need
from tests.sandbox_bench import Bench, lives

HANGS = """#!{python}
import os, sys, time
folder = sys.argv[-1]
if os.fork():
    while not os.path.lexists(folder + "/claim"):
        time.sleep(0.01)
    sys.exit(0)
os.setsid()
with open("/proc/self/stat") as stat, open("/proc/sys/kernel/random/boot_id") as boot:
    ticks = stat.read().rpartition(")")[2].split()[19]
    os.symlink(f"{{os.getpid()}}:{{ticks}}:{{boot.read().strip()}}", folder + "/claim")
time.sleep(600)
"""
"""A launcher that has claimed its attempt and gets no further."""


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    python = tmp_path / "python"
    python.write_text(HANGS.format(python=sys.executable))
    python.chmod(0o755)
    bench = Bench(HostSandbox(str(python), patience=0.5), tmp_path)
    yield bench
    await bench.clean()


async def test_who_has_claimed_and_does_not_start_is_ended(bench: Bench) -> None:
    order = bench.order("sh", "-c", "echo started")
    with pytest.raises(Broken, match="did not start in time, and was ended"):
        await bench.sandbox.start(order)
    claim = Attempt(order.folder).claim()
    assert claim and not lives(claimant(claim).pid)
    handle = await bench.sandbox.find(order.folder)  # whoever asks again
    assert handle
    status = await bench.sandbox.status(order.folder, handle)
    assert status.end and status.end.reason == "gone"


async def test_a_pipe_for_a_program_does_not_hold_up_a_start(tmp_path: Path) -> None:
    sandbox = BubblewrapSandbox(hidden=(tmp_path / "data",), home=tmp_path / "home")
    problem = sandbox.missing({})
    need("bubblewrap", problem is None, problem or "")
    bench = Bench(sandbox, tmp_path)
    order = bench.order("./tool")
    order.workspace.mkdir(parents=True, exist_ok=True)
    os.mkfifo(order.workspace / "tool", 0o755)
    end, _ = await bench.play(order)
    assert end.reason == "not_started" and "it is no program" in (end.error or "")
    await bench.clean()
