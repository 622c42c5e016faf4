"""Memory that no process has mapped counts too."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core.ports import Sandbox
from core.sandboxes.bubblewrap import BubblewrapSandbox
from core.sandboxes.host import HostSandbox
from tests.needs import need
from tests.nobody import leave_root, place, played
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
SHARED = f"""
import ctypes, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.shmat.restype = ctypes.c_void_p
numbers = [libc.shmget(0, 60 * {MB}, 0o1600) for _ in range(5)]
print(*numbers, flush=True)
for number in numbers:
    where = libc.shmat(number, None, 0)
    ctypes.memset(where, 1, 60 * {MB})
    libc.shmdt(ctypes.c_void_p(where))
sys.stdin.read()
"""
USED = f"""
import ctypes, os, time
libc = ctypes.CDLL(None, use_errno=True)
libc.shmat.restype = ctypes.c_void_p
number = libc.shmget(0, 60 * {MB}, 0o1600)
where = libc.shmat(number, None, 0)
libc.shmctl(number, 0, None)
ctypes.memset(where, 1, 60 * {MB})
time.sleep(2.5)
print("it is over", flush=True)
"""
IN_FLIGHT = f"""
import array, os, socket, sys
ours, theirs = socket.socketpair(socket.AF_UNIX)
for number in range(15):
    fd = os.memfd_create("x")
    for _ in range(20):
        os.write(fd, b"a" * {MB})
    ours.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))])
    os.close(fd)
print("it is held", flush=True)
sys.stdin.read()
"""
"""System V's shared memory, attached to nothing and attached; files that nobody has received."""


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


@pytest.mark.parametrize(
    "text", [HOLDS, NAMED, IN_FLIGHT], ids=["memfds", "a name like theirs", "in flight"]
)
async def test_what_is_held_aside_is_seen(bench: Bench, text: str) -> None:
    order = bench.order("python3", "-c", text, memory=100 * MB, wall_time=PATIENCE, input_open=True)
    end, _ = await bench.play(order)
    assert end.reason == "memory"


async def test_shared_memory_that_nobody_has_mapped_is_seen(bench: Bench) -> None:
    order = bench.order("python3", "-c", SHARED, memory=100 * MB, wall_time=PATIENCE,
                        input_open=True)  # fmt: skip
    end, lines = await bench.play(order)
    if bench.sandbox.name == "host":  # behind walls it goes with them
        for number in texts(lines)[0].split():
            ctypes.CDLL(None).shmctl(int(number), 0, None)
    assert end.reason == "memory"


async def play(folder: str) -> None:
    """As somebody who is not root: one that lets nobody look into it."""
    base, python = Path(folder), sys.executable
    if os.geteuid() == 0:
        warm = Bench(BubblewrapSandbox(hidden=(base / "data",)), base / "warm")
        warm.base.mkdir()
        await warm.play(warm.order("true"))
        leave_root()
        python = "/usr/bin/python3"
    bench = Bench(BubblewrapSandbox(python, hidden=(base / "data",), home=base / "home"), base)
    text = "import ctypes\nctypes.CDLL(None).prctl(4, 0, 0, 0, 0)\n" + HOLDS
    for memory, reason in ((100 * MB, "memory"), (400 * MB, "wall_time")):
        order = bench.order("python3", "-c", text, memory=memory, wall_time=4.0, input_open=True)
        end, lines = await bench.play(order)
        assert (end.reason, texts(lines)) == (reason, ["it is held"])


def test_what_lets_nobody_look_into_it_is_seen_behind_walls() -> None:
    problem = BubblewrapSandbox().missing({})
    need("bubblewrap", problem is None, problem or "")
    with place() as base:
        wrong = played(__name__, str(base))
    assert not wrong, wrong


@pytest.mark.parametrize("text", [MAPPED, USED], ids=["memfds", "shared memory"])
async def test_what_is_mapped_as_well_counts_once(bench: Bench, text: str) -> None:
    order = bench.order("python3", "-c", text, memory=100 * MB, wall_time=PATIENCE)
    end, lines = await bench.play(order)
    assert (end.reason, texts(lines)) == (None, ["it is over"])
