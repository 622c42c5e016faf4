"""What is known of a run beside its rows: how long such tasks took, how many go at once."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from core.model import Run
from core.planning.forecast import Forecast, forecast
from core.store.tx import Row

Ask = Callable[[str, Sequence[Any]], list[Row]]
"""A SELECT and its parameters, answered by a transaction or by a reader."""

LAST = 20
"""Done tasks that are looked back at."""

_LANE = """
SELECT ended_at - started_at FROM tasks INDEXED BY tasks_of_lane
WHERE lane IS NOT NULL AND lane = ? AND ended_at IS NOT NULL AND state = 'done'
  AND started_at IS NOT NULL ORDER BY ended_at DESC LIMIT ?
"""
_CREW = """
SELECT ended_at - started_at FROM tasks INDEXED BY tasks_ended
WHERE ended_at IS NOT NULL AND state = 'done' AND started_at IS NOT NULL
ORDER BY ended_at DESC LIMIT ?
"""


def outlook(ask: Ask, run: Run, slots: int) -> Forecast | None:
    """How long the rest of it may take, with that many tasks at once."""
    left = ask(
        "SELECT open FROM waves INDEXED BY waves_open WHERE run_id = ? AND open > 0", (run.id,)
    )
    return of_lane(ask, run.lane, [row[0] for row in left], slots)


def of_lane(ask: Ask, lane: str | None, remaining: Sequence[int], slots: int) -> Forecast | None:
    """How long waves of so many tasks may take, judged by the lane's history."""
    own = [row[0] for row in ask(_LANE, (lane, LAST))] if lane is not None else []
    return forecast(own, [row[0] for row in ask(_CREW, (LAST,))], remaining, slots)


def at_once(ask: Ask, configured: int) -> int:
    """How many may run at the same time: as set by a person, else as configured."""
    found = ask("SELECT value FROM settings WHERE key = 'queue.max_concurrent'", ())
    return int(json.loads(found[0][0])) if found else configured


def in_work(ask: Ask, run_id: int) -> list[int]:
    """The tasks of the run that are under way, by id."""
    return [
        row[0]
        for row in ask(
            "SELECT id FROM tasks INDEXED BY tasks_active WHERE state IN"
            " ('planning', 'in_flight', 'review', 'blocked') AND state <> 'blocked'"
            " AND run_id = ? ORDER BY id",
            (run_id,),
        )
    ]


def lost(ask: Ask, run: Run) -> list[str]:
    """`1 failed`, `2 cancelled`: the parts of what the run counts as failed."""
    if not run.failed:
        return []
    sql = "SELECT count(*) FROM run_tasks WHERE run_id = ? AND outcome = 'cancelled'"
    cancelled = int(ask(sql, (run.id,))[0][0])
    parts = ((run.failed - cancelled, "failed"), (cancelled, "cancelled"))
    return [f"{number} {word}" for number, word in parts if number > 0]
