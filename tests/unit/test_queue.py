"""The queue: one total order of the claim, and places in it that people move."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import views
from core.errors import Refused
from core.model import Priority, Task, TaskState
from core.planning import order
from core.store import claims, places, rows, tasks
from core.store.database import Store, Tx
from core.store.tasks import NewTask
from tests.fakes.clock import FakeClock

TASK = Task(1, "Work", "", TaskState.READY, Priority.MEDIUM, "quick", "work", "work", "me", 0, 0)
made = st.builds(
    lambda number, priority, begun, position: replace(
        TASK, id=number, priority=priority, begun=begun, position=position),
    st.integers(1, 50), st.sampled_from(Priority), st.booleans(),
    st.none() | st.integers(-3, 3))
many = st.lists(made, unique_by=lambda task: task.id, max_size=12)


@pytest.fixture
async def store(data_dir: Path) -> AsyncIterator[Store]:
    store = await Store(data_dir, FakeClock().now).open()
    yield store
    await store.close()


# -- the order of the claim ----------------------------------------------------------------


@given(many)
def test_the_order_is_total(found: list[Task]) -> None:
    assert len({order.key(task) for task in found}) == len(found)


@given(many, st.randoms())
def test_the_order_is_stable_whatever_it_was_before(found: list[Task], random: Any) -> None:
    ordered = sorted(found, key=order.key)
    random.shuffle(found)
    assert sorted(found, key=order.key) == ordered
    for first, then in pairwise(ordered):
        assert first.priority >= then.priority
        if first.priority == then.priority:
            assert first.begun >= then.begun


@settings(max_examples=20, deadline=None)
@given(many)
def test_the_database_has_the_same_order(tmp_path_factory: Any, found: list[Task]) -> None:
    folder = tmp_path_factory.mktemp("order")

    async def claimed() -> list[int]:
        store = await Store(folder, FakeClock().now).open()
        try:
            def act(tx: Tx) -> list[int]:
                for task in found:
                    _insert(tx, task)
                return in_order(tx)
            return await store.write(act)
        finally:
            await store.close()

    assert asyncio.run(claimed()) == [task.id for task in sorted(found, key=order.key)]


def _insert(tx: Tx, task: Task) -> None:
    tx.insert("tasks", id=task.id, title="Work", slug="work", state="ready", workflow="quick",
              priority=int(task.priority), begun=int(task.begun), step="work", created_at=0,
              updated_at=0)
    tx.update("tasks", {"id": task.id}, position=task.position)


def in_order(tx: Tx) -> list[int]:
    return [row[0] for row in tx.all(
        "SELECT id FROM tasks INDEXED BY tasks_ready WHERE state = 'ready' "
        "ORDER BY priority DESC, begun DESC, position IS NULL, position, id")]


@given(st.none() | st.integers(-9, 9), st.none() | st.integers(-9, 9))
def test_a_place_between_two_lies_between_them(low: int | None, high: int | None) -> None:
    found = order.between(low, high)
    if found is None:
        assert low is not None and high is not None and high - low < 2
        return
    assert low is None or low < found
    assert high is None or found < high


async def test_the_queue_is_shown_as_it_is_claimed(store: Store, data_dir: Path) -> None:
    def act(tx: Tx) -> list[int]:
        for level in (Priority.LOW, Priority.HIGH, Priority.MEDIUM, Priority.HIGH):
            add(tx, priority=level)
        add(tx, draft=True)
        places.move(tx, tasks.get(tx, 4), "top")
        tx.run("UPDATE tasks SET begun = 1 WHERE id = 2")
        return in_order(tx)

    claimed = await store.write(act)
    assert claimed == [2, 4, 3, 1]
    page = await store.view(lambda db: views.queue(db, 3, 0))
    assert ([task.id for task in page.items], page.total, page.more) == (claimed[:3], 4, 1)
    rest = await store.view(lambda db: views.queue(db, 3, 3))
    assert [task.id for task in rest.items] == claimed[3:]
    shown = [await store.view(lambda db, task=task: views.place(db, task)) for task in
             (*page.items, *rest.items)]
    assert shown == [1, 2, 3, 4]


# -- moving --------------------------------------------------------------------------------


def add(tx: Tx, **more: Any) -> Task:
    return tasks.add(tx, NewTask("Work", "quick", "work", **more))


steps = st.lists(st.tuples(st.integers(0, 5), st.sampled_from(places.WHERE), st.integers(0, 5)),
                 max_size=40)


@settings(max_examples=40, deadline=None)
@given(steps)
def test_every_move_does_to_the_queue_what_it_does_to_a_list(
    tmp_path_factory: Any, moves: list[tuple[int, str, int]]
) -> None:
    folder = tmp_path_factory.mktemp("moves")

    async def play() -> None:
        store = await Store(folder, FakeClock().now).open()
        try:
            await store.write(lambda tx: _play(tx, moves))
        finally:
            await store.close()

    asyncio.run(play())


def _play(tx: Tx, moves: list[tuple[int, str, int]]) -> None:
    expected = [add(tx).id for _ in range(6)]
    for at, where, beside in moves:
        moved, other = expected[at], expected[beside]
        if where in ("before", "after") and moved == other:
            continue
        places.move(tx, tasks.get(tx, moved), where,
                    tasks.get(tx, other) if where in ("before", "after") else None)
        expected = _listed(expected, moved, where, other)
        assert in_order(tx) == expected, (moved, where, other)
    assert in_order(tx) == [task.id for task in sorted(
        (rows.task(row) for row in tx.all("SELECT * FROM tasks")), key=order.key)]


def _listed(before: list[int], moved: int, where: str, other: int) -> list[int]:
    at = before.index(moved)
    rest = [one for one in before if one != moved]
    to = {"top": 0, "up": max(0, at - 1), "down": at + 1, "bottom": len(rest)}.get(where)
    if to is None:
        to = rest.index(other) + (where == "after")
    return [*rest[:to], moved, *rest[to:]]


async def test_a_thousand_moves_to_one_spot_find_room(store: Store) -> None:
    def act(tx: Tx) -> list[int]:
        first = [add(tx).id for _ in range(4)]
        for number in range(60):
            one = tasks.get(tx, first[1 + number % 2])
            places.move(tx, one, "before", tasks.get(tx, first[3]))
        return in_order(tx)

    assert await store.write(act) == [1, 2, 3, 4]


async def test_what_is_added_later_comes_after_the_bottom(store: Store) -> None:
    def act(tx: Tx) -> list[int]:
        for _ in range(3):
            add(tx)
        places.move(tx, tasks.get(tx, 1), "bottom")
        add(tx)
        return in_order(tx)

    assert await store.write(act) == [2, 3, 1, 4]


async def test_places_are_compared_in_one_row_only(store: Store) -> None:
    def act(tx: Tx) -> None:
        add(tx)
        add(tx, priority=Priority.HIGH)
        claims.claim(tx, add(tx).id, "coder", TaskState.IN_FLIGHT)

    await store.write(act)
    for where, other, words in (("before", 2, "TASK-002 is high and TASK-001 is medium: "
                                 "/priority 1 high first."),
                                ("after", 3, "TASK-003 is in work"),
                                ("before", 1, "beside itself")):
        with pytest.raises(Refused, match=words):
            await store.write(lambda tx, where=where, other=other: places.move(
                tx, tasks.get(tx, 1), where, tasks.get(tx, other)))
    with pytest.raises(Refused, match="TASK-003 is in work: only what waits"):
        await store.write(lambda tx: places.move(tx, tasks.get(tx, 3), "top"))
    assert not await store.write(lambda tx: places.move(tx, tasks.get(tx, 1), "top"))


async def test_only_the_places_of_ended_tasks_are_forgotten(store: Store) -> None:
    def act(tx: Tx) -> int:
        tasks.move(tx, add(tx), TaskState.CANCELLED)
        add(tx)
        return places.forget(tx)

    assert await store.write(act) == 1
    assert await store.write(places.forget) == 0
    assert [row["position"] for row in await store.read("SELECT position FROM tasks")] == [
        None, 2048]
