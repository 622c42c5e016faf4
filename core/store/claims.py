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
from dataclasses import dataclass, field
from functools import lru_cache

import msgspec

from core import lifecycle
from core.errors import Refused
from core.model import Event, Place, Severity, Task, TaskState, task_ref
from core.planning import Needs, Record
from core.store import clashes, rows, runs
from core.store.database import Tx

# One look for a turn: could anything at all be claimed; when may the first be whose time has
# not come; when is the first account tried again whose usage limit was reached; is any budget
# used up?
GLANCE = """
SELECT
  EXISTS (SELECT 1 FROM tasks INDEXED BY tasks_claim
    WHERE state = 'ready' AND held IS NULL) AS claimable,
  (SELECT min(not_before) FROM tasks INDEXED BY tasks_due
    WHERE state = 'ready' AND not_before IS NOT NULL AND not_before > ?) AS due,
  (SELECT min(until) FROM limits INDEXED BY limits_standing WHERE lifted_at IS NULL) AS rested,
  EXISTS (SELECT 1 FROM budgets INDEXED BY budgets_stopped WHERE stopped = 1) AS spent
"""

# A step down the index for each demand: SQLite has no loose index scan of its own. Tasks whose
# demand isn't known yet (NULL) come first in it.
_DEMANDS = """
WITH RECURSIVE asked (demand) AS (
  SELECT * FROM (SELECT coalesce(demand, 0) FROM tasks INDEXED BY tasks_claim
    WHERE state = 'ready' AND held IS NULL ORDER BY demand LIMIT 1)
  UNION ALL
  SELECT (SELECT demand FROM tasks INDEXED BY tasks_claim
    WHERE state = 'ready' AND held IS NULL AND demand > asked.demand ORDER BY demand LIMIT 1)
  FROM asked WHERE asked.demand IS NOT NULL
)
SELECT asked.demand, demands.key, demands.said
FROM asked LEFT JOIN demands ON demands.id = asked.demand WHERE asked.demand IS NOT NULL
"""

_HEAD = """
SELECT id, priority, begun, position FROM tasks INDEXED BY tasks_claim
WHERE state = 'ready' AND held IS NULL AND demand = ?
  AND (not_before IS NULL OR not_before <= ?)
  AND (run_id IS NULL OR run_id NOT IN (SELECT value FROM json_each(?)))
  AND NOT EXISTS (SELECT 1 FROM sessions WHERE sessions.task_id = tasks.id
                  AND sessions.state IN ('starting', 'running', 'terminating'))
ORDER BY priority DESC, begun DESC, position IS NULL, position, id LIMIT 1
"""

_CLAIM = """
UPDATE tasks SET state = ?, begun = 1, not_before = NULL, assignee = ?, assigned_step = step,
  failure = NULL, hold = NULL, started_at = coalesce(started_at, ?), updated_at = ?, demand = NULL
WHERE id = ? AND state = 'ready' AND held IS NULL
  AND (assignee IS NULL OR assignee = ? OR assigned_step IS NOT step)
"""

_UNDEMANDED = """
SELECT id, workflow, step, CASE WHEN assigned_step = step THEN assignee END AS assignee, lane,
       repo, run_command IS NOT NULL AS command, interactive
FROM tasks INDEXED BY tasks_undemanded WHERE state = 'ready' AND demand IS NULL LIMIT 2000
"""


class Key(msgspec.Struct, frozen=True, omit_defaults=True):
    """What decides who fits: the columns of a demand's key."""

    workflow: str
    step: str
    assignee: str | None = None
    lane: str = ""
    repo: str = ""
    command: bool = False
    skills: tuple[str, ...] = ()
    preferred: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    terminal: bool = False

    @property
    def needs(self) -> Needs:
        return Needs(
            frozenset(self.skills),
            frozenset(self.preferred),
            frozenset(self.languages),
            self.command,
            self.terminal,
        )


@dataclass(frozen=True, slots=True)
class Demand:
    """`said`: what was told about nobody fitting it."""

    id: int
    key: Key
    said: str | None = None


@dataclass(frozen=True, slots=True, order=True)
class Head:
    """The next task of a demand, ordered as the claim is: priority, already begun, position,
    age; the smallest is claimed first."""

    order: tuple[int, bool, bool, int, int]
    demand: Demand = field(compare=False)

    @property
    def id(self) -> int:
        return self.order[-1]


def demands(tx: Tx) -> list[Demand]:
    """What is asked for by tasks that may be claimed, each combination once."""
    found = tx.all(_DEMANDS)
    if found and found[0]["demand"] == 0:
        while _fill(tx):
            pass
        found = tx.all(_DEMANDS)
    return [Demand(row["demand"], _key(row["key"]), row["said"]) for row in found]


def key_of(tx: Tx, task: Task) -> Key:
    """What the task asks of an agent at its present step."""
    labels = _labels(tx, [task.id])
    bound = task.assignee if task.assigned_step == task.step else None
    how = (task.run_command is not None, task.interactive)
    return _made(task.workflow, task.step, bound, task.lane, task.repo, how, labels[task.id])


def head(tx: Tx, demand: Demand, without: Collection[int] = ()) -> Head | None:
    """The best task of that demand which may be claimed now; those of the runs `without` are
    left out."""
    left_out = json.dumps(list(without)) if without else "[]"
    row = tx.one(_HEAD, (demand.id, tx.now, left_out))
    if row is None:
        return None
    task_id, priority, begun, position = row
    return Head((-priority, not begun, position is None, position or 0, task_id), demand)


def best(tx: Tx, fits: Callable[[Key], bool] = lambda key: True) -> Head | None:
    """The next task to be claimed, of those whose demand fits."""
    heads = (head(tx, demand) for demand in demands(tx) if fits(demand.key))
    return min((found for found in heads if found is not None), default=None)


def claim(tx: Tx, task_id: int, agent: str, state: TaskState) -> None:
    """Take a ready task for an agent. Guarded: nobody claims what somebody has. Raises Refused."""
    ref = task_ref(task_id)
    lifecycle.check(ref, TaskState.READY, state)
    if not tx.run(_CLAIM, (state.value, agent, tx.now, tx.now, task_id, agent)):
        raise Refused(f"{ref} was taken by another just now.")
    tx.emit(Event("task.started", f"{agent} is on {ref}", task_id=task_id, agent=agent))


def _all_of(tx: Tx, demand: Demand, task_id: int) -> str:
    """`TASK-001 and 3 more wait: nobody here can take them`."""
    many = tx.value(
        "SELECT count(*) FROM tasks INDEXED BY tasks_claim "
        "WHERE state = 'ready' AND held IS NULL AND demand = ?",
        (demand.id,),
    )
    if many == 1:
        return f"{task_ref(task_id)} waits: nobody here can take it"
    return f"{task_ref(task_id)} and {many - 1} more wait: nobody here can take them"


def set_aside(tx: Tx, task: Task, why: str) -> None:
    """Something is wrong with this one task: it holds up no other, and is said once. It comes
    back when the task or the configuration is another, and with the next start."""
    if task.hold != why:
        words = f"{task.ref} waits: {why}"
        tx.emit(Event("task.status_changed", words, Severity.WARNING, task_id=task.id))
    tx.run("UPDATE tasks SET held = 'aside', hold = ? WHERE id = ?", (why, task.id))


def let_back(tx: Tx) -> None:
    """What was set aside may be claimed again, unless its run holds it."""
    for row in tx.all("SELECT * FROM tasks INDEXED BY tasks_aside WHERE held = 'aside'"):
        task = rows.task(row)
        held = runs.held_for(tx, task)
        tx.run("UPDATE tasks SET held = ?, held_by = ? WHERE id = ?", (*held, task.id))


def records(tx: Tx, lane: str) -> dict[str, Record]:
    """How each agent has done on that lane."""
    found = tx.all("SELECT agent, completed, failed FROM records WHERE lane = ?", (lane,))
    return {row["agent"]: Record(row["completed"], row["failed"]) for row in found}


def tell(tx: Tx, demand: Demand, task_id: int, why: str | None, told: Place | None = None) -> None:
    """That nobody fits is said once a demand, not at every look; None: somebody does. `told`:
    where an answer says it."""
    if why == demand.said:
        return
    tx.run("UPDATE demands SET said = ? WHERE id = ?", (why, demand.id))
    if demand.said is None:
        clashes.nobody_comes(tx, demand.id)
    if why is not None:
        words = f"{_all_of(tx, demand, task_id)}. {why[0].upper()}{why[1:]}."
        payload = {"told": [told.platform, told.chat]} if told is not None else {}
        tx.emit(
            Event("task.status_changed", words, Severity.WARNING, task_id=task_id, payload=payload)
        )


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
                row["repo"],
                (bool(row["command"]), bool(row["interactive"])),
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


@lru_cache(maxsize=1024)
def _key(text: str) -> Key:
    return msgspec.json.decode(text, type=Key)


def _made(
    workflow: str,
    step: str,
    assignee: str | None,
    lane: str | None,
    repo: str | None,
    how: tuple[bool, bool],
    labels: dict[str, list[str]],
) -> Key:
    command, terminal = how
    return Key(
        workflow,
        step,
        assignee,
        lane or "",
        repo or "",
        command,
        tuple(labels.get("skill", ())),
        tuple(labels.get("preferred", ())),
        tuple(labels.get("language", ())),
        terminal,
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
