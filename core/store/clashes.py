"""Tasks of a run that wait since another one under way touches the same files.

Whoever is claimed, or may be claimed any moment, occupies its files. One that is held occupies
nothing, so nobody ever waits in a circle; nor does one whose time hasn't come, or that nobody
here can do: it looks again when it is claimed after all.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence

from core.model import ACTIVE, Event, Task, TaskState, task_ref
from core.planning.overlap import Clash, batch, shown
from core.store import files, rows
from core.store.database import Tx

_HELD_BY = """
SELECT * FROM tasks INDEXED BY tasks_held_by
WHERE held_by IS NOT NULL AND held_by = ? AND held = 'collision'
ORDER BY priority DESC, begun DESC, position IS NULL, position, id
"""
_STARTED = """
SELECT tasks.* FROM waves INDEXED BY waves_open
JOIN tasks INDEXED BY tasks_of_run
  ON tasks.run_id IS NOT NULL AND tasks.run_id = waves.run_id AND tasks.wave = waves.number
WHERE waves.run_id = ? AND waves.number <= ? AND waves.open > 0
  AND tasks.state = 'ready' AND held IS NOT NULL
ORDER BY begun DESC, priority DESC, position IS NULL, position, tasks.id
"""
_OCCUPYING = """
SELECT tasks.* FROM waves INDEXED BY waves_open
JOIN tasks INDEXED BY tasks_of_run
  ON tasks.run_id IS NOT NULL AND tasks.run_id = waves.run_id AND tasks.wave = waves.number
WHERE waves.run_id = ? AND waves.number <= ? AND waves.open > 0
  AND (tasks.state IN ('planning', 'in_flight', 'review') OR blocked_from IS NOT NULL
       OR (tasks.state = 'ready' AND held IS NULL AND (not_before IS NULL OR not_before <= ?)
           AND NOT EXISTS (SELECT 1 FROM demands
                           WHERE demands.id = tasks.demand AND said IS NOT NULL)))
"""
_HELD_FOR_NOTHING = """
SELECT DISTINCT holder.* FROM tasks AS holder
JOIN tasks AS waiting INDEXED BY tasks_held_by
  ON waiting.held_by IS NOT NULL AND waiting.held_by = holder.id
WHERE holder.demand = ? AND holder.state = 'ready' AND holder.run_id IS NOT NULL
"""


def occupies(task: Task) -> bool:
    """Whether it has its files: under way, or to be claimed any moment."""
    if task.state is TaskState.READY:
        return task.held is None
    return task.state in ACTIVE or task.blocked_from is not None


def clash(tx: Tx, task: Task, wave: int) -> Clash | None:
    """With which task of its run, up to that wave, it can't work at the same time."""
    return _clash(tx, task, wave, frozenset(TaskState))


def give_way(tx: Tx, task: Task) -> bool:
    """About to be claimed: whether it waits after all, since another is at work on its files."""
    wave = tx.value("SELECT wave FROM runs WHERE id = ?", (task.run_id,))
    found = _clash(tx, task, wave, frozenset(TaskState) - {TaskState.READY})
    if found is not None:
        tx.update("tasks", {"id": task.id}, held="collision", held_by=found.by)
        tell(tx, task, found)
    return found is not None


def _clash(tx: Tx, task: Task, wave: int, states: Collection[TaskState]) -> Clash | None:
    """The first of those that occupy files, and are in one of these states, with which it
    overlaps."""
    (own,), _ = files.work(tx, [task])
    if not own.globs:
        return None
    others = [
        one
        for one in _occupying(tx, task.run_id, wave)
        if one.id != task.id and one.state in states
    ]
    running, _ = files.work(tx, others)
    return batch([own], running).held.get(task.id)


def nobody_comes(tx: Tx, demand: int) -> None:
    """Nobody here can do what asks for that: who waits for its files need not."""
    for holder in _tasks(tx, _HELD_FOR_NOTHING, (demand,)):
        wave = tx.value("SELECT wave FROM runs WHERE id = ?", (holder.run_id,))
        let_go(tx, holder.run_id or 0, wave, held_by(tx, holder.id))


def held_by(tx: Tx, task_id: int) -> list[Task]:
    """What waits for this task's files, in the order of the claim."""
    return _tasks(tx, _HELD_BY, (task_id,))


def started(tx: Tx, run_id: int, wave: int) -> list[Task]:
    """The held ready tasks of a run whose waves, up to that one, have started: those begun
    first, since they have changed files already, then in the order of the claim."""
    return _tasks(tx, _STARTED, (run_id, wave))


def let_go(tx: Tx, run_id: int, wave: int, tasks: Sequence[Task]) -> None:
    """Of these ready tasks those may be claimed that overlap with nothing; the others wait for
    somebody's end, which is said once a task."""
    if not tasks:
        return
    idle = [task.id for task in tasks if _cannot_begin(tx, task)]
    wanted, _ = files.work(tx, [task for task in tasks if task.id not in idle])
    known = {task.id for task in tasks}
    others = [one for one in _occupying(tx, run_id, wave) if one.id not in known]
    running, _ = files.work(tx, others)
    found = batch(wanted, running)
    tx.run(
        "UPDATE tasks SET held = NULL, held_by = NULL WHERE id IN (SELECT value FROM json_each(?))",
        (json.dumps([*found.go, *idle]),),
    )
    for task in tasks:
        clash = found.held.get(task.id)
        if clash is not None:
            tx.update("tasks", {"id": task.id}, held="collision", held_by=clash.by)
            if task.held != "collision":
                tell(tx, task, clash)


def tell(tx: Tx, task: Task, clash: Clash) -> None:
    """That it waits, for whom and why: on the task, and for its run."""
    payload = {"held_by": clash.by, "where": clash.where}
    tx.emit(Event("task.status_changed", words(task.id, clash), task_id=task.id, payload=payload))


def words(task_id: int, clash: Clash, verb: str = "waits for") -> str:
    """`TASK-006 waits for TASK-004: both touch src/api/*.py`."""
    return f"{task_ref(task_id)} {verb} {task_ref(clash.by)}: both touch {shown(clash.where)}"


def _cannot_begin(tx: Tx, task: Task) -> bool:
    """Its time hasn't come, or nobody here can do it."""
    if task.not_before is not None and task.not_before > tx.now:
        return True
    return bool(
        tx.value(
            "SELECT 1 FROM tasks JOIN demands ON demands.id = tasks.demand "
            "WHERE tasks.id = ? AND said IS NOT NULL",
            (task.id,),
        )
    )


def _occupying(tx: Tx, run_id: int | None, wave: int) -> Collection[Task]:
    return _tasks(tx, _OCCUPYING, (run_id, wave, tx.now))


def _tasks(tx: Tx, sql: str, params: tuple[object, ...]) -> list[Task]:
    return [rows.task(row) for row in tx.all(sql, params)]
