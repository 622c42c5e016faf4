"""How many of the tasks that it needs are not done: kept for every task, not counted.

Each costs what there is of dependents, and one statement whatever their number.
"""

from __future__ import annotations

from collections.abc import Sequence

from core.model import task_ref
from core.store.database import Tx

SHOWN = 5
"""How many tasks a sentence names before it counts the rest."""


def add(tx: Tx, task_id: int, needed: list[int]) -> int:
    """Note what it needs from now on, in place of what it needed; returns how many of those
    are not done."""
    tx.run("DELETE FROM dependencies WHERE task_id = ?", (task_id,))
    for needs_id in needed:
        tx.insert("dependencies", task_id=task_id, needs_id=needs_id)
    tx.run(
        "UPDATE tasks SET unmet = (SELECT count(*) FROM dependencies d JOIN tasks n"
        " ON n.id = d.needs_id WHERE d.task_id = tasks.id AND n.state <> 'done') WHERE id = ?",
        (task_id,),
    )
    return int(tx.value("SELECT unmet FROM tasks WHERE id = ?", (task_id,)))


def met(tx: Tx, task_id: int) -> list[int]:
    """This task is done: returns what was blocked by it alone."""
    tx.run(
        "UPDATE tasks SET unmet = unmet - 1"
        " WHERE id IN (SELECT task_id FROM dependencies WHERE needs_id = ?)",
        (task_id,),
    )
    return _ids(
        tx,
        "SELECT d.task_id FROM dependencies d JOIN tasks t ON t.id = d.task_id JOIN task_reasons r"
        " ON r.task_id = t.id AND r.reason = 'dependency' WHERE d.needs_id = ? AND t.unmet = 0"
        " AND t.state = 'blocked'",
        task_id,
    )


def wanted_again(tx: Tx, task_id: int) -> list[int]:
    """This task is not done any more: returns what has not begun and must wait for it again."""
    tx.run(
        "UPDATE tasks SET unmet = unmet + 1"
        " WHERE id IN (SELECT task_id FROM dependencies WHERE needs_id = ?)",
        (task_id,),
    )
    return _ids(
        tx,
        "SELECT t.id FROM dependencies d JOIN tasks t ON t.id = d.task_id WHERE d.needs_id = ?"
        " AND t.begun = 0 AND t.state IN ('ready', 'blocked') AND NOT EXISTS (SELECT 1"
        " FROM task_reasons WHERE task_id = t.id AND reason = 'dependency')",
        task_id,
    )


def forget(tx: Tx, task_id: int) -> None:
    """This task is about to be deleted: nothing waits for it any more."""
    if tx.value("SELECT state FROM tasks WHERE id = ?", (task_id,)) != "done":
        tx.run(
            "UPDATE tasks SET unmet = unmet - 1"
            " WHERE id IN (SELECT task_id FROM dependencies WHERE needs_id = ?)",
            (task_id,),
        )
    tx.run("DELETE FROM dependencies WHERE needs_id = ? OR task_id = ?", (task_id, task_id))


def waiting_words(tx: Tx, task_id: int) -> str:
    """`TASK-005 and TASK-006 wait for it`; empty where nothing does."""
    waiting = _ids(
        tx,
        "SELECT t.id FROM dependencies d JOIN tasks t ON t.id = d.task_id WHERE d.needs_id = ?"
        " AND t.ended_at IS NULL",
        task_id,
    )
    verb = "waits" if len(waiting) == 1 else "wait"
    return f"{listed([task_ref(one) for one in waiting])} {verb} for it" if waiting else ""


def listed(words: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and 7 more`."""
    shown = list(words[:SHOWN])
    if len(words) > SHOWN:
        shown.append(f"{len(words) - SHOWN} more")
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def _ids(tx: Tx, sql: str, task_id: int) -> list[int]:
    return [row[0] for row in tx.all(f"{sql} ORDER BY 1", (task_id,))]
