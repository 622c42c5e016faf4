"""A run's order: waves are a partition in which every need lies in an earlier wave."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import Unclear
from core.planning.waves import longest_chain, waves


@st.composite
def plans(draw: st.DrawFn) -> tuple[list[int], dict[int, list[int]]]:
    """Tasks in some order, and needs among them and outside, without a circle."""
    size = draw(st.integers(0, 12))
    ids = draw(st.permutations(range(1, size + 1)))
    needs = {task: draw(st.lists(st.sampled_from([*range(1, task), 99]), max_size=4))
             for task in ids}
    return list(ids), needs


@given(plans())
def test_waves_are_a_partition_with_every_need_in_an_earlier_one(
    plan: tuple[list[int], dict[int, list[int]]]
) -> None:
    tasks, needs = plan
    found = waves(tasks, needs)
    assert sorted(task for wave in found for task in wave) == sorted(tasks)
    assert all(found), "a wave without a task"
    place = {task: number for number, wave in enumerate(found) for task in wave}
    for task in tasks:
        inside = [place[one] for one in needs[task] if one in place]
        assert place[task] == max(inside, default=-1) + 1
    for wave in found:
        assert list(wave) == [task for task in tasks if task in wave]
    assert waves(tasks, needs) == found


@given(plans())
def test_the_longest_chain_has_a_task_of_each_wave_each_needing_the_one_before(
    plan: tuple[list[int], dict[int, list[int]]]
) -> None:
    tasks, needs = plan
    chain = longest_chain(tasks, needs)
    assert len(chain) == len(waves(tasks, needs))
    for before, after in itertools.pairwise(chain):
        assert before in needs[after]


def test_ten_thousand_in_a_chain_and_side_by_side() -> None:
    many = list(range(1, 10_001))
    chain = waves(many[::-1], {task: [task - 1] for task in many})
    assert chain == tuple((task,) for task in many)
    assert longest_chain(many, {task: [task - 1] for task in many}) == tuple(many)
    fan = waves(many, {task: [1] for task in many[1:]})
    assert [len(wave) for wave in fan] == [1, 9_999]


@pytest.mark.parametrize(("needs", "named"), [
    ({1: [1]}, "TASK-001 → TASK-001"),
    ({1: [2], 2: [3], 3: [2], 4: []}, "TASK-002 → TASK-003 → TASK-002"),
])
def test_a_circle_is_named(needs: dict[int, list[int]], named: str) -> None:
    with pytest.raises(Unclear, match=named):
        waves(list(needs), needs)


def test_a_long_circle_is_named_in_short() -> None:
    many = list(range(1, 1001))
    with pytest.raises(Unclear, match=r"TASK-001 → TASK-1000 .* … .* TASK-001$"):
        waves(many, {task: [task - 1 or 1000] for task in many})
