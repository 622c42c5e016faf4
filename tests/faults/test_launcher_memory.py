"""Memory that no process has mapped counts too."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core.ports import Sandbox
from core.sandboxes.bubblewrap import BubblewrapSandbox
from core.sandboxes.host import HostSandbox
from tests.needs import need
from tests.sandbox_bench import PATIENCE, Bench, texts

MB = 1 << 20
HOLDS = f"""
import os, sys
for number in range(10):
    fd = os.memfd_create("x")
    for _ in range(20):
        os.write(fd, b"a" * {MB})
print("it is held", flush=True)
sys.stdin.read()
"""
MAPPED = f"""
import mmap, os, time
fd = os.memfd_create("x")
os.truncate(fd, 40 * {MB})
maps = [mmap.mmap(fd, 40 * {MB}) for _ in range(2)]
for one in maps:
    one[:] = b"a" * (40 * {MB})
child = os.fork()
time.sleep(2.5)
if child:
    os.waitpid(child, 0)
    print("it is over", flush=True)
"""
NAMED = f"""
import ctypes, mmap, os, sys
fd = os.memfd_create("x")
os.write(fd, b"a")
held = mmap.mmap(-1, 200 * {MB}, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
where = ctypes.addressof(ctypes.c_char.from_buffer(held))
libc = ctypes.CDLL(None)
libc.prctl(0x53564D41, 0, ctypes.c_ulong(where), ctypes.c_ulong(200 * {MB}), b" /memfd:x")
held[:] = b"a" * (200 * {MB})
print("it is held", flush=True)
sys.stdin.read()
"""
"""A name of one's own choice for a mapping."""


@pytest.fixture(params=["host", "bubblewrap"])
async def bench(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    sandbox: Sandbox = HostSandbox()
    if request.param == "bubblewrap":
        sandbox = BubblewrapSandbox(hidden=(tmp_path / "data",), home=tmp_path / "home")
        problem = sandbox.missing({})
        need("bubblewrap", problem is None, problem or "")
    bench = Bench(sandbox, tmp_path)
    yield bench
    await bench.clean()


@pytest.mark.parametrize("text", [HOLDS, NAMED], ids=["memfds", "a name like theirs"])
async def test_what_is_held_aside_is_seen(bench: Bench, text: str) -> None:
    order = bench.order("python3", "-c", text, memory=100 * MB, wall_time=PATIENCE, input_open=True)
    end, _ = await bench.play(order)
    assert end.reason == "memory"


async def test_what_is_mapped_as_well_counts_once(bench: Bench) -> None:
    order = bench.order("python3", "-c", MAPPED, memory=100 * MB, wall_time=PATIENCE)
    end, lines = await bench.play(order)
    assert (end.reason, texts(lines)) == (None, ["it is over"])
