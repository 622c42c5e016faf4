"""Receipts: what Bullpen itself ran and saw at a commit. One a task counts, the newest."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from core.model import Change, Check, Event, Receipt, Severity, Task
from core.store import rows
from core.store.database import Tx

OTHER_CHANGE = "the change is another one now"
OTHER_CHECKS = "other checks are wanted now"
CHECKED_AGAIN = "the same change was checked again"


@dataclass(frozen=True, slots=True)
class NewReceipt:
    """What was seen at `commit_id`: `change` built on the default branch's commit `base`.
    `duration_ms`: of the checkout and all checks."""

    commit_id: str
    base: str
    change: Change
    checks: Sequence[Check]
    duration_ms: int


def valid(tx: Tx, task_id: int) -> Receipt | None:
    """The one that counts; None when there is none, or the change is another one now."""
    row = tx.one("SELECT * FROM receipts WHERE task_id = ? AND stale_at IS NULL", (task_id,))
    return None if row is None else rows.receipt(row)


def newest(tx: Tx, task_id: int) -> Receipt | None:
    """The last one that was made, also one that counts no more."""
    row = tx.one("SELECT * FROM receipts WHERE task_id = ? ORDER BY id DESC LIMIT 1", (task_id,))
    return None if row is None else rows.receipt(row)


def store(tx: Tx, task: Task, session_id: str, new: NewReceipt) -> Receipt:
    """Keep it; what counted before counts no more."""
    before = valid(tx, task.id)
    if before is not None:
        same = before.patch_id == new.change.patch_id
        make_stale(tx, task.id, CHECKED_AGAIN if same else OTHER_CHANGE)
    passed = all(check.passed for check in new.checks)
    receipt_id = tx.insert(
        "receipts",
        task_id=task.id,
        session_id=session_id,
        commit_id=new.commit_id,
        base=new.base,
        patch_id=new.change.patch_id,
        result="passed" if passed else "failed",
        checks=msgspec.json.encode(tuple(new.checks)).decode(),
        passed=_sum(check.tests_passed for check in new.checks),
        failed=_sum(check.tests_failed for check in new.checks),
        skipped=_sum(check.tests_skipped for check in new.checks),
        files=len(new.change.files),
        added=sum(file.added for file in new.change.files),
        removed=sum(file.removed for file in new.change.files),
        duration_ms=new.duration_ms,
        tokens=task.tokens,
        cost_usd=task.cost_usd,
        created_at=tx.now,
    )
    receipt = newest(tx, task.id)
    if receipt is None or receipt.id != receipt_id:
        raise LookupError(f"receipt {receipt_id}")
    _tell(tx, task, receipt)
    return receipt


def make_stale(tx: Tx, task_id: int, why: str) -> None:
    """What counted counts no more; without one nothing happens."""
    receipt = valid(tx, task_id)
    if receipt is None:
        return
    tx.update("receipts", {"id": receipt.id}, stale_at=tx.now, stale_why=why)
    tx.emit(
        Event(
            "receipt.stale",
            f"The receipt at {receipt.commit_id[:7]} counts no more: {why}",
            Severity.DEBUG,
            task_id=task_id,
            session_id=receipt.session_id,
            payload={"receipt": receipt.id, "commit": receipt.commit_id, "why": why},
        )
    )


def _sum(counts: Iterable[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


def _tell(tx: Tx, task: Task, receipt: Receipt) -> None:
    failed = [check.command for check in receipt.checks if not check.passed]
    words = ", ".join(f"`{command}`" for command in failed[:3])
    verdict = f"{words} failed" if failed else "all checks passed"
    tx.emit(
        Event(
            "receipt.made",
            f"{task.ref} at {receipt.commit_id[:7]}: {verdict}",
            task_id=task.id,
            session_id=receipt.session_id,
            payload={
                "receipt": receipt.id,
                "commit": receipt.commit_id,
                "result": receipt.result,
                "passed": receipt.passed,
                "failed": receipt.failed,
                "skipped": receipt.skipped,
                "duration_ms": receipt.duration_ms,
            },
        )
    )
