"""Which files tasks change: what they were seen to, and what those of a lane tend to."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping

from core.model import Task
from core.planning.overlap import Work, exactly
from core.store.database import Tx

LAST = 10
"""A lane's tasks that are looked back at."""

_LANE = """
SELECT task_id, path FROM touched WHERE task_id IN (
  SELECT id FROM (SELECT id, ended_at FROM tasks INDEXED BY tasks_of_lane
    WHERE lane IS NOT NULL AND lane = ? AND ended_at IS NOT NULL AND state = 'done' AND repo IS ?
    ORDER BY ended_at DESC LIMIT 100)
  WHERE EXISTS (SELECT 1 FROM touched WHERE task_id = id) ORDER BY ended_at DESC LIMIT ?)
"""
_OTHERS = """
SELECT touched.path, tasks.id FROM json_each(?) new
JOIN touched INDEXED BY touched_path ON touched.path = new.value
JOIN tasks ON tasks.id = touched.task_id
WHERE tasks.id <> ? AND tasks.repo IS ? AND tasks.state IN ('planning', 'in_flight', 'review')
  AND EXISTS (SELECT 1 FROM sessions WHERE task_id = tasks.id AND state <> 'terminated')
"""


def record(tx: Tx, task: Task, paths: Iterable[str]) -> dict[int, list[str]]:
    """Note that the task has changed these files of its repository. Returns the other tasks
    under way that have changed one of them, with all such files; only where one is new."""
    known = json.dumps(list(dict.fromkeys(path for path in paths if path)))
    tx.run(
        "INSERT OR IGNORE INTO touched (task_id, path, at) SELECT ?, value, ? FROM json_each(?)",
        (task.id, tx.now, known),
    )
    new = [
        (row["id"], row["path"])
        for row in tx.all(_OTHERS, (known, task.id, task.repo))
        if _noted(tx, task.id, row["id"], row["path"])
    ]
    return {other: _shared(tx, task.id, other) for other in dict.fromkeys(one for one, _ in new)}


def _noted(tx: Tx, one: int, other: int, path: str) -> bool:
    """False where it was noted before."""
    pair = (min(one, other), max(one, other))
    return tx.run("INSERT OR IGNORE INTO overlaps VALUES (?, ?, ?, ?)", (*pair, path, tx.now)) > 0


def _shared(tx: Tx, one: int, other: int) -> list[str]:
    return [
        row[0]
        for row in tx.all(
            "SELECT path FROM overlaps WHERE task_id = ? AND other_id = ? ORDER BY at, path",
            (min(one, other), max(one, other)),
        )
    ]


def learnt(tx: Tx, lane: str | None, repo: str | None) -> tuple[str, ...]:
    """The files that at least two, and at least half, of the lane's last tasks changed."""
    if lane is None:
        return ()
    rows = tx.all(_LANE, (lane, repo, LAST))
    tasks = len({row["task_id"] for row in rows})
    changed = Counter(row["path"] for row in rows)
    return tuple(sorted(path for path, n in changed.items() if n >= 2 and 2 * n >= tasks))


def work(tx: Tx, tasks: Collection[Task]) -> tuple[list[Work], frozenset[int]]:
    """The tasks as far as their files go, in the same order; and which of them name none
    themselves, so that their lane's history speaks for them."""
    named = _named(tx, [task.id for task in tasks])
    lanes: dict[tuple[str | None, str | None], tuple[str, ...]] = {}
    found: list[Work] = []
    taught: set[int] = set()
    for task in tasks:
        globs = named.get(task.id)
        if globs is None:
            key = (task.lane, task.repo)
            if key not in lanes:
                lanes[key] = tuple(map(exactly, learnt(tx, *key)))
            globs = lanes[key]
            taught.update({task.id} if globs else ())
        found.append(Work(task.id, task.repo, globs))
    return found, frozenset(taught)


def _named(tx: Tx, ids: Collection[int]) -> Mapping[int, tuple[str, ...]]:
    found: dict[int, list[str]] = defaultdict(list)
    for row in tx.all(
        "SELECT task_id, value FROM task_labels WHERE kind = 'touches'"
        " AND task_id IN (SELECT value FROM json_each(?)) ORDER BY task_id, value",
        (json.dumps(list(ids)),),
    ):
        found[row["task_id"]].append(row["value"])
    return {task_id: tuple(globs) for task_id, globs in found.items()}
