"""The pages of runs: the list, and each run with its picture."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from core import views
from core.model import Event, GateKind, TaskState, Wave, run_ref
from core.views import Db, GateRow, RunPage, RunTask, WavePart
from site_gen.dots import MOST, WAVES, Item, draw, window

LISTED = 200
"""Runs in the list: the open ones, then the newest."""
NAMED = 8
"""Tasks that are named where many wait for the same."""

Put = Callable[..., None]


@dataclass(frozen=True, slots=True)
class Part:
    """A wave as the page lists it, each task with its state as seen from the run. `counts`: its
    tasks by that state; `more`: those not listed."""

    wave: Wave
    tasks: tuple[tuple[RunTask, str], ...]
    counts: Counter[str]
    more: int


def runs(db: Db, put: Put, ids: Iterable[int], slots: int) -> None:
    """The pages of those runs. `slots`: how many tasks go at once, as configured."""
    gates = views.open_gates(db)
    for run_id in ids:
        page = views.run_page(db, run_id, slots)
        if page is not None:
            put(f"runs/{run_ref(run_id)}.html", "run.html", root="../", **_shown(db, page, gates))


def run_list(db: Db, put: Put, slots: int) -> None:
    """The list of all runs."""
    put("runs.html", "runs.html", root="", page=views.runs(db, LISTED, 0, slots))


def _shown(db: Db, page: RunPage, gates: Sequence[GateRow]) -> dict[str, Any]:
    run = page.run
    at = run.waves if run.ended_at is not None else run.wave
    items = [(part.wave.number, [_item(task, at) for task in part.tasks]) for part in page.waves]
    done = behind(page)
    first = window(len(items), run.wave)
    tasks = [task for part in page.waves for task in part.tasks]
    mine = {task.id for task in tasks}
    return {
        "page": page,
        "run": run,
        "drawing": draw(items, page.critical, done, run.wave),
        "parts_listed": [_part(one, at) for one in page.waves[first : first + WAVES]],
        "counts": Counter(_state(task, at) for task in tasks),
        "gates": [row for row in gates if row.gate.task_id in mine and _asks(row)],
        "stopper": next((task for task in tasks if task.id == run.because), None),
        "clashes": [task for task in tasks if task.held == "collision"][:NAMED],
        "gone": gone(db, page.events),
        "as_of": views.last_event_of_run(db, run.id),
    }


def gone(db: Db, events: Iterable[Event]) -> frozenset[int]:
    """The tasks that events tell of and that were deleted since: no links lead there."""
    told = {event.task_id for event in events if event.task_id is not None}
    return frozenset(told - views.there(db, told))


def behind(page: RunPage) -> tuple[int, ...]:
    """What of the chain lies behind: from the first of what is left back to the first wave."""
    if not page.critical:
        return ()
    by_id = {task.id: task for part in page.waves for task in part.tasks}
    found: list[int] = []
    at = by_id.get(page.critical[0])
    while at is not None and (needed := [by_id[one] for one in at.needs if one in by_id]):
        at = max(needed, key=lambda task: (task.wave, -task.id))
        found.append(at.id)
    return tuple(reversed(found))


def _part(part: WavePart, at: int) -> Part:
    counts = Counter(_state(task, at) for task in part.tasks)
    listed = sorted(part.tasks, key=lambda task: not task.critical)[:MOST]
    shown = tuple((task, _state(task, at)) for task in listed)
    return Part(part.wave, shown, counts, len(part.tasks) - len(listed))


def _item(task: RunTask, at: int) -> Item:
    return Item(task.id, task.title, _state(task, at))


def _state(task: RunTask, at: int) -> str:
    """A task's state, seen from the run whose wave `at` is under way: `later` in a wave to come,
    `held` where it is ready and may not begin; `inbox` where it was given back."""
    if task.outcome == "returned":
        return "inbox"
    if task.wave > at and task.state in (TaskState.READY, TaskState.BLOCKED):
        return "later"
    return "held" if task.held and task.state is TaskState.READY else task.state.value


def _asks(row: GateRow) -> bool:
    """A budget's gate is told of with the money."""
    return row.gate.kind is not GateKind.BUDGET
