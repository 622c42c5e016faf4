"""What people are shown is what the rows say, and every hot statement has its index."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core import views
from core.model import Priority, TaskState
from core.views import crew, lists
from tests.fakes.filled import START, Filled, change, fill, remove, say


@pytest.fixture
async def filled(tmp_path: Path) -> Filled:
    return await fill(tmp_path / "data")


@pytest.fixture
def db(filled: Filled) -> Iterator[views.Db]:
    reader = views.open_reader(filled.folder)
    yield reader
    reader.close()


def test_overview_counts_every_state(db: views.Db, filled: Filled) -> None:
    found = views.overview(db, filled.clock.now())
    assert {state.value: n for state, n in found.counts.items() if n} == {
        state: len(ids) for state, ids in filled.tasks.items()}
    assert (found.total, found.queued) == (24, len(filled.tasks["ready"]))
    assert found.working == sum(len(filled.tasks[s]) for s in ("in_flight", "blocked", "planning"))
    assert found.waiting == len(filled.tasks["review"]) + len(filled.tasks["blocked"])
    assert found.cost_today > 0
    assert START < found.as_of <= filled.clock.now()


def test_only_todays_ends_count_as_done_today(db: views.Db, filled: Filled) -> None:
    tomorrow = filled.clock.now() + 2 * 86_400_000
    assert views.overview(db, tomorrow).done_today == 0
    days = views.done_per_day(db, filled.clock.now() + 86_400_000, 14)
    assert len(days) == 14
    assert sum(n for _, n in days) == len(filled.tasks["done"])


def test_board_shows_the_first_cards_and_the_whole_count(db: views.Db, filled: Filled) -> None:
    columns = {column.state: column for column in views.board(db, cards=2)}
    assert set(columns) == set(TaskState)
    done = columns[TaskState.DONE]
    assert (len(done.cards), done.total) == (2, len(filled.tasks["done"]))
    assert done.cards[0].ended_at > done.cards[1].ended_at  # type: ignore[operator]
    ready = columns[TaskState.READY].cards
    assert list(ready) == sorted(ready, key=lambda card: (-card.priority, card.id))
    assert columns[TaskState.BLOCKED].cards[0].reasons == ("question",)


def test_lists_are_cut_and_paged(db: views.Db, filled: Filled) -> None:
    page = views.list_tasks(db, views.Filter(limit=10, offset=20))
    assert (page.total, len(page.items), page.more) == (24, 4, 0)
    assert [row.id for row in page.items] == [4, 3, 2, 1]
    for state, ids in filled.tasks.items():
        found = views.list_tasks(db, views.Filter(states=(TaskState(state),), limit=99))
        assert sorted(row.id for row in found.items) == ids
    assert views.list_tasks(db, views.Filter(text="GREETING")).total == 2
    assert views.list_tasks(db, views.Filter(tag="speed")).total == 24
    assert views.list_tasks(db, views.Filter(tag="nothing")).total == 0
    urgent = views.list_tasks(db, views.Filter(priority=Priority.URGENT, limit=99)).items
    assert {row.priority for row in urgent} == {Priority.URGENT}
    crew = views.list_tasks(db, views.Filter(agent="coder-1", limit=99)).items
    assert crew
    assert all("coder-1" in (row.agent, row.assignee) for row in crew)
    assert all(row.lane == "import" for row in views.list_tasks(
        db, views.Filter(lane="import", unassigned=True)).items)


def test_a_task_page_tells_the_whole_story(db: views.Db, filled: Filled) -> None:
    task = filled.tasks["done"][0]
    page = views.task_page(db, task)
    assert page is not None
    assert page.task.change is not None
    assert page.task.change.files[0].path == "importer.py"
    assert page.labels == {"tag": ("speed",)}
    assert page.criteria[0].state == "passed"
    story = page.sessions[0]
    assert story.session.id == filled.sessions[task]
    assert (story.attempts[0].exit_status, story.iterations[0].number) == (0, 1)
    assert story.qa[0].result == "passed"
    assert page.gates[0].answered_name == "Ann"
    assert [event.type for event in page.events] == [
        "task.added", "session.started", "gate.opened", "gate.approved", "task.completed"]
    assert page.cost_usd == story.session.cost_usd > 0


def test_a_busy_task_keeps_its_newest_events(db: views.Db, filled: Filled) -> None:
    page = views.task_page(db, filled.tasks["done"][0], events=2)
    assert page is not None
    assert [event.type for event in page.events] == ["gate.approved", "task.completed"]
    assert page.older_events == 1


def test_no_such_task_is_no_page(db: views.Db) -> None:
    assert views.task_page(db, 999) is None
    assert views.session_story(db, "nobody") is None
    assert views.gate(db, 999) is None


def test_gates_wait_oldest_first(db: views.Db) -> None:
    waiting = views.open_gates(db)
    assert [row.gate.opened_at for row in waiting] == sorted(row.gate.opened_at for row in waiting)
    assert {row.gate.kind.value for row in waiting} == {"review", "question"}
    assert all(row.task_title for row in waiting)


def test_an_agent_at_a_question_is_blocked(db: views.Db, filled: Filled) -> None:
    rows = {row.name: row for row in views.agents(db)}
    asked = filled.sessions[filled.tasks["blocked"][0]]
    owner = next(row for row in rows.values() if asked in [s.session.id for s in row.sessions])
    assert owner.status == "blocked"
    live = [s for row in rows.values() for s in row.sessions]
    assert len(live) == len(views.sessions(db))
    assert views.sessions(db, agent=owner.name, n=1)[0].session.agent == owner.name
    task = filled.tasks["done"][0]
    assert [s.session.id for s in views.sessions(db, task=task)] == [filled.sessions[task]]


def test_the_log_is_read_from_both_ends(db: views.Db, filled: Filled) -> None:
    session = filled.sessions[1]
    tail = views.log_tail(db, session, 5)
    assert [line.seq for line in tail] == sorted(line.seq for line in tail)
    everything = views.log_after(db, session, 0)
    assert (len(everything), everything[-5:]) == (30, tail)
    assert views.log_after(db, session, everything[9].seq, 1) == (everything[10],)
    assert views.log_marks(db, session, 0, 10) == (
        everything[9].seq, everything[19].seq, everything[29].seq)
    assert views.log_ends(db, [session, "nobody"]) == {session: tail[-1].seq, "nobody": 0}


async def test_changes_name_whom_the_events_tell_of(db: views.Db, filled: Filled) -> None:
    seq = views.last_event(db)[0]
    assert not views.changed_since(db, seq)
    version = views.data_version(db)
    await change(filled, [3, 5])
    changes = views.changed_since(db, seq)
    assert (changes.tasks, changes.sessions, changes.seq) == ({3, 5}, set(), seq + 2)
    assert not changes.deleted
    await remove(filled, 3)
    assert views.changed_since(db, changes.seq).deleted == {3}
    assert views.data_version(db) != version


async def test_a_line_alone_moves_the_log_only(db: views.Db, filled: Filled) -> None:
    before, seq = views.last_log_seq(db), views.last_event(db)[0]
    await say(filled, filled.sessions[1], ["hello"])
    assert views.last_log_seq(db) > before
    assert not views.changed_since(db, seq)


def test_events_are_paged_in_both_directions(db: views.Db) -> None:
    newest = views.events(db, n=3)
    assert newest[-1].seq == views.last_event(db)[0]
    assert [e.seq for e in views.events(db, before=newest[0].seq, n=2)] == [
        newest[0].seq - 2, newest[0].seq - 1]
    assert [e.seq for e in views.events(db, after=0, n=2)] == [1, 2]
    assert {e.task_id for e in views.events(db, task=1)} == {1}


class Reader(sqlite3.Connection):
    """A connection that keeps what it was asked, as it was asked: with its parameters apart."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.row_factory = sqlite3.Row
        self.asked: list[tuple[str, Any]] = []

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        self.asked.append((sql, parameters))
        return super().execute(sql, parameters)


HOT = {
    "overview": lambda db: crew.overview(db, START),
    "board": lambda db: lists.board(db),
    "gates": lambda db: views.open_gates(db),
    "agents": lambda db: views.agents(db),
    "task pages": lambda db: views.task_pages(db, [1, 2, 3]),
    "session": lambda db: views.session_story(db, "work-1"),
    "task range": lambda db: views.task_range(db, 1, 50),
    "changes": lambda db: views.changed_since(db, 5),
    "events": lambda db: views.events(db, before=50),
    "log": lambda db: (views.log_tail(db, "x"), views.log_after(db, "x", 4),
                       views.log_ends(db, ["x"]), views.log_marks(db, "x", 0, 10),
                       views.sessions_heard(db, 3), views.last_log_seq(db)),
    "ids": lambda db: (views.task_neighbours(db, [1]), views.session_tasks(db, ["x"]),
                       views.sessions_of_tasks(db, [1]), views.last_task(db)),
    "days": lambda db: views.done_per_day(db, START),
}


@pytest.mark.parametrize("name", HOT)
def test_hot_statements_scan_no_table(name: str, filled: Filled) -> None:
    with contextlib.closing(sqlite3.connect(
            f"file:{filled.folder}/bullpen.db?mode=ro", uri=True, factory=Reader)) as db:
        db.execute("ATTACH DATABASE ? AS logs", (f"file:{filled.folder}/logs.db?mode=ro",))
        db.asked.clear()
        HOT[name](db)
        asked = tuple(db.asked)
        assert asked
        steps = [(row["detail"], sql) for sql, parameters in asked
                 for row in db.execute(f"EXPLAIN QUERY PLAN {sql}", parameters)]
    for step, sql in steps:
        bounded = "state_counts" in step or "json_each" in step or "CONSTANT" in step
        assert bounded or not step.startswith("SCAN") or _in_small_index(step), (step, sql)


def _in_small_index(step: str) -> bool:
    """A partial index that holds only what is open may be walked whole; a derived table
    holds what its own index gave."""
    small = ("tasks_ready", "gates_open", "sessions_open", "tasks_active", "tasks_standing")
    walked = step.partition(" USING ")[2]
    return any(index in walked for index in small) or step in ("SCAN t", "SCAN j")
