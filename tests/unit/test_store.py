"""What the store promises: whole transactions, guarded moves, kept counts, safe openings."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.errors import Broken, BullpenError, Refused
from core.model import ACTIVE, Agent, Event, IterationState, Priority, Task, TaskState
from core.store import claims, sessions, tasks
from core.store.database import Store, Tx
from core.store.tasks import NewTask
from tests.fakes.clock import FakeClock

CODER = Agent("coder", "claude")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def store(data_dir: Path, clock: FakeClock) -> AsyncIterator[Store]:
    store = await Store(data_dir, clock.now).open()
    yield store
    await store.close()


def add(tx: Tx, title: str = "Work", after: tuple[int, ...] = (), **more: object) -> Task:
    return tasks.add(tx, NewTask(title, "quick", "work", after=after, **more))  # type: ignore[arg-type]


# -- transactions --------------------------------------------------------------------------


async def test_an_act_that_raises_takes_all_of_itself_back(store: Store) -> None:
    heard: list[Event] = []
    store.state.listeners.append(heard.extend)

    def act(tx: Tx) -> None:
        add(tx)
        tx.emit(Event("task.progress", "half way"))
        raise Refused("not today")

    with pytest.raises(Refused, match="not today"):
        await store.write(act)
    assert not await store.read("SELECT 1 FROM tasks UNION SELECT 1 FROM events")
    assert not heard


async def test_one_bad_act_harms_no_other_of_its_group(store: Store) -> None:
    def act(tx: Tx, number: int) -> int:
        add(tx, f"Task {number}")
        if number % 3 == 0:
            raise Refused("every third")
        return number

    done = await asyncio.gather(
        *(store.write(partial(act, number=n)) for n in range(30)), return_exceptions=True)
    assert [n for n in done if isinstance(n, int)] == [n for n in range(30) if n % 3]
    titles = [row["title"] for row in await store.read("SELECT title FROM tasks ORDER BY id")]
    assert titles == [f"Task {n}" for n in range(30) if n % 3]


async def test_what_waits_is_committed_as_a_group(data_dir: Path, clock: FakeClock) -> None:
    store = await Store(data_dir, clock.now).open()
    gate = asyncio.get_running_loop().create_future()
    entered = asyncio.get_running_loop().create_future()
    loop = asyncio.get_running_loop()
    statements: list[str] = []

    def hold(tx: Tx) -> None:
        loop.call_soon_threadsafe(entered.set_result, None)
        asyncio.run_coroutine_threadsafe(_wait(gate), loop).result(60)
        tx._db.set_trace_callback(statements.append)

    first = asyncio.create_task(store.write(hold))
    await entered
    others = [asyncio.create_task(store.write(add)) for _ in range(20)]
    await asyncio.sleep(0)
    gate.set_result(None)
    await asyncio.gather(first, *others)
    await store.close()
    assert sum(statement == "COMMIT" for statement in statements) == 2, "the holder, and the rest"


async def _wait(gate: asyncio.Future[None]) -> None:
    await gate


async def test_events_are_heard_after_the_commit_in_order(store: Store) -> None:
    seen: list[tuple[int, int]] = []

    def listener(events: object) -> None:
        with contextlib.closing(sqlite3.connect(store.folder / "bullpen.db")) as db:
            stored = db.execute("SELECT max(seq) FROM events").fetchone()[0]
        seen.extend((event.seq, stored) for event in events)  # type: ignore[attr-defined]

    store.state.listeners.append(listener)
    for _ in range(3):
        await store.write(add)
    await store.write(lambda tx: None)
    assert [seq for seq, _ in seen] == [1, 2, 3]
    assert all(stored >= seq for seq, stored in seen)


async def test_a_caller_that_goes_away_takes_nothing_back(store: Store) -> None:
    waiting = asyncio.create_task(store.write(add))
    await asyncio.sleep(0)
    waiting.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await waiting
    await store.write(lambda tx: None)
    assert len(await store.read("SELECT 1 FROM tasks")) == 1


async def test_events_are_never_rewritten(store: Store) -> None:
    await store.write(add)
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        await store.write(lambda tx: tx.run("UPDATE events SET text = 'other'"))


# -- moves ---------------------------------------------------------------------------------


async def test_a_move_from_a_state_that_is_no_more_is_refused(store: Store) -> None:
    stale = await store.write(add)
    await store.write(lambda tx: tasks.move(tx, stale, TaskState.CANCELLED))
    with pytest.raises(Refused, match="has just changed"):
        await store.write(lambda tx: tasks.move(tx, stale, TaskState.IN_FLIGHT))
    assert (await store.write(lambda tx: tasks.get(tx, stale.id))).state is TaskState.CANCELLED


async def test_nobody_claims_what_somebody_has(store: Store) -> None:
    task = await store.write(add)
    await store.write(lambda tx: claims.claim(tx, task.id, "one", TaskState.IN_FLIGHT))
    with pytest.raises(Refused, match="taken by another"):
        await store.write(lambda tx: claims.claim(tx, task.id, "two", TaskState.IN_FLIGHT))
    theirs = await store.write(lambda tx: add(tx, assignee="two"))
    with pytest.raises(Refused):
        await store.write(lambda tx: claims.claim(tx, theirs.id, "one", TaskState.IN_FLIGHT))


async def test_one_live_session_a_step_whatever_the_code_believes(store: Store) -> None:
    task = await store.write(add)
    first = await store.write(lambda tx: sessions.begin(tx, task, CODER, "Do it", "/x/{id}"))
    with pytest.raises(sqlite3.IntegrityError):
        await store.write(lambda tx: sessions.begin(tx, task, CODER, "Again", "/x/{id}"))
    found = await store.read("SELECT id FROM sessions")
    assert [row["id"] for row in found] == [first.id]


async def test_one_live_iteration_and_attempt_a_session(store: Store) -> None:
    task = await store.write(add)
    session = await store.write(lambda tx: sessions.begin(tx, task, CODER, "Do it", "/x/{id}"))
    with pytest.raises(sqlite3.IntegrityError):
        await store.write(lambda tx: sessions.new_attempt(tx, session.id))
    with pytest.raises(sqlite3.IntegrityError):
        await store.write(lambda tx: sessions.new_iteration(
            tx, session.id, "retry", "Again", IterationState.RUNNING))


async def test_the_order_of_the_claim(store: Store, clock: FakeClock) -> None:
    def act(tx: Tx) -> None:
        add(tx, "old")
        add(tx, "new")
        add(tx, "urgent", priority=Priority.URGENT)
        add(tx, "later", priority=Priority.URGENT)
        add(tx, "placed")
        add(tx, "begun")
        tx.run("UPDATE tasks SET not_before = ? WHERE title = 'later'", (tx.now + 1000,))
        tx.run("UPDATE tasks SET position = 1 WHERE title = 'placed'")
        tx.run("UPDATE tasks SET begun = 1 WHERE title = 'begun'")

    await store.write(act)
    order = ["urgent", "begun", "placed", "old", "new"]
    assert await store.write(claim_all) == order
    clock.forward(1)
    assert await store.write(claim_all) == ["later"]


def claim_all(tx: Tx) -> list[str]:
    """Everything that may be claimed now, in the order in which it is."""
    titles = []
    while (task := claims.best(tx)) is not None:
        titles.append(tasks.get(tx, task.id).title)
        claims.claim(tx, task.id, "coder", TaskState.IN_FLIGHT)
    return titles


# -- counts --------------------------------------------------------------------------------

MOVE = st.tuples(st.integers(1, 6), st.sampled_from(sorted(TaskState)))


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(moves=st.lists(MOVE, max_size=40), dropped=st.integers(1, 6))
async def test_kept_counts_are_what_counting_gives(
    tmp_path_factory: pytest.TempPathFactory, moves: list[tuple[int, TaskState]], dropped: int
) -> None:
    store = await Store(tmp_path_factory.mktemp("counts"), FakeClock().now).open()
    try:
        await store.write(lambda tx: [add(tx, draft=number % 2 == 0) for number in range(6)])
        for task_id, to in moves:
            with contextlib.suppress(BullpenError):
                await store.write(partial(_go, task_id=task_id, to=to))
        await store.write(lambda tx: tx.run("DELETE FROM tasks WHERE id = ?", (dropped,)))
        kept = await store.read("SELECT state, n FROM state_counts")
        real = Counter(row["state"] for row in await store.read("SELECT state FROM tasks"))
        assert {row["state"]: row["n"] for row in kept if row["n"]} == dict(real)
    finally:
        await store.close()


def _go(tx: Tx, task_id: int, to: TaskState) -> None:
    task = tasks.get(tx, task_id)
    if to in ACTIVE and task.state is TaskState.READY:
        claims.claim(tx, task.id, "coder", to)
    else:
        tasks.move(tx, task, to)


# -- openings ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["bullpen.db", "logs.db"])
async def test_a_newer_schema_is_refused_and_left_alone(data_dir: Path, name: str) -> None:
    await (await Store(data_dir, FakeClock().now).open()).close()
    with contextlib.closing(sqlite3.connect(data_dir / name)) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(Broken, match=r"has schema 99; this Bullpen knows \d"):
        await Store(data_dir, FakeClock().now).open()
    with contextlib.closing(sqlite3.connect(data_dir / name)) as db:
        assert db.execute("PRAGMA user_version").fetchone()[0] == 99


async def test_a_damaged_file_is_said_so(data_dir: Path) -> None:
    (data_dir / "bullpen.db").write_bytes(b"this was never a database\n" * 99)
    with pytest.raises(Broken, match="damaged"):
        await Store(data_dir, FakeClock().now).open()


async def test_opening_again_changes_nothing(data_dir: Path, clock: FakeClock) -> None:
    store = await Store(data_dir, clock.now).open()
    await store.write(add)
    await store.close()
    store = await Store(data_dir, clock.now).open()
    assert len(await store.read("SELECT 1 FROM tasks")) == 1
    await store.close()


async def test_readers_can_not_write(store: Store) -> None:
    with pytest.raises(sqlite3.OperationalError):
        await store.read("DELETE FROM tasks")
    with pytest.raises(sqlite3.OperationalError):
        await store.view(lambda db: db.execute("DELETE FROM tasks"))
