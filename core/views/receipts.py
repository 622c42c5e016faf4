"""What Bullpen itself ran and saw for a task."""

from __future__ import annotations

from core.model import Receipt
from core.store import rows
from core.views.reading import Db


def receipts(db: Db, task_id: int) -> tuple[Receipt, ...]:
    """All receipts of a task, newest first; at most one of them counts (`stale_why` is None)."""
    found = db.execute("SELECT * FROM receipts WHERE task_id = ? ORDER BY id DESC", (task_id,))
    return tuple(rows.receipt(row) for row in found)
