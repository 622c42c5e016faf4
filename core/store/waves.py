"""A run's moves from state to state, and those of its waves.

run:  planned → running ⇄ paused → completed|failed|cancelled
wave: pending → running ⇄ paused → completed|failed|cancelled; failed → running on repair;
      completed → running when a task of it is reopened
"""

from __future__ import annotations

from typing import Any

from core import lifecycle
from core.errors import Refused
from core.model import Event, Run, RunState, Severity, WaveState, run_ref
from core.store import budgets, clashes, rows, run_facts
from core.store.database import Tx

R, W = RunState, WaveState


def move(tx: Tx, run: Run, to: RunState, **values: Any) -> Run:
    """Guarded change of a run's state; raises Refused when the table or the row says no."""
    lifecycle.check(run.ref, run.state, to)
    if to in (R.COMPLETED, R.FAILED, R.CANCELLED):
        values["ended_at"] = tx.now
    if not tx.update("runs", {"id": run.id, "state": run.state.value}, state=to.value, **values):
        raise Refused(f"{run.ref} has just changed. Look again: /run {run.id}")
    return again(tx, run.id)


def again(tx: Tx, run_id: int) -> Run:
    """The run as it is now."""
    row = tx.one("SELECT * FROM runs WHERE id = ?", (run_id,))
    if row is None:
        raise Refused(f"{run_ref(run_id)} is gone.")
    return rows.run(row)


def move_wave(tx: Tx, run: Run, to: WaveState) -> None:
    """Move the wave under way; one that is there already stays."""
    row = tx.one("SELECT state FROM waves WHERE run_id = ? AND number = ?", (run.id, run.wave))
    if row is None or row["state"] == to.value:
        return
    lifecycle.check(f"Wave {run.wave} of {run.ref}", W(row["state"]), to)
    ended = tx.now if to in (W.COMPLETED, W.CANCELLED) else None
    tx.run(
        "UPDATE waves SET state = ?, started_at = coalesce(started_at, ?), ended_at = ?"
        " WHERE run_id = ? AND number = ? AND state = ?",
        (to.value, tx.now, ended, run.id, run.wave, row["state"]),
    )


def open_again(tx: Tx, run: Run, number: int) -> None:
    """A wave behind the one under way is completed just as long as nothing of it is open."""
    if number >= run.wave:
        return
    lifecycle.check(f"Wave {number} of {run.ref}", W.COMPLETED, W.RUNNING)
    tx.run(
        "UPDATE waves SET state = CASE WHEN open > 0 THEN 'running' ELSE 'completed' END,"
        " ended_at = CASE WHEN open > 0 THEN NULL ELSE ? END"
        " WHERE run_id = ? AND number = ? AND state IN ('running', 'completed')",
        (tx.now, run.id, number),
    )


# -- pausing, going on -------------------------------------------------------------------------


def pause(tx: Tx, run: Run, **why: Any) -> Run:
    """Nothing more of it is claimed; what runs goes on. `because`: the failed task, `paused_by`:
    the person. A run that is paused takes the further reason."""
    if run.state is R.PAUSED:
        tx.update("runs", {"id": run.id}, **why)
        return again(tx, run.id)
    tx.run(
        "UPDATE tasks SET held = 'run', held_by = NULL WHERE run_id = ? AND state = 'ready'"
        " AND held IS NOT 'wave'",
        (run.id,),
    )
    move_wave(tx, run, W.PAUSED)
    return move(tx, run, R.PAUSED, **why)


def go_on(tx: Tx, run: Run, words: str) -> Run:
    """It claims again: no failure and no person stands in its way."""
    run = move(tx, run, R.RUNNING, because=None, paused_by=None)
    move_wave(tx, run, W.RUNNING)
    tx.emit(Event("run.resumed", words, run_id=run.id))
    clashes.let_go(tx, run.id, run.wave, clashes.started(tx, run.id, run.wave))
    return advance(tx, run)


# -- from wave to wave -------------------------------------------------------------------------


def advance(tx: Tx, run: Run) -> Run:
    """Start the next wave once every task before it has ended; the last one's end is the run's."""
    first = tx.value(
        "SELECT min(number) FROM waves INDEXED BY waves_open WHERE run_id = ? AND open > 0",
        (run.id,),
    )
    if first is None:
        return close(tx, run, R.COMPLETED)
    if run.state is not R.RUNNING or first <= run.wave:
        return run
    _complete_before(tx, run, first)
    tx.update("runs", {"id": run.id}, wave=first)
    run = again(tx, run.id)
    move_wave(tx, run, W.RUNNING)
    words = f"{run.ref}: wave {first} of {run.waves} begins"
    tx.emit(Event("wave.started", words, Severity.DEBUG, run_id=run.id, payload={"wave": first}))
    clashes.let_go(tx, run.id, first, clashes.started(tx, run.id, first))
    return run


def _complete_before(tx: Tx, run: Run, number: int) -> None:
    """Waves whose tasks have all ended: the one under way, and those behind it of which nothing
    is left to do."""
    if run.wave:
        move_wave(tx, run, W.COMPLETED)
        tx.emit(
            Event(
                "wave.completed",
                f"{run.ref}: wave {run.wave} of {run.waves} is done",
                run_id=run.id,
                payload={"wave": run.wave},
            )
        )
    tx.run(
        "UPDATE waves SET state = 'completed', started_at = coalesce(started_at, ?), ended_at = ?"
        " WHERE run_id = ? AND number < ? AND state = 'pending'",
        (tx.now, tx.now, run.id, number),
    )


def close(tx: Tx, run: Run, to: RunState, by: str = "") -> Run:
    """The run is over; its tasks are nobody's but their own again."""
    if to is R.COMPLETED:
        _complete_before(tx, run, run.waves + 1)
    else:
        for state in (W.RUNNING, W.PAUSED, W.PENDING):
            lifecycle.check(f"A wave of {run.ref}", state, W.CANCELLED)
        tx.run(
            "UPDATE waves SET state = 'cancelled', ended_at = ? WHERE run_id = ?"
            " AND state IN ('running', 'paused', 'pending')",
            (tx.now, run.id),
        )
    tx.run("UPDATE waves SET ended_at = ? WHERE run_id = ? AND state = 'failed'", (tx.now, run.id))
    run = move(tx, run, to)
    tx.run(
        "UPDATE tasks SET run_id = NULL, wave = NULL, held = NULL, held_by = NULL WHERE run_id = ?",
        (run.id,),
    )
    budgets.close_gate(tx, "run", str(run.id), f"{run.ref} has ended")
    tx.emit(Event(f"run.{to.value}", _ended(tx, run, by), run_id=run.id))
    return again(tx, run.id)


def _ended(tx: Tx, run: Run, by: str) -> str:
    words = {R.COMPLETED: "is done", R.FAILED: "has failed", R.CANCELLED: "was stopped"}
    who = (f", stopped by {by}" if run.state is R.FAILED else f" by {by}") if by else ""
    found = ", ".join([f"{run.done} of {run.total} done", *run_facts.lost(tx.all, run)])
    return f"{run.ref} {words[run.state]}{who}: {found}"
