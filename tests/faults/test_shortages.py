"""A disk that is full for a while: no fault of the work that meets it. Nothing fails of it; it is
said once, and goes on when there is room."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from core import shortages
from core.errors import Broken
from core.git import GitFailed
from tests.bot_bench import House
from tests.needs import need

pytestmark = pytest.mark.faults
MIB = 1 << 20


@pytest.fixture
def small(house: House) -> Iterator[House]:
    """A house whose data lies on a small disk of its own."""
    house.data.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=96m", "none", str(house.data)]
    done = subprocess.run(mount, capture_output=True, check=False)
    need("a disk of its own", done.returncode == 0, "run as root where mounting is allowed")
    try:
        yield house
    finally:
        house.clean()
        subprocess.run(["umount", "-l", str(house.data)], check=True)


@contextmanager
def full(folder: Path, room: int) -> Iterator[None]:
    """Only so many bytes are left."""
    disk = os.statvfs(folder)
    filler = folder / "filler"
    filler.write_bytes(b"x" * (disk.f_bavail * disk.f_frsize - room))
    yield
    filler.unlink()


def told(house: House) -> list[str]:
    return [str(text) for text in house.values(
        "SELECT text FROM events WHERE text LIKE '%is held back%'")]


def test_finished_work_waits_for_room(small: House) -> None:
    go_on = small.base / "go"
    bot = small.start()
    script = small.base / "one.sh"
    script.write_text(f"echo one >> {small.base}/ledger; echo made > made.txt\n"
                      f"until test -e {go_on}; do sleep 0.05; done\n")
    bot.says(f'/add "one" --run "sh {script}"')
    small.until(lambda: (small.base / "ledger").exists() and small.values(
        "SELECT 1 FROM sessions WHERE state = 'running'"), "it works")
    with full(small.data, 2 * MIB):
        go_on.touch()
        small.until(lambda: told(small), "it has met that")
    small.until(lambda: small.values("SELECT 1 FROM gates WHERE state = 'open'"), "its review", 40)
    assert small.values("SELECT state FROM tasks") == ["review"], small.picture()
    assert small.values("SELECT attempts FROM tasks") == [0]
    assert (small.base / "ledger").read_text() == "one\n"
    bot.kill()


def test_a_start_waits_for_room_and_says_so_once(small: House) -> None:
    bot = small.start()
    small.until(lambda: "Bullpen is up" in bot.text(), "it is up")
    with full(small.data, 3 * MIB):
        bot.says(small.command("one"))
        small.until(lambda: told(small), "it is told")
        small.until(lambda: "held back" in bot.text(), "on the screen")
        assert small.ledger() == []
    small.until(lambda: small.values("SELECT 1 FROM gates WHERE state = 'open'"), "its review")
    assert len(told(small)) == 1 and len(small.ledger()) == 1, small.picture()
    assert "is full: make room" in told(small)[0]
    bot.kill()


def caused(error: Exception, cause: BaseException | None) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(("error", "passes"), [
    (caused(Broken("git could not be started"), OSError(errno.EAGAIN, "x")), True),
    (caused(Broken("can't write"), OSError(errno.ENOSPC, "x")), True),
    (caused(Broken("can't write"), OSError(errno.EACCES, "x")), False),
    (GitFailed("git fetch failed: write error: No space left on device", 1, ""), True),
    (GitFailed("git fetch failed: No space left on device/x is no branch", 1, ""), False),
    (Broken("the launcher did not start: OSError: [Errno 28] No space left on device: '/x'"),
     True),
    (Broken("its tests say: No space left on device"), False),
])
def test_what_passes(error: Exception, passes: bool) -> None:
    assert shortages.passing(error) is passes
