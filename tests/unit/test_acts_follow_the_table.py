"""Every act that people and crashes can bring, in every situation, through the real code: what
comes out is what the table says, of all nouns together; a refusal changes nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from core import acts, holding
from core.errors import Refused
from core.house import House
from core.lifecycle import TABLE, Act, Move, Situation
from core.model import GateKind, IterationState, TaskState
from core.ports import Exit, Verdict
from core.sessions.ending import attempt_over
from core.store import gates, sessions, tasks
from core.store.database import Store, Tx
from tests.fakes.clock import FakeClock
from tests.house_bench import ANN, HERE, bring, house

ENDS = (Act.KILL, Act.CANCEL, Act.DONE)
PLAYED = (*ENDS, Act.APPROVE, Act.REJECT, Act.ANSWER, Act.RETRY, Act.REOPEN, Act.RELEASE,
          Act.DELETE, Act.LOST, Act.PAUSE, Act.LIMIT, Act.BUDGET, Act.RESUME)
HOLDS = {Act.PAUSE: "paused", Act.LIMIT: "limit", Act.BUDGET: "budget"}


@dataclass(frozen=True)
class Seen:
    """The states of a task and of what belongs to it."""

    task: str
    session: str | None
    iteration: str | None
    gate: str | None
    worktree: str | None


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    store = await Store(tmp_path / "data", FakeClock().now).open()
    yield house(store, tmp_path)
    await store.close()


@pytest.mark.parametrize("situation", Situation, ids=lambda one: one.name.lower())
async def test_a_task_can_be_brought_there(home: House, situation: Situation) -> None:
    def act(tx: Tx) -> Situation:
        return acts.situation(tx, home, bring(tx, home, situation))

    assert await home.store.write(act) is situation


@pytest.mark.parametrize("act", PLAYED, ids=lambda one: one.name.lower())
@pytest.mark.parametrize("situation", Situation, ids=lambda one: one.name.lower())
async def test_what_comes_out_is_what_the_table_says(
    home: House, situation: Situation, act: Act
) -> None:
    task_id = await home.store.write(lambda tx: bring(tx, home, situation).id)
    if act is Act.RESUME and situation is Situation.BLOCKED:
        await home.store.write(lambda tx: tx.run("UPDATE task_reasons SET reason = 'paused'"))
    before = await home.store.write(lambda tx: see(tx, task_id))
    cell = TABLE[situation][act]
    if isinstance(cell, str):
        with pytest.raises(Refused):
            await home.store.write(lambda tx: play(tx, home, task_id, act))
        assert await home.store.write(lambda tx: see(tx, task_id)) == before
        return
    await home.store.write(lambda tx: play(tx, home, task_id, act))
    after = await home.store.write(lambda tx: see(tx, task_id))
    if cell.gone:
        assert after is None
        return
    assert before is not None
    assert after == expected(before, situation, act, cell)


@pytest.mark.parametrize("act", ENDS, ids=lambda one: one.name.lower())
@pytest.mark.parametrize("situation", (Situation.STARTING, Situation.WORKING, Situation.HELD,
                                       Situation.JUDGING, Situation.DECIDING, Situation.FORGING))
async def test_a_task_whose_workflow_is_gone_can_be_ended(
    home: House, situation: Situation, act: Act
) -> None:
    def gone(tx: Tx) -> int:
        task = bring(tx, home, situation)
        tx.run("UPDATE tasks SET workflow = 'gone' WHERE id = ?", (task.id,))
        return task.id

    task_id = await home.store.write(gone)
    await home.store.write(lambda tx: play(tx, home, task_id, act))
    after = await home.store.write(lambda tx: see(tx, task_id))
    ended = {Act.KILL: "failed", Act.CANCEL: "cancelled", Act.DONE: "done"}
    assert after is not None and after.task == ended[act] and after.gate != "open"


def expected(before: Seen, situation: Situation, act: Act, move: Move) -> Seen:
    """The table's cell laid over what there was; the workflow's part is `quick`'s."""
    task = move.task or before.task
    iteration = move.iteration or before.iteration
    if move.next_iteration:
        iteration = IterationState.WAITING
    if move.by_workflow:
        task = TaskState.REVIEW if act is Act.APPROVE else TaskState.IN_FLIGHT
        iteration = before.iteration if act is Act.APPROVE else IterationState.WAITING
    return Seen(task, move.session or before.session, iteration, move.gate or before.gate,
                move.worktree or before.worktree)


def play(tx: Tx, home: House, task_id: int, act: Act) -> None:
    task = tasks.get(tx, task_id)
    if act in ENDS:
        acts.end(tx, home, task, act, ANN, "because")
    elif act is Act.RETRY:
        acts.retry(tx, home, task, "")
    elif act is Act.REOPEN:
        acts.reopen(tx, home, task)
    elif act is Act.RELEASE:
        acts.release(tx, home, task, ANN)
    elif act is Act.DELETE:
        acts.delete(tx, home, task, ANN)
    elif act is Act.LOST:
        lose(tx, home, task_id)
    elif act in HOLDS:
        holding.hold_task(tx, home, task, HOLDS[act])
        stop(tx, home, task_id)
    elif act is Act.RESUME:
        acts.resume(tx, home, task)
    else:
        decide(tx, home, task_id, act)


def decide(tx: Tx, home: House, task_id: int, act: Act) -> None:
    waiting = gates.open_gates(tx, task_id)
    fits = {Act.ANSWER: (GateKind.QUESTION,)}.get(
        act, (GateKind.PERMISSION, GateKind.REVIEW, GateKind.MERGE))
    if not waiting or waiting[0].kind not in fits:
        raise Refused("nothing to decide")
    verb = {Act.APPROVE: acts.approve, Act.REJECT: acts.reject, Act.ANSWER: acts.answer}[act]
    verb(tx, home, waiting[0], ANN, HERE, "because")


def stop(tx: Tx, home: House, task_id: int) -> None:
    """What the keeper does with what is held: nothing is left of its process."""
    for session in sessions.open_of_task(tx, task_id):
        if session.held_for is not None and session.state in ("starting", "running"):
            attempt_over(tx, home, sessions.get_attempt(tx, session.id), Exit(reason="stopped"),
                         Verdict(False, "stopped"), [])


def lose(tx: Tx, home: House, task_id: int) -> None:
    """The attempt's process is proven gone, without a trace of an end."""
    live = [session for session in sessions.open_of_task(tx, task_id)
            if session.state in ("starting", "running")]
    if not live:
        raise Refused("nothing of it runs")
    attempt_over(tx, home, sessions.get_attempt(tx, live[0].id), Exit(reason="gone"),
                 Verdict(False, "gone"), [])


def see(tx: Tx, task_id: int) -> Seen | None:
    """None: there is nothing left of it."""
    if tasks.find(tx, task_id) is None:
        return None
    session = tx.one("SELECT * FROM sessions WHERE task_id = ?", (task_id,))
    iteration = sessions.get_iteration(tx, session["id"]).state if session else None
    gate = tx.value("SELECT state FROM gates WHERE task_id = ? ORDER BY id DESC LIMIT 1",
                    (task_id,))
    return Seen(tasks.get(tx, task_id).state, session["state"] if session else None, iteration,
                gate, session["worktree_state"] if session else None)
