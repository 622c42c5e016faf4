"""How people let a task begin again."""

from __future__ import annotations

from collections.abc import Sequence

from core import lifecycle, queue
from core.acts.standing import situation
from core.errors import Refused, Unclear
from core.house import House
from core.lifecycle import Act
from core.model import Event, Step, StepKind, Task, TaskState
from core.planning import order
from core.store import receipts, tasks
from core.store.database import Tx


def retry(tx: Tx, house: House, task: Task, hint: str) -> Task:
    """A failed task goes back to ready, with a hint for the agent: at its step, or from a gate,
    check or merge at the agent's step before it, since only those are claimed."""
    move = lifecycle.decide(situation(tx, house, task), Act.RETRY, task.id)
    task = tasks.move(
        tx,
        task,
        move.task or TaskState.READY,
        step=agent_step(tx, house, task),
        attempts=0,
        not_before=None,
        failure=None,
        hold=None,
        hint=hint or None,
    )
    queue.settled(tx, task)
    tx.emit(Event("task.ready", f"{task.ref} will be tried again", task_id=task.id))
    return _blocked_still(tx, task)


def agent_step(tx: Tx, house: House, task: Task) -> str:
    """The step to begin again at: its own, or the newest session's, since only an agent's step
    is claimed."""
    if house.step(task).kind is StepKind.AGENT:
        return task.step
    newest = tx.value(
        "SELECT step FROM sessions WHERE task_id = ? ORDER BY created_at DESC, id LIMIT 1",
        (task.id,),
    )
    return str(newest or house.workflow(task.workflow).steps[0].id)


def _blocked_still(tx: Tx, task: Task) -> Task:
    """What it needs may not be done (any more)."""
    return tasks.block(tx, task, "dependency") if task.unmet else task


def ready(tx: Tx, task: Task) -> Task:
    """Out of the inbox: ready, or blocked by what it waits for."""
    if task.state is not TaskState.INBOX:
        raise Refused(f"{task.ref} is not in the inbox: it is {lifecycle.words(task.state)}.")
    if task.unmet:
        return tasks.block(tx, task, "dependency")
    task = tasks.move(tx, task, TaskState.READY)
    tx.emit(Event("task.ready", f"{task.ref} is ready", task_id=task.id))
    return task


def reopen(tx: Tx, house: House, task: Task, step_id: str | None = None) -> Task:
    """A done or cancelled task begins again: at its first step on a fresh branch, or at the
    named step, where what was not merged is gone on with."""
    move = lifecycle.decide(situation(tx, house, task), Act.REOPEN, task.id)
    steps = house.workflow(task.workflow).steps
    step = steps[0] if step_id is None else _to_begin_at(steps, step_id)
    afresh = step == steps[0] or task.merge_commit is not None
    task = tasks.move(
        tx,
        task,
        move.task or TaskState.READY,
        step=step.id,
        attempts=0,
        begun=0,
        hold=None,
        failure=None,
        verification=None,
        not_before=None,
        assignee=None,
        assigned_step=None,
        position=task.id * order.STEP if task.position is None else task.position,
        **(_AFRESH | {"branch": _next_branch(task)} if afresh else {}),
    )
    tx.run("UPDATE criteria SET state = 'open' WHERE task_id = ?", (task.id,))
    receipts.make_stale(tx, task.id, "the task was reopened")
    tx.emit(Event("task.reopened", f"{task.ref} is open again at {step.id}", task_id=task.id))
    return _blocked_still(tx, task)


_AFRESH: dict[str, str | None] = {
    "base_commit": None,
    "head_commit": None,
    "change": None,
    "merge_commit": None,
}


def _to_begin_at(steps: Sequence[Step], step_id: str) -> Step:
    possible = [step for step in steps if step.kind is StepKind.AGENT]
    for step in possible:
        if step.id == step_id:
            return step
    names = " or ".join(step.id for step in possible)
    raise Unclear(f"It can't begin at `{step_id[:40]}`. It can at {names}.")


def _next_branch(task: Task) -> str | None:
    """A fresh branch for a task that begins again: its old one is merged, or was dropped."""
    if task.branch is None:
        return None
    name, _, number = task.branch.removeprefix(f"bullpen/{task.ref}").rpartition("-")
    return f"bullpen/{task.ref}-{int(number) + 1 if number.isdigit() and not name else 2}"
