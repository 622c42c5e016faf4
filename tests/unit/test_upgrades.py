"""Databases kept from earlier versions: today's Bullpen opens them and shows what is in them."""

from __future__ import annotations

import shutil
import time
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from core import views
from core.model import TaskState
from core.store.database import Store, read_connection

KEPT = sorted(path for path in (Path(__file__).parents[1] / "fixtures" / "upgrades").iterdir()
              if path.is_dir())


@pytest.fixture(params=KEPT, ids=[path.name for path in KEPT])
async def folder(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Path]:
    """A copy of what an earlier version left, opened and closed by today's."""
    data = tmp_path / "data"
    shutil.copytree(request.param, data)
    store = await Store(data, lambda: time.time_ns() // 1_000_000).open()
    try:
        yield data
    finally:
        await store.close()


T = TaskState
STATES = {
    "0001": {1: T.DONE, 2: T.DONE, 3: T.DONE, 4: T.REVIEW, 5: T.INBOX, 6: T.BLOCKED,
             7: T.CANCELLED, 8: T.FAILED},
    "0002": {1: T.DONE, 2: T.DONE, 3: T.DONE, 4: T.DONE, 5: T.DONE, 6: T.DONE, 7: T.REVIEW,
             8: T.INBOX, 9: T.BLOCKED, 10: T.CANCELLED, 11: T.FAILED, 12: T.BLOCKED},
}
TITLES = {
    "0001": ["Add a greeting", "Write down the opening hours", "Take over the price list",
             "Sort the shelf", "Weigh the flour", "Tidy up", "Never mind", "Count the eggs"],
    "0002": ["Add a greeting", "List the fruit", "List the drinks", "Print the menu",
             "Write down the opening hours", "Take over the price list", "Sort the shelf",
             "Weigh the flour", "Tidy up", "Never mind", "Count the eggs", "Boil the eggs"],
}
STATES["0003"], TITLES["0003"] = STATES["0002"], TITLES["0002"]  # the same roads
WRITER, FAILED, WAITING = ({"0001": one, "0002": other, "0003": other}
                           for one, other in ((2, 5), (8, 11), (4, 7)))


@pytest.fixture
def kept(request: pytest.FixtureRequest, folder: Path) -> str:
    """Which one it is."""
    return str(request.node.callspec.params["folder"].name)


def test_there_is_something_kept() -> None:
    assert [path.name for path in KEPT] == sorted(STATES)


async def test_both_files_are_sound(folder: Path) -> None:
    with closing(read_connection(folder)) as db:
        for name in ("main", "logs"):
            assert db.execute(f"PRAGMA {name}.integrity_check").fetchone()[0] == "ok"
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []


async def test_every_task_is_there_in_its_state(folder: Path, kept: str) -> None:
    with closing(read_connection(folder)) as db:
        found = views.list_tasks(db, views.Filter(limit=100))
    assert {row.id: row.state for row in found.items} == STATES[kept]


async def test_every_page_can_be_read(folder: Path, kept: str) -> None:
    with closing(read_connection(folder)) as db:
        pages = [views.task_page(db, number) for number in STATES[kept]]
        assert [page.task.title for page in pages if page] == TITLES[kept]
        assert [gate.gate.task_id for gate in views.open_gates(db)] == [WAITING[kept]]
        overview = views.overview(db, time.time_ns() // 1_000_000)
        assert (overview.working, overview.waiting) == (0, 1)


async def test_what_the_agents_said_is_there(folder: Path, kept: str) -> None:
    with closing(read_connection(folder)) as db:
        said = {task: [line.text for session in views.sessions(db, task=task)
                       for line in views.log_tail(db, session.session.id, 50)]
                for task in (WRITER[kept], FAILED[kept])}
    assert any("HOURS.md" in line for line in said[WRITER[kept]])
    assert "no eggs" in said[FAILED[kept]]


async def test_counts_are_kept_for_what_was_there_before(folder: Path) -> None:
    """What an earlier version didn't keep is counted once, when it is opened."""
    with closing(read_connection(folder)) as db:
        wrong = db.execute(
            "SELECT id FROM tasks WHERE unmet <> (SELECT count(*) FROM dependencies JOIN tasks n "
            "ON n.id = needs_id WHERE task_id = tasks.id AND n.state <> 'done') OR tokens <> "
            "(SELECT coalesce(sum(tokens_in + tokens_out), 0) FROM sessions "
            "WHERE task_id = tasks.id) OR (position IS NULL AND ended_at IS NULL)").fetchall()
    assert not wrong


async def test_its_runs_are_there(folder: Path, kept: str) -> None:
    with closing(read_connection(folder)) as db:
        found = [(row.run.state.value, row.run.done) for row in views.runs(db, 10, 0).items]
    of_the_roads = [("paused", 0), ("completed", 3)]
    assert found == ([] if kept == "0001" else of_the_roads)
