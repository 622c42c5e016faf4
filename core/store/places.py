"""Places in the queue: every task has a position, compared among those of the same priority
that have, or have not, begun.

A new task's is its number times 1024, so it comes behind all that were there before it.
"""

from __future__ import annotations

from core.errors import Refused
from core.lifecycle import words
from core.model import Event, Task, TaskState
from core.planning.order import STEP, between
from core.store import tasks
from core.store.database import Tx

WHERE = ("top", "up", "down", "bottom", "before", "after")
MOVABLE = (TaskState.INBOX, TaskState.READY, TaskState.BLOCKED)

_BEHIND = 16
"""From the last place to the bottom: little, so that the next new task still comes after it."""
# What is ready and stands in the same row; by its index each look costs the same, however
# many wait.
_ROW = (
    "FROM tasks INDEXED BY tasks_ready WHERE state = 'ready' AND priority = ? AND begun = ?"
    " AND (position IS NULL) = 0"
)
_AHEAD = f"{_ROW} AND position <= ? AND (position < ? OR id < ?) AND id <> ?"
_BEHIND_IT = f"{_ROW} AND position >= ? AND (position > ? OR id > ?) AND id <> ?"

Spot = tuple[int, int]
"""A position, and the id that decides between equals."""


def move(tx: Tx, task: Task, where: str, other: Task | None = None) -> bool:
    """To the top or the bottom, one up or down, or before or after another one. False where it
    stands there already; Refused for what can't be compared with it."""
    _may_move(task)
    if other is not None:
        _may_stand_beside(task, other)
    for _ in range(2):
        sides = _sides(tx, task, where, other)
        if sides is None:
            return False
        spot = _bottom(tx, sides[0]) if sides[1] is None else between(*sides)
        if spot is not None:
            put(tx, task, spot)
            _tell(tx, task, where, other)
            return True
        _spread(tx, task)
        task, other = tasks.get(tx, task.id), other and tasks.get(tx, other.id)
    raise Refused(f"There is no room there for {task.ref}: /move {task.id} top")


def put(tx: Tx, task: Task, position: int) -> None:
    tx.update("tasks", {"id": task.id}, position=position, updated_at=tx.now)


def last(tx: Tx, task: Task) -> int:
    """The position at the end of its row."""
    return _bottom(tx, _end_of(tx, task, "DESC"))


def forget(tx: Tx) -> int:
    """Those of ended tasks are forgotten; returns how many there were."""
    return tx.run(
        "UPDATE tasks SET position = NULL WHERE ended_at IS NOT NULL AND position IS NOT NULL"
    )


def _may_move(task: Task) -> None:
    if task.state not in MOVABLE or task.blocked_from is not None:
        raise Refused(f"{task.ref} is {words(task.state)}: only what waits has a place to move.")


def _may_stand_beside(task: Task, other: Task) -> None:
    if task.id == other.id:
        raise Refused(f"{task.ref} can't be moved beside itself: /move {task.id} top")
    _may_move(other)
    if task.priority != other.priority:
        name = other.priority.name.lower()
        raise Refused(
            f"{other.ref} is {name} and {task.ref} is {task.priority.name.lower()}: "
            f"/priority {task.id} {name} first."
        )
    if task.begun != other.begun:
        begun = task if task.begun else other
        raise Refused(f"{begun.ref} has begun and goes before what has not.")


def _sides(
    tx: Tx, task: Task, where: str, other: Task | None
) -> tuple[int | None, int | None] | None:
    """The positions between which it is to stand; None where it stands there already."""
    if other is not None:
        beside = _spot(other)
        if where == "before":
            return _at(_ahead(tx, task, beside)), beside[0]
        return beside[0], _at(_behind(tx, task, beside))
    forward = where in ("top", "up")
    near = _ahead(tx, task, _spot(task)) if forward else _behind(tx, task, _spot(task))
    if near is None:
        return None
    if where == "top":
        return None, _end_of(tx, task, "ASC")
    if where == "bottom":
        return _end_of(tx, task, "DESC"), None
    if forward:
        return _at(_ahead(tx, task, near)), near[0]
    return near[0], _at(_behind(tx, task, near))


def _spot(task: Task) -> Spot:
    return (task.id * STEP if task.position is None else task.position, task.id)


def _at(spot: Spot | None) -> int | None:
    return None if spot is None else spot[0]


def _ahead(tx: Tx, task: Task, spot: Spot) -> Spot | None:
    return _next(tx, f"{_AHEAD} ORDER BY position DESC, id DESC", task, spot)


def _behind(tx: Tx, task: Task, spot: Spot) -> Spot | None:
    return _next(tx, f"{_BEHIND_IT} ORDER BY position, id", task, spot)


def _next(tx: Tx, source: str, task: Task, spot: Spot) -> Spot | None:
    params = (int(task.priority), int(task.begun), spot[0], *spot, task.id)
    row = tx.one(f"SELECT position, id {source} LIMIT 1", params)
    return None if row is None else (row[0], row[1])


def _end_of(tx: Tx, task: Task, direction: str) -> int | None:
    """The first or the last position among the others of its row."""
    found: int | None = tx.value(
        f"SELECT position {_ROW} AND id <> ? ORDER BY position {direction} LIMIT 1",
        (int(task.priority), int(task.begun), task.id),
    )
    return found


def _bottom(tx: Tx, low: int | None) -> int:
    """Behind `low`, and behind whatever was added so far."""
    newest = int(tx.value("SELECT max(id) FROM tasks") or 0) * STEP
    return max(newest, newest if low is None else low) + _BEHIND


def _spread(tx: Tx, task: Task) -> None:
    """Room between all of its row again; happens once in a thousand moves to one spot."""
    found = tx.all(
        f"SELECT id {_ROW} ORDER BY position, id",
        (int(task.priority), int(task.begun)),
    )
    for number, row in enumerate(found, 1):
        tx.run("UPDATE tasks SET position = ? WHERE id = ?", (number * STEP, row[0]))


def _tell(tx: Tx, task: Task, where: str, other: Task | None) -> None:
    beside = f" {other.ref}" if other else ""
    tx.emit(
        Event(
            "task.edited",
            f"{task.ref} moved {where}{beside}",
            task_id=task.id,
            payload={"changed": ["position"]},
        )
    )
