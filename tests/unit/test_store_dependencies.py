"""What waits for what: held, released once, held again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core.errors import Unclear
from core.model import Task, TaskState
from core.store import claims, tasks
from core.store.database import Store, Tx
from core.store.tasks import NewTask
from tests.fakes.clock import FakeClock


@pytest.fixture
async def store(data_dir: Path) -> AsyncIterator[Store]:
    store = await Store(data_dir, FakeClock().now).open()
    yield store
    await store.close()


def add(tx: Tx, after: tuple[int, ...] = (), draft: bool = False) -> Task:
    return tasks.add(tx, NewTask("Work", "quick", "work", after=after, draft=draft))


def finish(tx: Tx, task_id: int) -> Task:
    claims.claim(tx, task_id, "coder", TaskState.IN_FLIGHT)
    task = tasks.get(tx, task_id)
    return tasks.move(tx, task, TaskState.DONE)


async def test_the_last_thing_it_waited_for_releases_it(store: Store) -> None:
    await store.write(add)
    await store.write(add)
    waiting = await store.write(lambda tx: add(tx, after=(1, 2, 1)))
    assert (waiting.state, waiting.unmet) == (TaskState.BLOCKED, 2)
    await store.write(lambda tx: finish(tx, 1))
    assert (await store.write(lambda tx: tasks.get(tx, 3))).state is TaskState.BLOCKED
    await store.write(lambda tx: finish(tx, 2))
    freed = await store.write(lambda tx: tasks.get(tx, 3))
    assert (freed.state, freed.unmet) == (TaskState.READY, 0)
    assert not await store.read("SELECT 1 FROM task_reasons")


async def test_what_is_done_already_is_not_waited_for(store: Store) -> None:
    await store.write(add)
    await store.write(lambda tx: finish(tx, 1))
    after = await store.write(lambda tx: add(tx, after=(1,)))
    assert (after.state, after.unmet) == (TaskState.READY, 0)


async def test_reopening_holds_what_has_not_begun(store: Store) -> None:
    await store.write(add)
    await store.write(lambda tx: add(tx, after=(1,)))
    await store.write(lambda tx: add(tx, after=(1,), draft=True))
    await store.write(lambda tx: finish(tx, 1))

    def reopen(tx: Tx) -> None:
        tasks.move(tx, tasks.get(tx, 1), TaskState.READY)

    await store.write(reopen)
    assert await _unmet(store) == {1: ("ready", 0), 2: ("blocked", 1), 3: ("inbox", 1)}
    await store.write(lambda tx: finish(tx, 1))
    assert await _unmet(store) == {1: ("done", 0), 2: ("ready", 0), 3: ("inbox", 0)}


async def test_a_cancelled_task_releases_nothing_and_owes_nothing_twice(store: Store) -> None:
    await store.write(add)
    await store.write(lambda tx: add(tx, after=(1,)))
    await store.write(lambda tx: tasks.move(tx, tasks.get(tx, 1), TaskState.CANCELLED))
    assert await _unmet(store) == {1: ("cancelled", 0), 2: ("blocked", 1)}
    await store.write(lambda tx: tasks.move(tx, tasks.get(tx, 1), TaskState.READY))
    await store.write(lambda tx: finish(tx, 1))
    assert await _unmet(store) == {1: ("done", 0), 2: ("ready", 0)}


async def test_an_unknown_task_to_wait_for_adds_nothing(store: Store) -> None:
    with pytest.raises(Unclear, match="No task 7"):
        await store.write(lambda tx: add(tx, after=(7,)))
    assert not await store.read("SELECT 1 FROM tasks")


async def test_the_last_reason_that_goes_lifts_the_block(store: Store) -> None:
    def act(tx: Tx) -> list[TaskState]:
        task = tasks.get(tx, add(tx).id)
        claims.claim(tx, task.id, "coder", TaskState.IN_FLIGHT)
        task = tasks.get(tx, task.id)
        task = tasks.block(tx, tasks.block(tx, task, "budget"), "paused")
        first = tasks.lift(tx, task, "budget")
        return [first.state, tasks.lift(tx, first, "paused").state]

    assert await store.write(act) == [TaskState.BLOCKED, TaskState.IN_FLIGHT]


async def _unmet(store: Store) -> dict[int, tuple[str, int]]:
    rows = await store.read("SELECT id, state, unmet FROM tasks ORDER BY id")
    return {row["id"]: (row["state"], row["unmet"]) for row in rows}
