"""From step to step: the outcome decides, and what is suspended goes on or ends."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from core.errors import Broken
from core.house import House
from core.lifecycle import Situation
from core.model import (
    GateKind,
    SessionOutcome,
    SessionState,
    Step,
    StepKind,
    Task,
    TaskState,
    Workflow,
)
from core.store import gates, sessions, tasks
from core.store.database import Store, Tx
from core.workflow import Onward, enter, follow, merges
from tests.fakes.clock import FakeClock
from tests.house_bench import bring, house

A, G, C = StepKind.AGENT, StepKind.GATE, StepKind.CHECK
LONG = Workflow("long", "Code, review, mend", (
    Step("work", A, {"default": "look", "give.up": "failed"}, writes_code=True),
    Step("look", A, {"default": "gate"}, state=TaskState.REVIEW, fresh=True, type="reviewer"),
    Step("gate", G, {"approved": "done", "rejected": "work"}, state=TaskState.REVIEW),
))


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    store = await Store(tmp_path / "data", FakeClock().now).open()
    base = house(store, tmp_path)
    workflows = {**base.workflows, "long": LONG}
    setup = replace(base.setup, workflows=workflows)
    yield replace(base, current=replace(base.current, setup=setup))
    await store.close()


async def play(home: House, act: Callable[[Tx], Task]) -> Task:
    return await home.store.write(act)


def long(tx: Tx, home: House) -> Task:
    """A task of the long workflow, its first step's result just in."""
    task = bring(tx, home, Situation.JUDGING)
    tx.run("UPDATE tasks SET workflow = 'long' WHERE id = ?", (task.id,))
    return tasks.get(tx, task.id)


async def test_a_result_opens_the_gate_that_its_route_names(home: House) -> None:
    def act(tx: Tx) -> Task:
        return follow(tx, home, bring(tx, home, Situation.JUDGING), "default",
                      Onward(summary="It is mended."))

    task = await play(home, act)
    (gate,) = await home.store.write(lambda tx: gates.open_gates(tx, task.id))
    assert (task.state, task.step) == (TaskState.REVIEW, "review")
    assert (gate.kind, gate.body, gate.step) == (GateKind.MERGE, "It is mended.", "review")
    assert gate.agent == "claude"


async def test_a_gate_before_a_merge_is_the_merge_gate_and_another_is_none(home: House) -> None:
    task = await play(home, lambda tx: bring(tx, home, Situation.DECIDING))
    assert merges(home, task, home.workflow("quick").step("review"))
    tale = replace(task, workflow="long")
    assert not merges(home, tale, LONG.step("gate"))


async def test_sent_back_it_goes_on_in_the_suspended_session(home: House) -> None:
    def act(tx: Tx) -> Task:
        task = bring(tx, home, Situation.DECIDING)
        gates.cancel(tx, gates.open_gates(tx, task.id)[0], "answered")
        return follow(tx, home, task, "rejected", Onward(prompt="Louder.", cause="rejected"))

    task = await play(home, act)
    session = await home.store.write(lambda tx: sessions.of_step(tx, task.id, "work"))
    assert session is not None and session.state is SessionState.SUSPENDED
    assert (task.state, task.step) == (TaskState.IN_FLIGHT, "work")
    iteration = await home.store.write(lambda tx: sessions.get_iteration(tx, session.id))
    assert (iteration.number, iteration.state.value, iteration.prompt) == (2, "waiting", "Louder.")


async def test_sent_back_without_a_session_it_waits_to_be_claimed(home: House) -> None:
    def act(tx: Tx) -> Task:
        task = bring(tx, home, Situation.DECIDING)
        for session in sessions.open_of_task(tx, task.id):
            sessions.end(tx, session, SessionOutcome.COMPLETED, None)
        gates.cancel(tx, gates.open_gates(tx, task.id)[0], "answered")
        return follow(tx, home, task, "rejected", Onward(prompt="Louder."))

    task = await play(home, act)
    assert (task.state, task.step, task.assignee) == (TaskState.READY, "work", None)


async def test_another_agent_step_waits_for_its_own_agent(home: House) -> None:
    task = await play(home, lambda tx: follow(tx, home, long(tx, home), "default"))
    assert (task.state, task.step, task.assignee) == (TaskState.READY, "look", None)


async def test_an_outcome_without_a_route_takes_the_default(home: House) -> None:
    task = await play(home, lambda tx: follow(tx, home, long(tx, home), "never.heard.of"))
    assert task.step == "look"


async def test_without_any_route_nothing_moves(home: House) -> None:
    task = await play(home, lambda tx: bring(tx, home, Situation.DECIDING))
    with pytest.raises(Broken, match="step `review` has no route for `sideways`"):
        await play(home, lambda tx: follow(tx, home, task, "sideways"))


async def test_a_route_to_failure_fails_with_the_reason(home: House) -> None:
    task = await play(home, lambda tx: follow(
        tx, home, long(tx, home), "give.up", Onward(summary="It can't be done.")))
    assert (task.state, task.failure) == (TaskState.FAILED, "It can't be done.")


async def test_done_ends_what_is_suspended(home: House) -> None:
    task = await play(home, lambda tx: enter(
        tx, home, bring(tx, home, Situation.FORGING), "done", Onward()))
    assert task.state is TaskState.DONE
    rows = await home.store.read("SELECT state, outcome FROM sessions")
    assert [tuple(row) for row in rows] == [("terminated", "completed")]
    events = await home.store.read("SELECT 1 FROM events WHERE type = 'task.completed'")
    assert len(events) == 1
