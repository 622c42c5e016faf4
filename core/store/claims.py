"""What may be claimed, in the order of the claim, whatever else waits.

Ready tasks are grouped by what they ask of an agent: their demand. Whether anybody fits, and
has room, is decided once a demand, and the next task of one is found by one step down an
index. So a claim costs the same with a hundred tasks and with a hundred thousand, also where
the most urgent of them wait for an agent that isn't there.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import msgspec

from core.model import Event, Severity, Task
from core.planning import Needs, Record
from core.store import rows
from core.store.database import Tx

READY = "SELECT 1 FROM tasks INDEXED BY tasks_claim WHERE state = 'ready' AND held IS NULL LIMIT 1"
"""Whether anything at all could be claimed."""

DUE = """
SELECT min(not_before) FROM tasks INDEXED BY tasks_due
WHERE state = 'ready' AND not_before IS NOT NULL AND not_before > ?
"""
"""When the first task whose time hasn't come may be claimed, ms since the epoch."""

# A step down the index for each demand: SQLite has no loose index scan of its own.
_DEMANDS = """
WITH RECURSIVE asked (demand) AS (
  SELECT * FROM (SELECT demand FROM tasks INDEXED BY tasks_claim
    WHERE state = 'ready' AND held IS NULL AND demand > 0 ORDER BY demand LIMIT 1)
  UNION ALL
  SELECT (SELECT demand FROM tasks INDEXED BY tasks_claim
    WHERE state = 'ready' AND held IS NULL AND demand > asked.demand ORDER BY demand LIMIT 1)
  FROM asked WHERE asked.demand IS NOT NULL
)
SELECT demands.id, demands.key, demands.said FROM asked JOIN demands ON demands.id = asked.demand
"""

_ORDER = "priority DESC, begun DESC, position IS NULL, position, id"
_HEAD = f"""
SELECT * FROM tasks INDEXED BY tasks_claim
WHERE state = 'ready' AND held IS NULL AND demand = ?
  AND (not_before IS NULL OR not_before <= ?)
  AND NOT EXISTS (SELECT 1 FROM sessions WHERE sessions.task_id = tasks.id
                  AND sessions.state IN ('starting', 'running', 'terminating'))
ORDER BY {_ORDER} LIMIT 1 OFFSET ?
"""  # noqa: S608 - the code's own words

_UNDEMANDED = """
SELECT id, workflow, step, CASE WHEN assigned_step = step THEN assignee END AS assignee, lane,
       run_command IS NOT NULL AS command
FROM tasks INDEXED BY tasks_undemanded WHERE state = 'ready' AND demand IS NULL LIMIT 2000
"""


class Key(msgspec.Struct, frozen=True, omit_defaults=True):
    """What decides who fits: the columns of a demand's key."""

    workflow: str
    step: str
    assignee: str | None = None
    lane: str = ""
    command: bool = False
    skills: tuple[str, ...] = ()
    preferred: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()

    @property
    def needs(self) -> Needs:
        return Needs(
            frozenset(self.skills),
            frozenset(self.preferred),
            frozenset(self.languages),
            self.command,
        )


@dataclass(frozen=True, slots=True)
class Demand:
    """`said`: what was told about nobody fitting it."""

    id: int
    key: Key
    said: str | None = None


def demands(tx: Tx) -> list[Demand]:
    """What is asked for by tasks that may be claimed, each combination once."""
    while _fill(tx):
        pass
    return [Demand(row["id"], _key(row["key"]), row["said"]) for row in tx.all(_DEMANDS)]


def key_of(tx: Tx, task: Task) -> Key:
    """What the task asks of an agent at its present step."""
    labels = _labels(tx, [task.id])
    bound = task.assignee if task.assigned_step == task.step else None
    command = task.run_command is not None
    return _made(task.workflow, task.step, bound, task.lane, command, labels[task.id])


def head(tx: Tx, demand: Demand, passed: int = 0) -> Task | None:
    """The best task of that demand which may be claimed now; the first `passed` are left out."""
    row = tx.one(_HEAD, (demand.id, tx.now, passed))
    return None if row is None else rows.task(row)


def best(tx: Tx, fits: Callable[[Key], bool] = lambda key: True) -> Task | None:
    """The next task to be claimed, of those whose demand fits."""
    heads = (head(tx, demand) for demand in demands(tx) if fits(demand.key))
    return min((task for task in heads if task is not None), key=order, default=None)


def order(task: Task) -> tuple[Any, ...]:
    """Where a ready task stands: priority, already begun, position, age. The smallest first."""
    return (-task.priority, not task.begun, task.position is None, task.position or 0, task.id)


def records(tx: Tx, lane: str) -> dict[str, Record]:
    """How each agent has done on that lane."""
    found = tx.all("SELECT agent, completed, failed FROM records WHERE lane = ?", (lane,))
    return {row["agent"]: Record(row["completed"], row["failed"]) for row in found}


def tell(tx: Tx, demand: Demand, task: Task, why: str | None) -> None:
    """That nobody fits is said once a demand, not at every look; None: somebody does."""
    if why == demand.said:
        return
    tx.run("UPDATE demands SET said = ? WHERE id = ?", (why, demand.id))
    if why is not None:
        words = f"{task.ref} waits: nobody here can take it. {why[0].upper()}{why[1:]}"
        tx.emit(Event("task.status_changed", words, Severity.WARNING, task_id=task.id))


def _fill(tx: Tx) -> bool:
    """Give ready tasks without a demand theirs; False when there was none."""
    found = tx.all(_UNDEMANDED)
    if not found:
        return False
    labels = _labels(tx, [row["id"] for row in found])
    asked: dict[Key, list[int]] = defaultdict(list)
    for row in found:
        asked[
            _made(
                row["workflow"],
                row["step"],
                row["assignee"],
                row["lane"],
                bool(row["command"]),
                labels[row["id"]],
            )
        ].append(row["id"])
    for key, ids in asked.items():
        tx.run(
            "UPDATE tasks SET demand = ? WHERE id IN (SELECT value FROM json_each(?))",
            (_id(tx, key), json.dumps(ids)),
        )
    return True


def _id(tx: Tx, key: Key) -> int:
    text = msgspec.json.encode(key).decode()
    tx.run("INSERT OR IGNORE INTO demands (key) VALUES (?)", (text,))
    return int(tx.value("SELECT id FROM demands WHERE key = ?", (text,)))


def _key(text: str) -> Key:
    return msgspec.json.decode(text, type=Key)


def _made(
    workflow: str,
    step: str,
    assignee: str | None,
    lane: str | None,
    command: bool,
    labels: dict[str, list[str]],
) -> Key:
    return Key(
        workflow,
        step,
        assignee,
        lane or "",
        command,
        tuple(labels.get("skill", ())),
        tuple(labels.get("preferred", ())),
        tuple(labels.get("language", ())),
    )


def _labels(tx: Tx, ids: Collection[int]) -> dict[int, dict[str, list[str]]]:
    """Task → kind → values, sorted."""
    found: dict[int, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for row in tx.all(
        "SELECT task_id, kind, value FROM task_labels "
        "WHERE task_id IN (SELECT value FROM json_each(?)) "
        "AND kind IN ('skill', 'preferred', 'language') ORDER BY task_id, kind, value",
        (json.dumps(list(ids)),),
    ):
        found[row["task_id"]][row["kind"]].append(row["value"])
    return found
