"""The merge that a human has approved: done by the forge, bound to what was approved and seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import msgspec

from core import checks, git
from core.checks import Command
from core.house import House
from core.killpoints import kill_point
from core.model import Change, Check, Event, Gate, Receipt, Session, Severity, Task, TaskState
from core.ports import NOWHERE, Merged, MergeOrder
from core.receipts import Built, see
from core.store import receipts, rows, tasks
from core.store.database import Tx
from core.store.receipts import NewReceipt
from core.workflow import Onward, enter, follow

_TRIES = 5


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


async def merge(house: House, task_id: int) -> bool:
    """Carry the approved change to the default branch, and route the task by the outcome.

    False when it can't be done for now: the approval waits, and stays valid."""
    approved = await _approved(house, task_id)
    if approved.task.change is None or approved.task.change.empty:
        await house.store.write(lambda tx: _nothing(tx, house, task_id))
        return True
    order = _order(house, approved, approved.task.change)
    for _ in range(_TRIES):
        merged = await house.forges[order.repo.forge].merge(order)
        kill_point("after-merge")
        if merged.outcome != "moved":
            return await _end(house, approved, merged)
        if not await _seen_again(house, approved, merged):
            return True
        order = replace(order, onto=merged.base)
    why = "the main branch moved on with every try"
    await house.store.write(lambda tx: hold(tx, tasks.get(tx, task_id), why))
    return False


async def _approved(house: House, task_id: int) -> Approved:
    found = await house.store.write(lambda tx: _look(tx, task_id))
    if found.receipt is not None and found.receipt.stale_at is None:
        ran = [Command(check.command, check.criterion) for check in found.receipt.checks]
        return replace(found, commands=ran)
    if found.session is None:
        return found
    step = house.step(found.task, found.session.step)
    return replace(found, commands=await checks.wanted(house, found.task, step))


def _look(tx: Tx, task_id: int) -> Approved:
    gate = tx.one(
        "SELECT * FROM gates WHERE task_id = ? AND state = 'approved' "
        "AND kind IN ('review', 'merge') ORDER BY id DESC LIMIT 1",
        (task_id,),
    )
    session = tx.one(
        "SELECT * FROM sessions WHERE task_id = ? ORDER BY created_at DESC LIMIT 1", (task_id,)
    )
    return Approved(
        tasks.get(tx, task_id),
        None if gate is None else rows.gate(gate),
        receipts.newest(tx, task_id),
        None if session is None else rows.session(session),
    )


def _order(house: House, approved: Approved, change: Change) -> MergeOrder:
    task, gate = approved.task, approved.gate
    repo = house.repo(task.repo)
    who = (gate.answered_name or gate.answered_by or "Bullpen") if gate else "Bullpen"
    return MergeOrder(
        repo=repo,
        git_dir=house.repositories.path(repo),
        head=task.head_commit or change.head,
        patch_id=(gate.patch_id if gate else None) or change.patch_id,
        message=f"Merge {task.ref}: {task.title}",
        author=f"{_plain(who)} <approver@bullpen.invalid>",
        onto=_onto(approved, change),
        at=gate.answered_at if gate else None,
    )


def _onto(approved: Approved, change: Change) -> str | None:
    """The commit on which the checks have passed; anywhere, where there is nothing to run."""
    receipt = approved.receipt
    if not approved.commands:
        return None
    if receipt is None or receipt.stale_at is not None or receipt.result != "passed":
        return NOWHERE
    return receipt.base if receipt.patch_id == change.patch_id else NOWHERE


def _plain(name: str) -> str:
    return "".join(c for c in name if c.isprintable() and c not in "<>\"'").strip() or "Bullpen"


# -- what would be merged, seen before it is -----------------------------------------------


async def _seen_again(house: House, approved: Approved, merged: Merged) -> bool:
    """The same change on the branch as it stands now: checked again, the approval stays. False
    when that has sent the task elsewhere, or it is not to be merged any more."""
    seen = await _see(house, approved, merged)
    return await house.store.write(lambda tx: _noted(tx, house, approved, merged, seen))


async def _see(house: House, approved: Approved, merged: Merged) -> Seen:
    task, base, commit = approved.task, merged.base or "", merged.commit or ""
    change = await git.change(house.repositories.path(house.repo(task.repo)), base, commit)
    if change.empty or approved.session is None or not approved.commands:
        return Seen(change)
    built = Built(commit, base, change)
    return Seen(change, await see(house, approved.session, task, built, approved.commands))


def _noted(tx: Tx, house: House, approved: Approved, merged: Merged, seen: Seen) -> bool:
    task = tasks.get(tx, approved.task.id)
    if task.state is not approved.task.state or task.step != approved.task.step:
        return False
    _store(tx, task, approved, seen)
    if seen.failed:
        _apart(tx, house, task, merged, seen.failed)
    return not seen.failed


def _store(tx: Tx, task: Task, approved: Approved, seen: Seen) -> None:
    if seen.receipt is not None and approved.session is not None:
        receipts.store(tx, task, approved.session.id, seen.receipt)


def _apart(tx: Tx, house: House, task: Task, merged: Merged, failed: Sequence[Check]) -> None:
    """No line conflicts, and yet the two don't go together: the agent mends it."""
    words = "; ".join(f"`{check.command}` failed" for check in failed)
    tx.emit(
        Event(
            "merge.conflict",
            f"{task.ref} doesn't go together with the main branch, which has moved: {words}",
            Severity.WARNING,
            task_id=task.id,
        )
    )
    prompt = house.prompts.again(
        "Bullpen",
        "The main branch has moved. Your change merges with it without a conflict, but together "
        f"the checks fail. Merge the commit {merged.base} into your branch and mend it.",
        [f"{check.command}\n{check.said}" for check in failed],
    )
    follow(tx, house, task, "merge.conflict", Onward(prompt=prompt, cause="conflict"))


# -- the end -------------------------------------------------------------------------------


async def _end(house: House, approved: Approved, merged: Merged) -> bool:
    seen = None
    if merged.outcome == "merge.conflict":
        repo = house.repo(approved.task.repo)
        merged = replace(merged, commit=await house.repositories.sync(repo))
    if merged.outcome == "stale" and merged.base and merged.commit:
        # What is shown and approved next is what would be merged, not what the branch held by
        # itself; what is merged then is the branch again.
        seen = await _see(house, approved, merged)
    await house.store.write(lambda tx: _routed(tx, house, approved, merged, seen))
    return merged.outcome != "refused"


def _nothing(tx: Tx, house: House, task_id: int) -> None:
    task = tasks.get(tx, task_id)
    if task.state is TaskState.REVIEW:
        follow(tx, house, task, "pr.merged")


def _routed(tx: Tx, house: House, approved: Approved, merged: Merged, seen: Seen | None) -> None:
    task = tasks.get(tx, approved.task.id)
    if task.state not in (TaskState.REVIEW, TaskState.IN_FLIGHT):
        _too_late(tx, task, merged)
    elif merged.outcome == "pr.merged":
        tx.run(
            "UPDATE tasks SET merge_commit = ?, hold = NULL WHERE id = ?", (merged.commit, task.id)
        )
        tx.emit(
            Event(
                "pr.merged", f"{task.ref} is merged as {(merged.commit or '')[:7]}", task_id=task.id
            )
        )
        follow(tx, house, tasks.get(tx, task.id), "pr.merged")
    elif merged.outcome == "merge.conflict":
        _conflict(tx, house, task, merged)
    elif merged.outcome == "stale" and seen is not None:
        _stale(tx, house, task, approved, merged, seen)
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


def hold(tx: Tx, task: Task, why: str) -> None:
    """The approval waits and stays valid."""
    words = f"{task.ref} is approved, but can't be merged yet: {why}"
    tasks.hold(tx, task, why, words, "forge.failed")
