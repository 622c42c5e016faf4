"""Runs for people: the list, and one run with its waves."""

# ruff: noqa: S608 - statements are put together from the code's own words only
from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from core.errors import Unclear
from core.model import Event, Run, TaskState, Wave
from core.planning.forecast import Forecast
from core.planning.waves import longest_chain
from core.store import rows, run_facts
from core.views.reading import Db, Page, one
from core.views.rows import EVENT, event_of

_OVER = (TaskState.DONE, TaskState.FAILED, TaskState.CANCELLED)
_TASKS = """
SELECT t.id, t.title, m.wave, t.state, t.assignee, t.held, t.held_by, m.outcome, t.run_id
FROM run_tasks m JOIN tasks t ON t.id = m.task_id WHERE m.run_id = ?
ORDER BY m.wave, t.priority DESC, t.begun DESC, t.position IS NULL, t.position, t.id
"""
_NEEDS = """
SELECT d.task_id, d.needs_id FROM run_tasks m JOIN dependencies d ON d.task_id = m.task_id
JOIN run_tasks n ON n.run_id = m.run_id AND n.task_id = d.needs_id
WHERE m.run_id = ? ORDER BY d.task_id, d.needs_id
"""


@dataclass(frozen=True, slots=True)
class RunRow:
    """A run in a list. `progress`: the share of its tasks that have ended, 0 to 1; `in_work`:
    how many are under way; `forecast`: None where too little is known, or it is over."""

    run: Run
    progress: float
    in_work: int
    forecast: Forecast | None


@dataclass(frozen=True, slots=True)
class RunTask:
    """A task of a run. `needs`: of the run's tasks; `held` (`wave`, `run`, or `collision`, by
    `held_by`) while it is ready; `critical`: on the longest chain that is left. `outcome`: how
    it ended for the run, None for what went on without it."""

    id: int
    title: str
    wave: int
    state: TaskState
    needs: tuple[int, ...]
    assignee: str | None = None
    held: str | None = None
    held_by: int | None = None
    critical: bool = False
    outcome: str | None = None


@dataclass(frozen=True, slots=True)
class WavePart:
    wave: Wave
    tasks: tuple[RunTask, ...]


@dataclass(frozen=True, slots=True)
class RunPage:
    """A run with all that its page shows. `critical`: the longest chain that is left, first to
    last (of a run that is over: the longest there was). `events`: newest last."""

    run: Run
    waves: tuple[WavePart, ...]
    critical: tuple[int, ...]
    in_work: tuple[int, ...]
    forecast: Forecast | None
    events: tuple[Event, ...]


def runs(db: Db, n: int = 10, offset: int = 0, slots: int = 1) -> Page[RunRow]:
    """Runs, the open ones first, then the newest. `slots`: how many tasks go at once unless
    a person has set it."""
    found = db.execute(
        "SELECT * FROM runs ORDER BY ended_at IS NOT NULL, id DESC LIMIT ? OFFSET ?", (n, offset)
    ).fetchall()
    return Page(
        tuple(_row(db, rows.run(row), slots) for row in found),
        int(one(db, "SELECT count(*) FROM runs")),
        offset,
    )


def run_page(db: Db, run_id: int, slots: int = 1, events: int = 50) -> RunPage | None:
    """The run's page; None when there is no such run."""
    row = db.execute("SELECT * FROM runs WHERE id = ?", (run_id,)).fetchone()
    if row is None:
        return None
    run = rows.run(row)
    tasks, critical = _tasks(db, run)
    brief = _row(db, run, slots)
    return RunPage(
        run,
        _waves(db, run_id, tasks),
        critical,
        tuple(run_facts.in_work(_asking(db), run_id)) if run.ended_at is None else (),
        brief.forecast,
        _events(db, run_id, events),
    )


# -- parts -------------------------------------------------------------------------------------


def _row(db: Db, run: Run, slots: int) -> RunRow:
    ask = _asking(db)
    if run.ended_at is not None:
        return RunRow(run, (run.done + run.failed) / run.total, 0, None)
    at_once = run_facts.at_once(ask, slots)
    return RunRow(
        run,
        (run.done + run.failed) / run.total,
        len(run_facts.in_work(ask, run.id)),
        run_facts.outlook(ask, run, at_once),
    )


def _asking(db: Db) -> run_facts.Ask:
    return lambda sql, params: db.execute(sql, params).fetchall()


def _tasks(db: Db, run: Run) -> tuple[list[RunTask], tuple[int, ...]]:
    """Its tasks in order, and its longest chain."""
    found = db.execute(_TASKS, (run.id,)).fetchall()
    needs: dict[int, list[int]] = defaultdict(list)
    for task_id, needs_id in db.execute(_NEEDS, (run.id,)):
        needs[task_id].append(needs_id)
    left = [
        row["id"]
        for row in found
        if run.ended_at is not None or TaskState(row["state"]) not in _OVER
    ]
    critical = _chain(left, needs)
    on_it = frozenset(critical)
    return [_task(row, run, needs[row["id"]], row["id"] in on_it) for row in found], critical


def _chain(tasks: Sequence[int], needs: dict[int, list[int]]) -> tuple[int, ...]:
    """A chain of one is none; what waits in a circle (changed since) has none either."""
    try:
        found = longest_chain(tasks, needs)
    except Unclear:
        return ()
    return found if len(found) > 1 else ()


def _task(row: Any, run: Run, needs: Sequence[int], critical: bool) -> RunTask:
    inside = row["run_id"] == run.id
    return RunTask(
        row["id"],
        row["title"],
        row["wave"],
        TaskState(row["state"]),
        tuple(needs),
        row["assignee"],
        row["held"] if inside else None,
        row["held_by"] if inside else None,
        critical,
        row["outcome"],
    )


def _waves(db: Db, run_id: int, tasks: Iterable[RunTask]) -> tuple[WavePart, ...]:
    inside: dict[int, list[RunTask]] = defaultdict(list)
    for task in tasks:
        inside[task.wave].append(task)
    found = db.execute("SELECT * FROM waves WHERE run_id = ? ORDER BY number", (run_id,))
    return tuple(
        WavePart(wave, tuple(inside[wave.number])) for wave in (rows.wave(row) for row in found)
    )


def _events(db: Db, run_id: int, n: int) -> tuple[Event, ...]:
    found = db.execute(
        f"SELECT {EVENT} FROM events INDEXED BY events_of_run"
        " WHERE run_id IS NOT NULL AND run_id = ? ORDER BY seq DESC LIMIT ?",
        (run_id, n),
    ).fetchall()
    return tuple(event_of(row) for row in reversed(found))
