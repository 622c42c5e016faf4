"""A data folder that can't be used: one clear line at the start, and no traceback."""

from __future__ import annotations

import ctypes
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.bot_bench import House

pytestmark = pytest.mark.faults

PR_CAPBSET_DROP = 24
CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 1, 2


@pytest.fixture(scope="module")
def seasoned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A data folder in which a task waits for a review."""
    house = House(tmp_path_factory.mktemp("seasoned") / "house")
    assert house.play(house.command("greet", lines=200)).process.returncode == 0
    yield house
    house.clean()


@pytest.fixture
def files(seasoned: House) -> Iterator[dict[str, bytes]]:
    """Its databases as they were, put back after the test."""
    kept = {path.name: path.read_bytes() for path in seasoned.data.glob("*.db*")}
    yield kept
    seasoned.data.chmod(0o700)
    for path in seasoned.data.glob("*.db*"):
        path.unlink()
    for name, content in kept.items():
        (seasoned.data / name).write_bytes(content)


def permissions_count() -> None:
    """Even for root, from now on."""
    if os.geteuid() == 0:
        for capability in (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH):
            ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)


def newer(name: str) -> Callable[[Path], None]:
    def make(data: Path) -> None:
        with closing(sqlite3.connect(data / name)) as db:
            db.execute("PRAGMA user_version = 999")

    return make


def overwritten(name: str, start: int) -> Callable[[Path], None]:
    """Noise from there to the end, as a disk that has gone bad leaves it."""

    def make(data: Path) -> None:
        whole = data / name
        with closing(sqlite3.connect(whole)) as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        size = whole.stat().st_size
        with whole.open("r+b") as file:
            file.seek(start)
            file.write(bytes(range(1, 256)) * ((size - start) // 255))

    return make


def folder_read_only(data: Path) -> None:
    data.chmod(0o500)


def file_read_only(name: str) -> Callable[[Path], None]:
    return lambda data: (data / name).chmod(0o400)


BAD: dict[str, tuple[Callable[[Path], None], str]] = {
    "the folder is read-only": (folder_read_only, "written"),
    "the database is read-only": (file_read_only("bullpen.db"), "written"),
    "the log is read-only": (file_read_only("logs.db"), "written"),
    "a newer database": (newer("bullpen.db"), "newer Bullpen"),
    "a newer log": (newer("logs.db"), "newer Bullpen"),
    "a database damaged inside": (overwritten("bullpen.db", 8192), "damaged"),
    "a database damaged at its head": (overwritten("bullpen.db", 0), "damaged"),
    "a log damaged inside": (overwritten("logs.db", 4096), "damaged"),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_data_is_told_in_one_line(
    seasoned: House, files: dict[str, bytes], what: str
) -> None:
    harm, word = BAD[what]
    harm(seasoned.data)
    bot = seasoned.play("/status", before=permissions_count)
    said = bot.text()
    assert bot.process.returncode not in (0, None), said
    assert word in said
    assert len(said.strip().splitlines()) == 1, said
    assert "Traceback" not in said
    assert str(seasoned.data) in said, "it doesn't say where"


def test_a_data_folder_that_is_a_file_is_told_in_one_line(seasoned: House) -> None:
    file = seasoned.base / "file"
    file.write_text("mine")
    bot = seasoned.start("--data", str(file))
    assert bot.over() not in (0, None)
    assert len(bot.text().strip().splitlines()) == 1, bot.text()
    assert str(file) in bot.text()
    assert file.read_text() == "mine"


def test_what_was_put_back_goes_on(seasoned: House, files: dict[str, bytes]) -> None:
    path = seasoned.data / "bullpen.db"
    with closing(sqlite3.connect(path)) as db:
        schema = db.execute("PRAGMA user_version").fetchone()[0]
    newer("bullpen.db")(seasoned.data)
    assert seasoned.play("/status").process.returncode != 0
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA user_version = {schema}")
    assert seasoned.play("/status").process.returncode == 0
    assert seasoned.values("SELECT state FROM gates") == ["open"]
    seasoned.check()
