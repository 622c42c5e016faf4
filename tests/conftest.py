"""What every test may ask for: a free port, an empty data folder, and what a machine needs."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import docker_ground
from tests.needs import missing, need

__all__ = ["need"]

# The tests start the bot some thousand times: it needn't be compiled each time.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False


def pytest_xdist_auto_num_workers() -> int:
    """`-n auto`: one more than there are cores, since many tests wait for a time to pass."""
    return len(os.sched_getaffinity(0)) + 1


@pytest.fixture
def free_port() -> Iterator[int]:
    """A TCP port of 127.0.0.1 that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    yield port


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """An empty data folder, as `--data` takes it."""
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees the developer's own settings or secrets."""
    for key in list(os.environ):
        if _is_ours(key):
            monkeypatch.delenv(key)


def _is_ours(key: str) -> bool:
    hooks = ("BULLPEN_REQUIRE_ALL", "BULLPEN_TEST_")
    if key.startswith(hooks):
        return False
    return key.startswith("BULLPEN_") or key in {
        "TELEGRAM_BOT_TOKEN",
        "GITHUB_TOKEN",
        "GITHUB_OWNER",
    }


def pytest_sessionfinish() -> None:
    """The Docker engine of this process ends with it."""
    docker_ground.end()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line for each thing this machine lacks."""
    for name, how in sorted(missing.items()):
        terminalreporter.write_line(f"missing here: {name} ({how})", yellow=True)
