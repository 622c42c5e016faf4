"""The launcher in the foreground: a container's main process, pid 1 of its own namespace."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from core.ports import Order
from core.sandboxes.attempt import Attempt
from core.sandboxes.host import LAUNCHER, HostSandbox
from tests.needs import need
from tests.sandbox_bench import PATIENCE, Bench, texts, until

INSIDE = ("--dev-bind", "/", "/", "--unshare-pid", "--as-pid-1", "--proc", "/proc",
          "--die-with-parent", "--")  # fmt: skip


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    need("bubblewrap", shutil.which("bwrap") is not None, "apt install bubblewrap")
    return Bench(HostSandbox(), tmp_path)


@contextmanager
def contained(order: Order, *through: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A container that runs the launcher: what waits for it, and its main process's pid here."""
    Attempt(order.folder).prepare(order)
    python = [sys.executable, "-I", "-S", str(LAUNCHER), str(order.folder), "--stay"]
    argv = ["bwrap", *INSIDE, *through, *python]
    with subprocess.Popen(argv) as outer:
        children = Path(f"/proc/{outer.pid}/task/{outer.pid}/children")
        try:
            while not (found := children.read_text().split()) and outer.poll() is None:
                pass
            yield outer, int(found[0]) if found else 0
        finally:
            outer.kill()


def told(order: Order) -> dict[str, object]:
    value: dict[str, object] = json.loads((order.folder / "exit.json").read_text())
    return value


async def test_it_stays_and_ends_with_the_agent_s_status(bench: Bench) -> None:
    order = bench.order("sh", "-c", "cat; (sleep 0.1; echo orphan) & exit 3", first_input=b"hi\n")
    with contained(order) as (outer, _):
        assert outer.wait(PATIENCE) == 3
    assert (told(order)["status"], told(order)["reason"]) == (3, None)
    assert json.loads((order.folder / "handle.json").read_text())["pid"] == 1
    assert "hi" in texts(await bench.lines(order))


async def test_a_term_to_pid_1_is_a_graceful_stop(bench: Bench) -> None:
    text = "trap 'echo goodbye; exit 7' TERM; echo ready; while :; do sleep 0.01; done"
    order = bench.order("sh", "-c", text, grace=PATIENCE)
    with contained(order) as (outer, pid):
        await bench.said(order, "ready")
        signal.pidfd_send_signal(fd := os.pidfd_open(pid), signal.SIGTERM)
        os.close(fd)
        assert outer.wait(PATIENCE) == 125
    assert (told(order)["status"], told(order)["reason"]) == (7, "stopped")
    assert texts(await bench.lines(order)) == ["ready", "goodbye"]


async def test_what_cannot_start_is_told(bench: Bench) -> None:
    order = bench.order("no-such-agent")
    with contained(order) as (outer, _):
        assert outer.wait(PATIENCE) == 125
    assert told(order)["error"] == "`no-such-agent` was not found on the PATH"


async def test_a_second_one_in_the_same_folder_starts_nothing(bench: Bench) -> None:
    order = bench.order("sh", "-c", "echo once >> trace")
    for _ in range(2):
        with contained(order) as (outer, _):
            assert outer.wait(PATIENCE) == 0
    await until((order.folder / "exit.json").exists, "the end")
    assert (order.workspace / "trace").read_text() == "once\n"


async def test_a_signal_ends_it_as_a_shell_would_tell(bench: Bench) -> None:
    order = bench.order("sh", "-c", "kill -9 $$")
    with contained(order) as (outer, _):
        assert outer.wait(PATIENCE) == 137
    assert (told(order)["status"], told(order)["signal"]) == (None, 9)


ATTACH = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long] * 4
print("seize", libc.ptrace(0x4206, 1, 0, 0), flush=True)
try:
    open("/proc/1/mem", "r+b")
    print("opened")
except OSError as error:
    print("refused")
print(open("/proc/self/oom_score_adj").read().strip())
"""
INCAPABLE = ("setpriv", "--bounding-set=-all", "--inh-caps=-all")
"""As an agent in a container is, even where it is root."""


async def test_its_agent_can_t_freeze_it(bench: Bench) -> None:
    need("root", os.getuid() == 0, "run the tests as root")
    order = bench.order(sys.executable, "-I", "-S", "-c", ATTACH)
    with contained(order, *INCAPABLE) as (outer, _):
        assert outer.wait(PATIENCE) == 0
    assert texts(await bench.lines(order)) == ["seize -1", "refused", "500"]


@pytest.mark.parametrize("plant", ["mkdir exit.json.new handle.json.new", "mkfifo exit.json.new"])
async def test_what_lies_in_its_way_holds_up_no_end(bench: Bench, plant: str) -> None:
    order = bench.order("sh", "-c", f"cd ../attempt-1; {plant}; echo done; exit 3")
    with contained(order) as (outer, _):
        assert outer.wait(PATIENCE) == 3
    assert (told(order)["status"], told(order)["reason"]) == (3, None)


async def test_where_no_end_can_be_written_it_goes_all_the_same(bench: Bench) -> None:
    order = bench.order("sh", "-c", "mkdir -p ../attempt-1/exit.json/x; exit 3")
    with contained(order) as (outer, _):
        assert outer.wait(PATIENCE) == 3


async def test_a_fifo_in_place_of_a_word_is_not_waited_for(bench: Bench) -> None:
    order = bench.order("sh", "-c", "mkfifo ../attempt-1/waiting; sleep 1000", idle_time=0.5)
    with contained(order) as (outer, _):
        assert outer.wait(PATIENCE) == 125
    assert told(order)["reason"] == "idle_time"
