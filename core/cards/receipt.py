"""What Bullpen itself saw of a change, on the card that asks for a decision."""

from __future__ import annotations

import json

import msgspec

from core.cards.words import counted, duration, path
from core.model import Check, Gate, Receipt, Task
from core.store import receipts
from core.store.database import Tx

_LINES = 3
_BEFORE = """
SELECT checks FROM (SELECT * FROM receipts WHERE id < ? ORDER BY id DESC LIMIT 200) AS recent
JOIN tasks ON tasks.id = task_id
WHERE tasks.id <> ? AND tasks.repo IS ? AND tasks.merge_commit IS NOT NULL AND stale_at IS NULL
ORDER BY recent.id DESC LIMIT 5
"""


def receipt_lines(tx: Tx, gate: Gate, task: Task) -> list[str]:
    """The receipt of what the gate is bound to, and what was checked without one."""
    receipt = receipts.valid(tx, task.id)
    if receipt is None or receipt.patch_id != gate.patch_id:
        return [_others(tx, task, ())]
    lines = [_line(check, _before(tx, receipt, task, check)) for check in receipt.checks[:_LINES]]
    more = len(receipt.checks) - _LINES
    return [
        f"🔎 Receipt at {receipt.commit_id[:7]}: {lines[0]}",
        *(f"· {line}" for line in lines[1:]),
        f"· and {counted(more, 'more check')}" if more > 0 else "",
        _others(tx, task, receipt.checks),
    ]


def _line(check: Check, before: int | None) -> str:
    """`pytest tests/import → 41 passed (was 40) · 5 s`"""
    was = f" (was {before})" if before not in (None, check.tests_passed) else ""
    took = duration(check.duration_ms) if check.duration_ms >= 1000 else "under 1 s"
    return f"{path(check.command)} → {'' if check.passed else '✗ '}{_result(check, was)} · {took}"


def _result(check: Check, was: str) -> str:
    if check.tests_passed is None and check.tests_failed is None:
        return "passed" if check.passed else "failed"
    words = [f"{check.tests_failed} failed"] if check.tests_failed else []
    words += [f"{check.tests_passed} passed{was}"] if check.tests_passed is not None else []
    return ", ".join(words + ([f"{check.tests_skipped} skipped"] if check.tests_skipped else []))


def _before(tx: Tx, receipt: Receipt, task: Task, check: Check) -> int | None:
    """How many tests of that command passed with what was merged into the repository last."""
    if check.tests_passed is None:
        return None
    for row in tx.all(_BEFORE, (receipt.id, task.id, task.repo)):
        for earlier in msgspec.json.decode(row["checks"], type=tuple[Check, ...]):
            if earlier.command == check.command and earlier.tests_passed is not None:
                return earlier.tests_passed
    return None


def _others(tx: Tx, task: Task, shown: tuple[Check, ...]) -> str:
    """What the newest judgement looked at beside the receipt's commands."""
    row = tx.one(
        "SELECT findings FROM qa_results JOIN sessions ON sessions.id = session_id "
        "WHERE task_id = ? ORDER BY qa_results.id DESC LIMIT 1",
        (task.id,),
    )
    known = {check.command for check in shown}
    found = [
        f"{'✓' if one['passed'] else '✗'} {path(one['command'])}"
        for one in (json.loads(row["findings"]) if row else ())
        if one["command"] not in known
    ]
    return f"Checks: {' · '.join(found)}" if found else ""
