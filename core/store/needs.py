"""What a task waits for: changed, checked for cycles, and told of."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from core.errors import Refused, Unclear
from core.model import ACTIVE, Event, Task, TaskState, task_ref
from core.store import rows, runs, tasks, unmet
from core.store.database import Tx
from core.store.unmet import SHOWN, listed


def of(tx: Tx, task_id: int) -> list[int]:
    """The tasks that it needs, by id."""
    return [
        row[0]
        for row in tx.all(
            "SELECT needs_id FROM dependencies WHERE task_id = ? ORDER BY needs_id", (task_id,)
        )
    ]


def what_waits_for(tx: Tx, task_id: int) -> list[Task]:
    """The tasks that need this one and have not ended, by id."""
    return [
        rows.task(row)
        for row in tx.all(
            "SELECT t.* FROM dependencies d JOIN tasks t ON t.id = d.task_id WHERE d.needs_id = ?"
            " AND t.ended_at IS NULL ORDER BY t.id",
            (task_id,),
        )
    ]


def set_needs(tx: Tx, task: Task, needed_ids: Iterable[int]) -> Task:
    """From now on it waits for these, and for no others: blocked or let go at once.

    Raises Unclear for a task that isn't there and for a cycle, which it names; Refused where
    something is added to what has begun or is part of an open run.
    """
    needed = list(dict.fromkeys(needed_ids))
    added = [needs_id for needs_id in needed if needs_id not in of(tx, task.id)]
    open_ones = [one for one in (tasks.get(tx, n) for n in added) if one.state != TaskState.DONE]
    refuse_cycle(tx, task.id, added)
    if open_ones:
        _may_wait(task)
    left = unmet.add(tx, task.id, needed)
    names = listed([task_ref(needs_id) for needs_id in needed]) if needed else "nothing"
    tx.emit(
        Event(
            "task.edited",
            f"{task.ref} waits for {names}",
            task_id=task.id,
            payload={"changed": ["after"], "after": needed},
        )
    )
    task = _settle(tx, tasks.get(tx, task.id), left)
    runs.needs_changed(tx, task)
    return tasks.get(tx, task.id)


def _may_wait(task: Task) -> None:
    if task.run_id is not None:
        raise Refused(f"{task.ref} is part of an open run: /stop {task.run_id} first.")
    under_way = task.state in ACTIVE or task.blocked_from is not None
    if under_way or (task.begun and task.state is TaskState.READY):
        raise Refused(f"{task.ref} has begun: what has begun waits for no other task.")


def _settle(tx: Tx, task: Task, left: int) -> Task:
    """Blocked while something is left that it waits for, let go with the last."""
    waits = tx.value(
        "SELECT 1 FROM task_reasons WHERE task_id = ? AND reason = 'dependency'", (task.id,)
    )
    if waits and not left:
        return tasks.lift(tx, task, "dependency")
    blockable = task.state is TaskState.BLOCKED and task.blocked_from is None
    if not waits and left and (blockable or (task.state is TaskState.READY and not task.begun)):
        return tasks.block(tx, task, "dependency")
    return task


# -- cycles --------------------------------------------------------------------------------


def refuse_cycle(tx: Tx, task_id: int, needed: Sequence[int]) -> None:
    """Raises Unclear, naming the shortest circle that these needs would close."""
    if task_id in needed:
        raise Unclear(f"{task_ref(task_id)} can't wait for itself: {_circle([task_id] * 2)}")
    reached_from = dict.fromkeys(needed, task_id)
    level = list(needed)
    while level:
        found = _edges(tx, level)
        level = []
        for source, target in found:
            if target == task_id:
                path = _back([source], reached_from, task_id)
                raise Unclear(f"That would be a circle: {_circle([*path, task_id])}")
            if target not in reached_from:
                reached_from[target] = source
                level.append(target)


def _edges(tx: Tx, level: Sequence[int]) -> list[tuple[int, int]]:
    return [
        (row[0], row[1])
        for row in tx.all(
            "SELECT task_id, needs_id FROM dependencies WHERE task_id IN"
            " (SELECT value FROM json_each(?)) ORDER BY task_id, needs_id",
            (json.dumps(level),),
        )
    ]


def _back(path: list[int], reached_from: dict[int, int], start: int) -> list[int]:
    """The way from `start` to the first of `path`."""
    while path[-1] != start:
        path.append(reached_from[path[-1]])
    return path[::-1]


def _circle(path: Sequence[int]) -> str:
    """`TASK-003 → TASK-005 → TASK-003`; a long one without its middle."""
    names = [task_ref(task_id) for task_id in path]
    if len(names) > 2 * SHOWN:
        names[SHOWN:-SHOWN] = [f"{len(names) - 2 * SHOWN} more"]
    return " → ".join(names)
