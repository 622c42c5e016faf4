"""What follows from a forge's answer: rows and events, and where the task goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from core.checks import Command
from core.house import House
from core.model import Change, Check, Event, Gate, Receipt, Session, Severity, Task, TaskState
from core.ports import Merged
from core.store import receipts, tasks
from core.store.database import Tx
from core.store.receipts import NewReceipt
from core.workflow import Onward, enter, follow


@dataclass(frozen=True, slots=True)
class Approved:
    """A task that is to be merged: who approved it, what was seen, and whose sandbox it is."""

    task: Task
    gate: Gate | None
    receipt: Receipt | None
    session: Session | None
    commands: Sequence[Command] = ()


@dataclass(frozen=True, slots=True)
class Seen:
    """What would be merged, and what Bullpen saw of it (None: there is nothing to run)."""

    change: Change
    receipt: NewReceipt | None = None

    @property
    def failed(self) -> list[Check]:
        return [check for check in self.receipt.checks if not check.passed] if self.receipt else []


def nothing(tx: Tx, house: House, task_id: int) -> None:
    """An approved change without a file: the task goes on as if it were merged."""
    task = tasks.get(tx, task_id)
    if task.state is TaskState.REVIEW:
        follow(tx, house, task, "pr.merged")


def noted(tx: Tx, house: House, approved: Approved, merged: Merged, seen: Seen) -> bool:
    """The same change was checked on the branch as it is now. Whether it may be merged."""
    task = tasks.get(tx, approved.task.id)
    if _is_elsewhere(task, approved):
        return False
    _store(tx, task, approved, seen)
    if seen.failed:
        _apart(tx, house, task, merged, seen.failed)
    return not seen.failed


def routed(tx: Tx, house: House, approved: Approved, merged: Merged, seen: Seen | None) -> None:
    """Merged, in conflict, another change by now, or refused: what follows."""
    task = tasks.get(tx, approved.task.id)
    if _is_elsewhere(task, approved):
        _too_late(tx, task, merged)
    elif merged.outcome == "pr.merged":
        _merged(tx, task, merged, f"{task.ref} is merged as {(merged.commit or '')[:7]}")
        follow(tx, house, tasks.get(tx, task.id), "pr.merged")
    elif merged.outcome == "merge.conflict":
        _conflict(tx, house, task, merged)
    elif merged.outcome == "stale" and seen is not None:
        _stale(tx, house, task, approved, merged, seen)
    else:
        hold(tx, task, merged.detail)


def _is_elsewhere(task: Task, approved: Approved) -> bool:
    """Somebody ended it, or sent it elsewhere, while it was being checked or merged."""
    return (task.state, task.step) != (approved.task.state, approved.task.step)


def _too_late(tx: Tx, task: Task, merged: Merged) -> None:
    if merged.outcome == "pr.merged":
        words = f"{task.ref} was merged just before it was {task.state.value}"
        _merged(tx, task, merged, words, Severity.WARNING)


def _merged(
    tx: Tx, task: Task, merged: Merged, words: str, severity: Severity = Severity.INFO
) -> None:
    """Noted and told, once."""
    tx.run("UPDATE tasks SET merge_commit = ?, hold = NULL WHERE id = ?", (merged.commit, task.id))
    if task.merge_commit != merged.commit:
        tx.emit(Event("pr.merged", words, severity, task_id=task.id))


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


def _stale(
    tx: Tx, house: House, task: Task, approved: Approved, merged: Merged, seen: Seen
) -> None:
    """What would be merged is no longer what was approved: a new gate shows it, unless it fails."""
    tx.run(
        "UPDATE tasks SET change = ?, hold = NULL WHERE id = ?",
        (msgspec.json.encode(seen.change).decode(), task.id),
    )
    receipts.make_stale(tx, task.id, receipts.OTHER_CHANGE)
    _store(tx, task, approved, seen)
    task = tasks.get(tx, task.id)
    if seen.failed:
        _apart(tx, house, task, merged, seen.failed)
        return
    workflow = house.workflow(task.workflow)
    gate = next(step for step in workflow.steps if step.outcomes.get("approved") == task.step)
    words = "The main branch has moved, and the change is no longer the one you approved."
    enter(tx, house, task, gate.id, Onward(summary=words))


def _apart(tx: Tx, house: House, task: Task, merged: Merged, failed: Sequence[Check]) -> None:
    """No line conflicts, and yet the two don't go together, or a check that is wanted by now
    fails on the change itself: the agent mends it."""
    words = "; ".join(f"`{check.command}` failed" for check in failed)
    change = task.change
    moved = merged.base is not None and (change is None or merged.base != change.base)
    if moved:
        told = f"doesn't go together with the main branch, which has moved: {words}"
        asked = (
            "The main branch has moved. Your change merges with it without a conflict, but "
            f"together the checks fail. Merge the commit {merged.base} into your branch and "
            "mend it."
        )
    else:
        told = f"is not merged, what is wanted of it by now fails: {words}"
        asked = "What is wanted of your change by now fails. Mend it."
    tx.emit(
        Event(
            "merge.conflict",
            f"{task.ref} {told}",
            Severity.WARNING,
            task_id=task.id,
        )
    )
    prompt = house.prompts.again(
        "Bullpen",
        asked,
        [f"{check.command}\n{check.said}" for check in failed],
    )
    follow(tx, house, task, "merge.conflict", Onward(prompt=prompt, cause="conflict"))


def _store(tx: Tx, task: Task, approved: Approved, seen: Seen) -> None:
    if seen.receipt is not None and approved.session is not None:
        receipts.store(tx, task, approved.session.id, seen.receipt)


def hold(tx: Tx, task: Task, why: str) -> None:
    """The approval waits and stays valid."""
    words = f"{task.ref} is approved, but can't be merged yet: {why}"
    tasks.hold(tx, task, why, words, "forge.failed")
