"""In which order a run's tasks go: its waves, and its longest chain.

Nothing here recurses: a chain of any length is walked level by level.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Collection, Mapping, Sequence

from core.errors import Unclear
from core.model import task_ref

Needs = Mapping[int, Collection[int]]
"""Task → the tasks that it needs. Those outside of what is planned don't count."""


def waves(tasks: Sequence[int], needs: Needs) -> tuple[tuple[int, ...], ...]:
    """Each task one wave after the deepest that it needs; inside a wave in the given order.

    Raises Unclear, naming the circle, where tasks wait for each other.
    """
    levels = _levels(tasks, needs)
    found: list[list[int]] = [[] for _ in range(max(levels.values(), default=0))]
    for task in tasks:
        found[levels[task] - 1].append(task)
    return tuple(map(tuple, found))


def longest_chain(tasks: Sequence[int], needs: Needs) -> tuple[int, ...]:
    """The longest chain of tasks that need one another, first to last: of equal ones that of
    the first in the given order."""
    levels = _levels(tasks, needs)
    if not levels:
        return ()
    at = max(tasks, key=lambda task: levels[task])
    chain = [at]
    while levels[at] > 1:
        at = min(n for n in needs.get(at, ()) if levels.get(n) == levels[at] - 1)
        chain.append(at)
    return tuple(reversed(chain))


def _levels(tasks: Sequence[int], needs: Needs) -> dict[int, int]:
    """How deep each task lies, from 1."""
    inside = set(tasks)
    waiting = {task: {n for n in needs.get(task, ()) if n in inside} for task in tasks}
    dependents: dict[int, list[int]] = defaultdict(list)
    for task, needed in waiting.items():
        for one in needed:
            dependents[one].append(task)
    open_needs = {task: len(needed) for task, needed in waiting.items()}
    levels = {task: 1 for task in tasks if not open_needs[task]}
    ready = deque(levels)
    while ready:
        one = ready.popleft()
        for task in dependents[one]:
            open_needs[task] -= 1
            if not open_needs[task]:  # its last need is its deepest: levels come in order
                levels[task] = levels[one] + 1
                ready.append(task)
    if len(levels) < len(inside):
        raise Unclear(f"These wait for each other: {_circle(waiting, levels)}")
    return levels


def _circle(waiting: Mapping[int, set[int]], levels: Mapping[int, int]) -> str:
    """`TASK-003 → TASK-005 → TASK-003`; a long one without its middle."""
    at = next(task for task in waiting if task not in levels)
    seen: dict[int, int] = {}
    while at not in seen:
        seen[at] = len(seen)
        at = min(one for one in waiting[at] if one not in levels)
    circle = [task for task, place in seen.items() if place >= seen[at]]
    names = [task_ref(task) for task in (*circle, at)]
    return " → ".join(names if len(names) <= 8 else [*names[:4], "…", *names[-3:]])
