"""A bench for each play, and nothing left of it."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.fakes.telegram_server import TelegramServer
from tests.flows.bench import Bench
from tests.flows.real_bench import need_sandbox


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A module's plays run in each of its SANDBOXES (`auto`: as the shipped agents)."""
    places = getattr(metafunc.module, "SANDBOXES", ())
    if places and "bench" in metafunc.fixturenames:
        metafunc.parametrize("bench", places, indirect=True)


@pytest.fixture
def bench(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Bench]:
    """On the host, or where a module's SANDBOXES says. A module that says AS_SHIPPED = True takes
    the crew as it comes."""
    sandbox = getattr(request, "param", "host")
    if sandbox == "auto":
        need_sandbox("bubblewrap")
    bench = Bench(tmp_path, sandbox)
    if getattr(request.module, "AS_SHIPPED", False):
        bench.as_shipped()
    yield bench
    for process in _left(tmp_path):
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


@pytest.fixture
async def telegram() -> AsyncIterator[TelegramServer]:
    async with TelegramServer() as server:
        yield server


def _left(folder: Path) -> list[int]:
    """Processes that were started on this folder: agents of a play that broke off."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if os.fsencode(folder) + b"/" in path.read_bytes():
                found.append(int(path.parent.name))
    return found
