"""The merge that a human has approved: done by the forge, bound to what was approved and seen."""

from __future__ import annotations

from dataclasses import replace

from core import checks, git
from core.checks import Command
from core.house import House
from core.killpoints import kill_point
from core.model import Change, Receipt, WorktreeState
from core.outcomes import Approved, Seen, hold, noted, nothing, routed
from core.ports import NOWHERE, Merged, MergeOrder
from core.receipts import Built, see
from core.store import receipts, rows, sessions, tasks
from core.store.database import Tx

_TRIES = 5


async def merge(house: House, task_id: int) -> bool:
    """Carry the approved change to the default branch, and route the task by the outcome.

    False when it can't be done for now: the approval waits, and stays valid."""
    approved = await _approved(house, task_id)
    if approved.task.change is None or approved.task.change.empty:
        await house.store.write(lambda tx: nothing(tx, house, task_id))
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
    found = await house.store.write(lambda tx: _begin(tx, task_id))
    if found.session is None:
        return found
    step = house.step(found.task, found.session.step)
    commands = await checks.wanted(house, found.task, step)
    if _are_others(found.receipt, commands):
        # A criterion was edited, or the repository's check is another one: what was seen says
        # nothing of these, and they run before anything is pushed.
        await house.store.write(lambda tx: receipts.make_stale(tx, task_id, receipts.OTHER_CHECKS))
        found = await house.store.write(lambda tx: _look(tx, task_id))
    return replace(found, commands=commands)


def _are_others(receipt: Receipt | None, commands: list[Command]) -> bool:
    if receipt is None or receipt.stale_at is not None:
        return False
    return commands != [Command(check.command, check.criterion) for check in receipt.checks]


def _begin(tx: Tx, task_id: int) -> Approved:
    """Until it is merged, or sent back, its worktrees are on their way into the branch."""
    for session in sessions.open_of_task(tx, task_id):
        if session.worktree_state in (WorktreeState.ACTIVE, WorktreeState.SUSPENDED):
            sessions.set_worktree(tx, session, WorktreeState.MERGING)
    return _look(tx, task_id)


def _look(tx: Tx, task_id: int) -> Approved:
    gate = tx.one(
        "SELECT * FROM gates WHERE task_id = ? AND state = 'approved' "
        "AND kind IN ('review', 'merge') ORDER BY id DESC LIMIT 1",
        (task_id,),
    )
    receipt = receipts.newest(tx, task_id)
    session = tx.one(
        "SELECT * FROM sessions WHERE task_id = ? ORDER BY id = ? DESC, created_at DESC LIMIT 1",
        (task_id, receipt.session_id if receipt else None),
    )
    return Approved(
        tasks.get(tx, task_id),
        None if gate is None else rows.gate(gate),
        receipt,
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
    return await house.store.write(lambda tx: noted(tx, house, approved, merged, seen))


async def _see(house: House, approved: Approved, merged: Merged) -> Seen:
    task, base, commit = approved.task, merged.base or "", merged.commit or ""
    change = await git.change(house.repositories.path(house.repo(task.repo)), base, commit)
    change = replace(change, apart=task.change.apart if task.change else ())
    if change.empty or approved.session is None or not approved.commands:
        return Seen(change)
    built = Built(commit, base, change)
    return Seen(change, await see(house, approved.session, task, built, approved.commands))


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
    await house.store.write(lambda tx: routed(tx, house, approved, merged, seen))
    return merged.outcome != "refused"
