"""The tables of moves, walked: no cell names a state that its noun can't reach, no refusal is
without words, no situation is only on paper."""

from __future__ import annotations

import itertools
import re
from enum import StrEnum

import pytest

from core import lifecycle
from core.errors import Refused
from core.lifecycle import MOVES, TABLE, Act, Move, Situation
from core.model import (
    ENDED,
    GateKind,
    GateState,
    IterationState,
    SessionState,
    TaskState,
    WorktreeState,
)

CELLS = [(situation, act) for situation in Situation for act in Act]

_S, _I, _W = SessionState, IterationState, WorktreeState
STANDS: dict[Situation, dict[str, StrEnum]] = {
    Situation.STARTING: {"session": _S.STARTING, "iteration": _I.RUNNING, "worktree": _W.CREATING},
    Situation.WORKING: {"session": _S.RUNNING, "iteration": _I.RUNNING, "worktree": _W.ACTIVE},
    Situation.ASKING_LEAVE: {"session": _S.RUNNING, "iteration": _I.WAITING,
                             "worktree": _W.ACTIVE, "gate": GateState.OPEN},
    Situation.ASKING: {"session": _S.RUNNING, "iteration": _I.WAITING, "worktree": _W.ACTIVE,
                       "gate": GateState.OPEN},
    Situation.PARKED: {"session": _S.SUSPENDED, "iteration": _I.WAITING,
                       "worktree": _W.SUSPENDED, "gate": GateState.OPEN},
    Situation.HELD: {"session": _S.SUSPENDED, "iteration": _I.WAITING, "worktree": _W.SUSPENDED},
    Situation.RESUMING: {"session": _S.SUSPENDED, "iteration": _I.WAITING,
                         "worktree": _W.SUSPENDED},
    Situation.JUDGING: {"session": _S.SUSPENDED, "iteration": _I.COMPLETED,
                        "worktree": _W.SUSPENDED},
    Situation.DECIDING: {"session": _S.SUSPENDED, "iteration": _I.COMPLETED,
                         "worktree": _W.SUSPENDED, "gate": GateState.OPEN},
    Situation.FORGING: {"session": _S.SUSPENDED, "iteration": _I.COMPLETED,
                        "worktree": _W.SUSPENDED},
}
"""How the nouns beside the task stand in a situation; those not named are not there."""
TASKS = {
    Situation.INBOX: {TaskState.INBOX}, Situation.READY: {TaskState.READY},
    Situation.FAILED: {TaskState.FAILED}, Situation.DONE: {TaskState.DONE},
    Situation.CANCELLED: {TaskState.CANCELLED},
    Situation.BLOCKED: {TaskState.BLOCKED}, Situation.PARKED: {TaskState.BLOCKED},
    Situation.HELD: {TaskState.BLOCKED},
}
ACTIVE = {TaskState.PLANNING, TaskState.IN_FLIGHT, TaskState.REVIEW}


@pytest.mark.parametrize(("situation", "act"), CELLS, ids=lambda one: one.name.lower())
def test_every_cell_leads_where_its_nouns_can_go(situation: Situation, act: Act) -> None:
    cell = TABLE[situation][act]
    if isinstance(cell, str):
        return
    for old in TASKS.get(situation, ACTIVE):
        assert cell.task in (None, old) or cell.task in MOVES[TaskState][old]
    for noun, stands in STANDS.get(situation, {}).items():
        new = getattr(cell, noun)
        assert new in (None, stands) or new in MOVES[type(stands)][stands], (noun, stands, new)
    for noun in ("session", "iteration", "gate", "worktree"):
        there = noun in STANDS.get(situation, {})
        assert there or getattr(cell, noun) is None, f"there is no {noun} to move"


@pytest.mark.parametrize(("situation", "act"), CELLS, ids=lambda one: one.name.lower())
def test_every_refusal_is_a_sentence_that_names_the_task(situation: Situation, act: Act) -> None:
    if isinstance(TABLE[situation][act], Move):
        assert lifecycle.decide(situation, act, 42) == TABLE[situation][act]
        return
    with pytest.raises(Refused) as caught:
        lifecycle.decide(situation, act, 42)
    words = str(caught.value)
    assert words.startswith(f"TASK-042 is {situation.value}") and "{" not in words
    assert words.endswith((".", "/cancel 42"))


@pytest.mark.parametrize("situation", Situation, ids=lambda one: one.name.lower())
def test_from_everywhere_there_is_a_way_to_an_end(situation: Situation) -> None:
    moves = [cell for cell in TABLE[situation].values() if isinstance(cell, Move)]
    assert any(move.task in ENDED or move.task is TaskState.READY for move in moves)


def test_the_death_of_the_bot_changes_nothing() -> None:
    assert all(TABLE[situation][Act.BOT_KILLED] == Move() for situation in Situation)


def test_what_ends_a_task_leaves_no_gate_open_and_no_process() -> None:
    for situation, act in itertools.product(Situation, (Act.KILL, Act.CANCEL, Act.DONE)):
        cell, stands = TABLE[situation][act], STANDS.get(situation, {})
        if isinstance(cell, str):
            continue
        assert ("gate" in stands) == (cell.gate is GateState.CANCELLED), situation
        assert ("session" in stands) == (
            cell.session in (SessionState.TERMINATING, SessionState.TERMINATED)), situation


def test_every_situation_is_found_from_rows_and_nothing_else_is() -> None:
    found = {
        lifecycle.situation(task, session, iteration, gate, forging)
        for task in TaskState for session in (None, *SessionState)
        for iteration in (None, *IterationState) for gate in (None, *GateKind)
        for forging in (False, True)
    }
    assert found == set(Situation)


@pytest.mark.parametrize("kind", MOVES, ids=lambda kind: kind.__name__)
def test_a_table_knows_every_state_and_its_ends(kind: type[StrEnum]) -> None:
    assert set(MOVES[kind]) == set(kind), "every state has its row"
    ends = {state for state, moves in MOVES[kind].items() if not moves}
    assert ends or kind is TaskState, "only a task can always go on"
    reached = set().union(*MOVES[kind].values())
    assert set(kind) - reached <= {next(iter(kind)), SessionState.STARTING}, "none is an island"


@pytest.mark.parametrize(("old", "new"), [
    (old, new) for kind in MOVES for old in kind for new in kind if new not in MOVES[kind][old]])
def test_any_other_move_is_an_error_that_names_both_states(old: StrEnum, new: StrEnum) -> None:
    with pytest.raises(Refused) as caught:
        lifecycle.check("It", old, new)
    said = str(caught.value)
    assert said.startswith("It is ") and re.search(r" can't become .+ from there\.$", said)
    assert lifecycle.words(old) in said and lifecycle.words(new) in said
