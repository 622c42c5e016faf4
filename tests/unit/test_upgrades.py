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


def test_there_is_something_kept() -> None:
    assert [path.name for path in KEPT][:1] == ["0001"]


async def test_both_files_are_sound(folder: Path) -> None:
    with closing(read_connection(folder)) as db:
        for name in ("main", "logs"):
            assert db.execute(f"PRAGMA {name}.integrity_check").fetchone()[0] == "ok"
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []


async def test_every_task_is_there_in_its_state(folder: Path) -> None:
    with closing(read_connection(folder)) as db:
        found = views.list_tasks(db, views.Filter(limit=100))
    T = TaskState  # noqa: N806
    assert {row.id: row.state for row in found.items} == {
        1: T.DONE, 2: T.DONE, 3: T.DONE, 4: T.REVIEW, 5: T.INBOX, 6: T.BLOCKED, 7: T.CANCELLED,
        8: T.FAILED}


async def test_every_page_can_be_read(folder: Path) -> None:
    with closing(read_connection(folder)) as db:
        pages = [views.task_page(db, number) for number in range(1, 9)]
        assert [page.task.title for page in pages if page] == [
            "Add a greeting", "Write down the opening hours", "Take over the price list",
            "Sort the shelf", "Weigh the flour", "Tidy up", "Never mind", "Count the eggs"]
        assert [gate.gate.task_id for gate in views.open_gates(db)] == [4]
        overview = views.overview(db, time.time_ns() // 1_000_000)
        assert (overview.working, overview.waiting) == (0, 1)


async def test_what_the_agents_said_is_there(folder: Path) -> None:
    with closing(read_connection(folder)) as db:
        said = {task: [line.text for session in views.sessions(db, task=task)
                       for line in views.log_tail(db, session.session.id, 50)]
                for task in (2, 8)}
    assert any("HOURS.md" in line for line in said[2])
    assert "no eggs" in said[8]
