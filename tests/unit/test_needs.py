"""What waits for what, whatever is done to the tasks: the kept counter is the counted one, what
is blocked waits for something, and no circle is ever closed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import acts
from core.errors import BullpenError, Refused, Unclear
from core.house import House
from core.lifecycle import Act
from core.model import Task, TaskState
from core.store import claims, needs, tasks, unmet
from core.store.database import Store, Tx
from core.store.tasks import NewTask
from tests.fakes.clock import FakeClock
from tests.house_bench import ANN, house

SIZE = 6
number = st.integers(1, SIZE)
some = st.lists(number, max_size=3)
step = st.one_of(
    st.tuples(st.just("add"), some, st.booleans()),
    st.tuples(st.just("after"), number, some),
    st.tuples(st.sampled_from(["claim", "done", "cancel", "fail", "retry", "reopen", "delete",
                               "release", "ready", "inbox", "pause", "resume"]), number))


@pytest.fixture
async def store(data_dir: Path) -> AsyncIterator[Store]:
    store = await Store(data_dir, FakeClock().now).open()
    yield store
    await store.close()


def add(tx: Tx, after: list[int] | None = None, draft: bool = False) -> Task:
    return tasks.add(tx, NewTask("Work", "quick", "work", repo="shop", after=tuple(after or ()),
                                 draft=draft))


def begin(tx: Tx, task: Task) -> Task:
    claims.claim(tx, task.id, "claude", TaskState.IN_FLIGHT)
    return tasks.get(tx, task.id)


# -- whatever is done ----------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(st.lists(step, min_size=5, max_size=50))
def test_the_counter_is_right_and_what_is_blocked_waits(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[Any, ...]]
) -> None:
    folder = tmp_path_factory.mktemp("needs")

    async def play() -> None:
        store = await Store(folder, FakeClock().now).open()
        try:
            await store.write(lambda tx: _play(tx, house(store, folder), steps))
        finally:
            await store.close()

    asyncio.run(play())


def _play(tx: Tx, home: House, steps: list[tuple[Any, ...]]) -> None:
    for _ in range(3):
        add(tx)
    for name, *words in steps:
        tx.run("SAVEPOINT step")
        try:
            _do(tx, home, name, words)
        except BullpenError:
            tx.run("ROLLBACK TO step")
        tx.run("RELEASE step")
        check(tx, (name, *words))


def _do(tx: Tx, home: House, name: str, words: list[Any]) -> None:
    if name == "add":
        add(tx, *words)
        return
    task = tasks.get(tx, words[0])
    ends = {"done": Act.DONE, "cancel": Act.CANCEL}
    does: dict[str, Callable[[], Any]] = {
        "after": lambda: needs.set_needs(tx, task, words[1]),
        "claim": lambda: begin(tx, task),
        "fail": lambda: tasks.fail(tx, task, "no"),
        "retry": lambda: acts.retry(tx, home, task, ""),
        "reopen": lambda: acts.reopen(tx, home, task),
        "delete": lambda: acts.delete(tx, home, task, ANN),
        "release": lambda: acts.release(tx, home, task, ANN),
        "ready": lambda: acts.ready(tx, task),
        "inbox": lambda: tasks.move(tx, task, TaskState.INBOX),
        "pause": lambda: _pause(tx, task),
        "resume": lambda: _resume(tx, task),
    }
    if name in ends:
        acts.end(tx, home, task, ends[name], ANN, name)
    else:
        does[name]()


def _pause(tx: Tx, task: Task) -> None:
    if task.state is TaskState.INBOX:
        raise Refused("nothing to pause")
    tasks.block(tx, task, "paused")


def _resume(tx: Tx, task: Task) -> None:
    if "paused" not in reasons(tx, task.id):
        raise Refused("it isn't paused")
    tasks.lift(tx, task, "paused")


def check(tx: Tx, last: tuple[Any, ...]) -> None:
    """What holds after every act."""
    edges = [(row[0], row[1]) for row in tx.all("SELECT task_id, needs_id FROM dependencies")]
    state = {row[0]: row[1] for row in tx.all("SELECT id, state FROM tasks")}
    for task in (tasks.get(tx, task_id) for task_id in state):
        why = f"{task.ref} {task.state} after {last}"
        open_needs = [n for t, n in edges if t == task.id and state[n] != "done"]
        assert task.unmet == len(open_needs), why
        found = reasons(tx, task.id)
        assert (task.state is TaskState.BLOCKED) == bool(found), why
        assert "dependency" not in found or task.unmet, why
        if not task.begun and task.state in (TaskState.READY, TaskState.BLOCKED):
            assert ("dependency" in found) == (task.unmet > 0), why
    _no_circle(edges)


def reasons(tx: Tx, task_id: int) -> set[str]:
    return {row[0] for row in tx.all(
        "SELECT reason FROM task_reasons WHERE task_id = ?", (task_id,))}


def _no_circle(edges: list[tuple[int, int]]) -> None:
    left = set(edges)
    while left:
        leaves = {needed for _, needed in left} - {waiting for waiting, _ in left}
        assert leaves, f"a circle in {left}"
        left = {edge for edge in left if edge[1] not in leaves}


# -- circles -------------------------------------------------------------------------------


def wait_for(task_id: int, needed: list[int], tx: Tx) -> Task:
    return needs.set_needs(tx, tasks.get(tx, task_id), needed)


async def test_a_circle_is_refused_and_named(store: Store) -> None:
    def act(tx: Tx) -> None:
        for _ in range(5):
            add(tx)
        needs.set_needs(tx, tasks.get(tx, 5), [4, 2])
        needs.set_needs(tx, tasks.get(tx, 4), [3])

    await store.write(act)
    for task, needed, words in (
        (3, [5], "That would be a circle: TASK-003 → TASK-005 → TASK-004 → TASK-003"),
        (2, [1, 5], "That would be a circle: TASK-002 → TASK-005 → TASK-002"),
        (1, [1], "TASK-001 can't wait for itself: TASK-001 → TASK-001"),
        (1, [9], "No task 9"),
    ):
        with pytest.raises(Unclear, match=words):
            await store.write(partial(wait_for, task, needed))
    assert [tuple(row) for row in await store.read("SELECT * FROM dependencies ORDER BY 1, 2")] == [
        (4, 3), (5, 2), (5, 4)]


async def test_a_chain_of_a_thousand_closes_no_circle_and_is_said_short(store: Store) -> None:
    def act(tx: Tx) -> None:
        for at in range(1200):
            add(tx, [at] if at else [])

    await store.write(act)
    with pytest.raises(Unclear) as refused:
        await store.write(lambda tx: needs.set_needs(tx, tasks.get(tx, 1), [1200]))
    assert str(refused.value) == (
        "That would be a circle: TASK-001 → TASK-1200 → TASK-1199 → TASK-1198 → TASK-1197 → "
        "1191 more → TASK-005 → TASK-004 → TASK-003 → TASK-002 → TASK-001")


async def test_a_thousand_wait_for_one(store: Store) -> None:
    def act(tx: Tx) -> None:
        add(tx)
        for _ in range(1000):
            add(tx, [1])
        assert unmet.waiting_words(tx, 1) == (
            "TASK-002, TASK-003, TASK-004, TASK-005, TASK-006 and 995 more wait for it")
        tasks.move(tx, tasks.get(tx, 1), TaskState.DONE)

    await store.write(act)
    assert [tuple(row) for row in await store.read(
        "SELECT state, count(*), max(unmet) FROM tasks GROUP BY state")] == [
        ("done", 1, 0), ("ready", 1000, 0)]


# -- what may wait -------------------------------------------------------------------------


async def test_what_has_begun_waits_for_nothing_more(store: Store) -> None:
    def act(tx: Tx) -> None:
        add(tx)
        begin(tx, add(tx))
        tasks.move(tx, add(tx), TaskState.DONE)
        needs.set_needs(tx, tasks.get(tx, 2), [3])

    await store.write(act)
    with pytest.raises(Refused, match="TASK-002 has begun"):
        await store.write(lambda tx: needs.set_needs(tx, tasks.get(tx, 2), [3, 1]))
    await store.write(lambda tx: needs.set_needs(tx, tasks.get(tx, 2), []))
    assert not await store.read("SELECT 1 FROM dependencies")


async def test_a_failed_task_tried_again_waits_for_what_it_was_given_meanwhile(
    store: Store, data_dir: Path
) -> None:
    home = house(store, data_dir)

    def act(tx: Tx) -> list[Any]:
        add(tx)
        failed = tasks.fail(tx, begin(tx, add(tx)), "no")
        failed = needs.set_needs(tx, failed, [1])
        retried = acts.retry(tx, home, failed, "")
        dropped = acts.end(tx, home, tasks.get(tx, 1), Act.CANCEL, ANN, "no")
        held = tasks.get(tx, 2)
        freed = needs.set_needs(tx, held, [])
        return [failed.state, retried.state, dropped.state, held.state, freed.state]

    assert await store.write(act) == ["failed", "blocked", "cancelled", "blocked", "ready"]


async def test_an_end_says_what_now_waits_for_it(store: Store, data_dir: Path) -> None:
    home = house(store, data_dir)

    def act(tx: Tx) -> None:
        for _ in range(2):
            add(tx)
        for at in (1, 1, 2):
            add(tx, [at])
        tasks.fail(tx, begin(tx, tasks.get(tx, 1)), "no")
        acts.end(tx, home, tasks.get(tx, 2), Act.CANCEL, ANN, "no")

    await store.write(act)
    said = [row["text"] for row in await store.read(
        "SELECT text FROM events WHERE type IN ('task.failed', 'task.cancelled') ORDER BY seq")]
    assert said == ["TASK-001 failed: no; TASK-003 and TASK-004 wait for it",
                    "TASK-002 cancelled by Ann; TASK-005 waits for it"]
