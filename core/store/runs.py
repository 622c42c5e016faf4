"""Runs: what follows for a run when one of its tasks moves.

Counts are kept: the end of a task costs the same, however long the run.
"""

from __future__ import annotations

from core.errors import Refused, Unclear
from core.lifecycle import words
from core.model import Event, Run, RunState, Severity, Task, TaskState, WaveState, task_ref
from core.store import clashes, rows, waves
from core.store.database import Tx

_FAILED = (TaskState.FAILED, TaskState.CANCELLED)
_WAITING = """
SELECT t.id FROM dependencies d JOIN tasks t ON t.id = d.task_id
WHERE d.needs_id = ? AND t.run_id = ? AND t.state NOT IN ('done', 'failed', 'cancelled')
"""
_STANDING = """
SELECT f.id FROM tasks t INDEXED BY tasks_of_run JOIN dependencies d ON d.task_id = t.id
JOIN tasks f ON f.id = d.needs_id
WHERE t.run_id IS NOT NULL AND t.run_id = ? AND t.state NOT IN ('done', 'failed', 'cancelled')
  AND f.state IN ('failed', 'cancelled')
ORDER BY f.run_id IS NOT t.run_id, f.wave, f.id LIMIT 1
"""
_OUTSIDE = """
SELECT DISTINCT t.run_id FROM dependencies d JOIN tasks t ON t.id = d.task_id
WHERE d.needs_id = ? AND t.run_id IS NOT NULL AND t.run_id IS NOT ?
  AND t.state NOT IN ('done', 'failed', 'cancelled') ORDER BY 1
"""


def get(tx: Tx, run_id: int) -> Run:
    """The run; raises Unclear, naming what there is instead."""
    row = tx.one("SELECT * FROM runs WHERE id = ?", (run_id,))
    if row is None:
        newest = tx.value("SELECT max(id) FROM runs")
        there = f"The newest is {newest}: /runs lists them." if newest else "Begin one: /go LANE"
        raise Unclear(f"No run {run_id}. {there}")
    return rows.run(row)


def open_run(tx: Tx, run_id: int) -> Run:
    """The run, which has not ended; raises Unclear where there is none, Refused where it has."""
    run = get(tx, run_id)
    if run.ended_at is not None:
        raise Refused(f"{run.ref} is {words(run.state)} already: /run {run.id} shows it.")
    return run


def is_in_open_run(tx: Tx, task: Task) -> bool:
    """Whether the task, as it is stored now, is part of a run that goes on."""
    return tx.value("SELECT run_id FROM tasks WHERE id = ?", (task.id,)) is not None


def held_for(tx: Tx, task: Task) -> tuple[str | None, int | None]:
    """What `held` and `held_by` a task that becomes ready must carry: its run is paused, its
    wave hasn't started, or another task has its files."""
    if task.run_id is None or task.wave is None:
        return None, None
    run = get(tx, task.run_id)
    if task.wave > run.wave:
        return "wave", None
    if run.state is RunState.PAUSED:
        return "run", None
    clash = clashes.clash(tx, task, run.wave)
    return (None, None) if clash is None else ("collision", clash.by)


def task_moved(tx: Tx, before: Task, after: Task) -> None:
    """A task of an open run has another state: its wave and the run are counted on, the next
    wave starts, a failure that is needed pauses the run, and its repair lets it go on.

    To be called once `after` and all that its move has set free or blocked are stored.
    """
    if (before.state in _FAILED) != (after.state in _FAILED):
        _tell_outside(tx, after)
    if after.run_id is None or after.wave is None:
        return
    run = get(tx, after.run_id)
    if _end(before) != _end(after) or before.state in _FAILED or after.state in _FAILED:
        run = _settle(tx, _count(tx, run, before, after), after)
    if clashes.occupies(before) and not clashes.occupies(after):
        clashes.let_go(tx, run.id, run.wave, clashes.held_by(tx, after.id))
    if after.held == "collision" and before.held != "collision":
        clash = clashes.clash(tx, after, run.wave)
        if clash is not None:
            clashes.tell(tx, after, clash)


def needs_changed(tx: Tx, task: Task) -> None:
    """Another task may stand in its run's way than before, or none any more."""
    if task.run_id is not None:
        _look_again(tx, get(tx, task.run_id))


def files_changed(tx: Tx, task: Task) -> None:
    """It is said to touch other files than before: who waits for whom is looked at again."""
    now = rows.task(tx.all("SELECT * FROM tasks WHERE id = ?", (task.id,))[0])
    if now.run_id is None or now.held in ("run", "wave"):
        return
    run = get(tx, now.run_id)
    again = [now] if now.state is TaskState.READY else []
    clashes.let_go(tx, run.id, run.wave, [*again, *clashes.held_by(tx, now.id)])


def standing(tx: Tx, run: Run) -> int | None:
    """The first failed or cancelled task that something in the run still needs."""
    found = tx.value(_STANDING, (run.id,))
    return None if found is None else int(found)


def needed_by(tx: Tx, run: Run, task_id: int) -> list[int]:
    """The tasks of the run that wait for that one, and have not ended."""
    return [row[0] for row in tx.all(f"{_WAITING} ORDER BY t.id", (task_id, run.id))]


def standing_words(tx: Tx, run: Run, task: Task) -> str:
    """`TASK-012 failed, and TASK-015 and 3 more need it. /retry 12, /done 12 or …`."""
    waiting = needed_by(tx, run, task.id)
    more = len(waiting) - 1
    who = (task_ref(waiting[0]) if waiting else "nothing") + (
        f" and {more} more" if more > 0 else ""
    )
    failed = task.state is TaskState.FAILED
    ways = f"/retry {task.id}, /done {task.id}" if failed else f"/reopen {task.id}"
    became = "failed" if failed else "was cancelled"
    need = "need" if more > 0 else "needs"
    return f"{task.ref} {became}, and {who} {need} it. {ways} or /stop {run.ref}"


# -- what follows ------------------------------------------------------------------------------


def _end(task: Task) -> str | None:
    """How it counts: done, failed (or cancelled), or not ended."""
    if task.state in _FAILED:
        return "failed"
    return "done" if task.state is TaskState.DONE else None


def _count(tx: Tx, run: Run, before: Task, after: Task) -> Run:
    was, is_now = _end(before), _end(after)
    tx.run(
        "UPDATE runs SET done = done + ?, failed = failed + ? WHERE id = ?",
        (
            (is_now == "done") - (was == "done"),
            (is_now == "failed") - (was == "failed"),
            run.id,
        ),
    )
    tx.run(
        "UPDATE waves SET open = open + ? WHERE run_id = ? AND number = ?",
        ((is_now is None) - (was is None), run.id, after.wave),
    )
    if (was is None) != (is_now is None):
        waves.open_again(tx, run, after.wave or 0)
    tx.run(
        "UPDATE run_tasks SET outcome = ? WHERE run_id = ? AND task_id = ?",
        (after.state.value if is_now else None, run.id, after.id),
    )
    return get(tx, run.id)


def _settle(tx: Tx, run: Run, after: Task) -> Run:
    if after.state in _FAILED and tx.one(f"{_WAITING} LIMIT 1", (after.id, run.id)):
        run = _stop_for(tx, run, after)
    else:
        run = _look_again(tx, run)
    return run if run.ended_at is not None else waves.advance(tx, run)


def _tell_outside(tx: Tx, after: Task) -> None:
    """Runs it isn't part of may need it: one that was done, and was reopened since."""
    for row in tx.all(_OUTSIDE, (after.id, after.run_id)):
        run = get(tx, row["run_id"])
        if after.state in _FAILED:
            _stop_for(tx, run, after)
        else:
            _look_again(tx, run)


def _stop_for(tx: Tx, run: Run, task: Task) -> Run:
    """Something that has not ended needs what failed: pause, and say so where it is heard."""
    first = run.because is None
    run = waves.pause(tx, run, because=run.because or task.id)
    if task.run_id == run.id and task.wave == run.wave:
        waves.move_wave(tx, run, WaveState.FAILED)
        if first:
            said = f"{run.ref}: wave {run.wave} of {run.waves} has failed, with {task.ref}"
            tx.emit(Event("wave.failed", said, run_id=run.id, payload={"wave": run.wave}))
    tx.emit(
        Event(
            "run.paused",
            f"{run.ref} is paused: {standing_words(tx, run, task)}",
            Severity.CRITICAL,
            run_id=run.id,
            payload={"task": task.id, "wave": task.wave},
        )
    )
    return run


def _look_again(tx: Tx, run: Run) -> Run:
    """Where a failure paused the run: it may be mended, or be needed no more."""
    if run.because is None or _stands(tx, run, run.because):
        return run
    other = standing(tx, run)
    if other is None and run.paused_by is None:
        return waves.go_on(tx, run, f"{run.ref} goes on: {task_ref(run.because)} was seen to")
    tx.update("runs", {"id": run.id}, because=other)
    if other is None:
        waves.move_wave(tx, run, WaveState.RUNNING)
        waves.move_wave(tx, run, WaveState.PAUSED)
    return get(tx, run.id)


def _stands(tx: Tx, run: Run, task_id: int) -> bool:
    return bool(
        tx.one("SELECT 1 FROM tasks WHERE id = ? AND state IN ('failed', 'cancelled')", (task_id,))
        and tx.one(f"{_WAITING} LIMIT 1", (task_id, run.id))
    )
