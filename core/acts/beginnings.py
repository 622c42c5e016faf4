"""How people let a task begin again."""

from __future__ import annotations

from core import lifecycle, queue
from core.acts.standing import situation
from core.house import House
from core.lifecycle import Act
from core.model import Event, StepKind, Task, TaskState
from core.store import tasks
from core.store.database import Tx


def retry(tx: Tx, house: House, task: Task, hint: str) -> Task:
    """A failed task goes back to ready, with a hint for the agent: at its step, or from a gate,
    check or merge at the agent's step before it, since only those are claimed."""
    move = lifecycle.decide(situation(tx, house, task), Act.RETRY, task.id)
    task = tasks.move(
        tx,
        task,
        move.task or TaskState.READY,
        step=_agent_step(tx, house, task),
        attempts=0,
        not_before=None,
        failure=None,
        hold=None,
        hint=hint or None,
    )
    queue.settled(tx, task)
    tx.emit(Event("task.ready", f"{task.ref} will be tried again", task_id=task.id))
    return _blocked_still(tx, task)


def _agent_step(tx: Tx, house: House, task: Task) -> str:
    """The step to begin again at: its own, or the newest session's."""
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


def reopen(tx: Tx, house: House, task: Task) -> Task:
    """A done or cancelled task begins again at its first step."""
    move = lifecycle.decide(situation(tx, house, task), Act.REOPEN, task.id)
    first = house.workflow(task.workflow).steps[0]
    task = tasks.move(
        tx,
        task,
        move.task or TaskState.READY,
        step=first.id,
        attempts=0,
        hold=None,
        assignee=None,
        assigned_step=None,
        branch=_next_branch(task),
        base_commit=None,
        head_commit=None,
        change=None,
        merge_commit=None,
    )
    tx.emit(Event("task.reopened", f"{task.ref} is open again", task_id=task.id))
    return _blocked_still(tx, task)


def _next_branch(task: Task) -> str | None:
    """A fresh branch for a task that begins again: its old one is merged, or was dropped."""
    if task.branch is None:
        return None
    name, _, number = task.branch.removeprefix(f"bullpen/{task.ref}").rpartition("-")
    return f"bullpen/{task.ref}-{int(number) + 1 if number.isdigit() and not name else 2}"
