"""The merge that a human has approved: done by the forge, bound to what was approved."""

from __future__ import annotations

from dataclasses import replace

import msgspec

from core import git
from core.house import House
from core.killpoints import kill_point
from core.model import Change, Event, Gate, Severity, Task, TaskState
from core.ports import Merged, MergeOrder
from core.store import rows, tasks
from core.store.database import Tx
from core.workflow import Onward, enter, follow


async def merge(house: House, task_id: int) -> bool:
    """Carry the approved change to the default branch, and route the task by the outcome.

    False when the forge refused for now: the approval waits, and stays valid."""
    task, gate = await house.store.write(lambda tx: _approved(tx, task_id))
    if task.change is None or task.change.empty:
        await house.store.write(lambda tx: _nothing(tx, house, task_id))
        return True
    repo = house.repo(task.repo)
    who = (gate.answered_name or gate.answered_by or "Bullpen") if gate else "Bullpen"
    merged = await house.forges[repo.forge].merge(
        MergeOrder(
            repo=repo,
            git_dir=house.repositories.path(repo),
            head=task.head_commit or task.change.head,
            patch_id=(gate.patch_id if gate else None) or task.change.patch_id,
            message=f"Merge {task.ref}: {task.title}",
            author=f"{_plain(who)} <approver@bullpen.invalid>",
        )
    )
    kill_point("after-merge")
    change = None
    if merged.outcome == "merge.conflict":
        merged = replace(merged, commit=await house.repositories.sync(repo))
    if merged.outcome == "stale" and merged.base and merged.commit:
        # What is shown and approved next is what would be merged, not what the branch held by
        # itself; what is merged then is the branch again.
        change = await git.change(house.repositories.path(repo), merged.base, merged.commit)
    await house.store.write(lambda tx: _routed(tx, house, task_id, merged, change))
    return merged.outcome != "refused"


def _approved(tx: Tx, task_id: int) -> tuple[Task, Gate | None]:
    row = tx.one(
        "SELECT * FROM gates WHERE task_id = ? AND state = 'approved' "
        "AND kind IN ('review', 'merge') ORDER BY id DESC LIMIT 1",
        (task_id,),
    )
    return tasks.get(tx, task_id), None if row is None else rows.gate(row)


def _plain(name: str) -> str:
    return "".join(c for c in name if c.isprintable() and c not in "<>\"'").strip() or "Bullpen"


def _nothing(tx: Tx, house: House, task_id: int) -> None:
    task = tasks.get(tx, task_id)
    if task.state is TaskState.REVIEW:
        follow(tx, house, task, "pr.merged")


def _routed(tx: Tx, house: House, task_id: int, merged: Merged, change: Change | None) -> None:
    task = tasks.get(tx, task_id)
    if task.state not in (TaskState.REVIEW, TaskState.IN_FLIGHT):
        _too_late(tx, task, merged)
    elif merged.outcome == "pr.merged":
        tx.run(
            "UPDATE tasks SET merge_commit = ?, hold = NULL WHERE id = ?", (merged.commit, task_id)
        )
        tx.emit(
            Event(
                "pr.merged", f"{task.ref} is merged as {(merged.commit or '')[:7]}", task_id=task_id
            )
        )
        follow(tx, house, tasks.get(tx, task_id), "pr.merged")
    elif merged.outcome == "merge.conflict":
        _conflict(tx, house, task, merged)
    elif merged.outcome == "stale" and change is not None:
        _stale(tx, house, task, change)
    else:
        hold(tx, task, merged.detail)


def _too_late(tx: Tx, task: Task, merged: Merged) -> None:
    if merged.outcome == "pr.merged":
        tx.run("UPDATE tasks SET merge_commit = ? WHERE id = ?", (merged.commit, task.id))
        tx.emit(
            Event(
                "pr.merged",
                f"{task.ref} was merged just before it was {task.state.value}",
                Severity.WARNING,
                task_id=task.id,
            )
        )


def _conflict(tx: Tx, house: House, task: Task, merged: Merged) -> None:
    files = ", ".join(merged.files) or "some files"
    tx.emit(
        Event(
            "merge.conflict",
            f"{task.ref} conflicts with the main branch in {files}",
            Severity.WARNING,
            task_id=task.id,
        )
    )
    prompt = house.prompts.again(
        "Bullpen",
        "The main branch has moved, and your change conflicts with it. Merge the "
        f"commit {merged.commit or 'of the main branch'} into your branch and resolve it.",
        list(merged.files),
    )
    follow(tx, house, task, "merge.conflict", Onward(prompt=prompt, cause="conflict"))


def _stale(tx: Tx, house: House, task: Task, change: Change) -> None:
    """What would be merged is no longer what was approved: a new gate shows it."""
    tx.run(
        "UPDATE tasks SET change = ?, hold = NULL WHERE id = ?",
        (msgspec.json.encode(change).decode(), task.id),
    )
    workflow = house.workflow(task.workflow)
    gate = next(step for step in workflow.steps if step.outcomes.get("approved") == task.step)
    enter(
        tx,
        house,
        tasks.get(tx, task.id),
        gate.id,
        Onward(
            summary="The main branch has moved, and the change is no longer the one you approved."
        ),
    )


def hold(tx: Tx, task: Task, why: str) -> None:
    """The approval waits and stays valid."""
    words = f"{task.ref} is approved, but can't be merged yet: {why}"
    tasks.hold(tx, task, why, words, "forge.failed")
