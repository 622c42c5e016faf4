"""The order of the claim among what is ready, and room between two places in it."""

from __future__ import annotations

from core.model import Task

Key = tuple[int, bool, bool, int, int]

STEP = 1024
"""What lies between two tasks that nobody has moved."""


def key(task: Task) -> Key:
    """Sorts tasks as they are claimed: priority, already begun, queue position, age. Total:
    no two tasks have the same."""
    placed = task.position is not None
    return (-task.priority, not task.begun, not placed, task.position or 0, task.id)


def between(low: int | None, high: int | None) -> int | None:
    """A position behind `low` and before `high` (None: nothing is on that side). None where
    there is no room."""
    if low is None or high is None:
        return STEP if low is high else low + STEP if low is not None else (high or 0) - STEP
    middle = (low + high) // 2
    return middle if low < middle < high else None
