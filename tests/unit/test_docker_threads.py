"""Threads for an engine's answers: few, used again, and gone with the process."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from core.sandboxes.docker.threads import Threads

PATIENCE = 30.0


async def test_many_jobs_share_a_few_threads() -> None:
    threads, loop = Threads(3, "test"), asyncio.get_running_loop()
    three = threading.Barrier(3, timeout=PATIENCE)
    asked = [loop.run_in_executor(threads, lambda: (three.wait(), threading.get_ident())[1])
             for _ in range(30)]
    assert len(set(await asyncio.gather(*asked))) == 3


def test_one_that_is_idle_is_used_again() -> None:
    threads = Threads(9, "test")
    assert len({threads.submit(threading.get_ident).result(PATIENCE) for _ in range(50)}) == 1


def test_errors_and_cancellation_come_to_whoever_asked() -> None:
    threads, go_on, happened = Threads(1, "test"), threading.Event(), list[str]()
    busy = threads.submit(go_on.wait, PATIENCE)
    late = threads.submit(happened.append, "late")
    assert late.cancel()
    broken = threads.submit(divmod, 1, 0)
    go_on.set()
    assert busy.result(PATIENCE)
    with pytest.raises(ZeroDivisionError):
        broken.result(PATIENCE)
    assert happened == []


def test_with_the_pool_its_threads_go() -> None:
    threads = Threads(2, "test-gone")
    threads.submit(int).result(PATIENCE)
    (made,) = [one for one in threading.enumerate() if one.name == "test-gone"]
    del threads
    gc.collect()
    made.join(PATIENCE)
    assert not made.is_alive()


def test_one_that_waits_for_ever_holds_up_no_end() -> None:
    code = ("import threading; from core.sandboxes.docker.threads import Threads; "
            "threads = Threads(1, 'test'); begun = threading.Event(); "
            "threads.submit(lambda: (begun.set(), threading.Event().wait())); begun.wait(9)")
    done = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2],
                          timeout=PATIENCE, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
