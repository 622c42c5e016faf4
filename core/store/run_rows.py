"""A run's rows at its beginning, and what of it is taken back: whole sets at a time."""

# ruff: noqa: S608 - statements are put together from the code's own words only
from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from core import lifecycle
from core.model import Event, Run, RunState, TaskState
from core.store import waves
from core.store.database import Tx


@dataclass(frozen=True, slots=True)
class NewRun:
    """What `/go` was given, checked. `waves`: the tasks' ids, wave by wave."""

    title: str
    waves: Sequence[Sequence[int]]
    created_by: str
    lane: str | None = None
    budget_tokens: int | None = None
    budget_usd: float | None = None


def create(tx: Tx, new: NewRun, words: str) -> Run:
    """Insert the run, take its tasks out of the inbox and start its first wave. `words` end
    the event's sentence."""
    run_id = tx.insert(
        "runs",
        title=new.title,
        lane=new.lane,
        state=RunState.PLANNED.value,
        waves=len(new.waves),
        total=sum(map(len, new.waves)),
        budget_tokens=new.budget_tokens,
        budget_usd=new.budget_usd,
        created_by=new.created_by,
        created_at=tx.now,
    )
    run = waves.again(tx, run_id)
    _insert_waves(tx, run, new.waves)
    event = tx.emit(Event("run.started", f"{run.ref} begins: {words}", run_id=run.id))
    _ready(tx, run, event.seq)
    run = waves.move(tx, run, RunState.RUNNING, started_at=tx.now)
    return waves.advance(tx, run)


def _insert_waves(tx: Tx, run: Run, tasks: Sequence[Sequence[int]]) -> None:
    tx.run(
        "INSERT INTO waves (run_id, number, state, total, open)"
        " SELECT ?, key + 1, 'pending', value, value FROM json_each(?)",
        (run.id, json.dumps([len(ids) for ids in tasks])),
    )
    members = json.dumps([[n, wave] for wave, ids in enumerate(tasks, 1) for n in ids])
    tx.run(
        "INSERT INTO run_tasks (run_id, task_id, wave)"
        " SELECT ?, value ->> 0, value ->> 1 FROM json_each(?)",
        (run.id, members),
    )
    tx.run(
        "UPDATE tasks SET run_id = ?1, wave = member.wave, held_by = NULL,"
        " held = CASE WHEN state = 'ready' THEN 'wave' END"
        " FROM run_tasks member WHERE member.run_id = ?1 AND tasks.id = member.task_id",
        (run.id,),
    )


def _ready(tx: Tx, run: Run, seq: int) -> None:
    """Out of the inbox: ready, or blocked by what comes before. One event tells of them all."""
    lifecycle.check("A task", TaskState.INBOX, TaskState.READY)
    lifecycle.check("A task", TaskState.INBOX, TaskState.BLOCKED)
    tx.run(
        "INSERT OR IGNORE INTO task_reasons (task_id, reason) SELECT id, 'dependency' FROM tasks"
        " INDEXED BY tasks_of_run WHERE run_id IS NOT NULL AND run_id = ? AND state = 'inbox'"
        " AND unmet > 0",
        (run.id,),
    )
    tx.run(
        "UPDATE tasks INDEXED BY tasks_of_run SET revision = ?2, updated_at = ?3,"
        " held = CASE WHEN unmet = 0 THEN 'wave' END,"
        " state = CASE WHEN unmet = 0 THEN 'ready' ELSE 'blocked' END"
        " WHERE run_id IS NOT NULL AND run_id = ?1 AND state = 'inbox'",
        (run.id, seq, tx.now),
    )


def stop(tx: Tx, run: Run, to: RunState, by: str) -> Run:
    """The run is over: what never began goes back to the inbox, the rest goes on alone."""
    lifecycle.check("A task", TaskState.READY, TaskState.INBOX)
    lifecycle.check("A task", TaskState.BLOCKED, TaskState.INBOX)
    found = tx.all(
        "SELECT id FROM tasks INDEXED BY tasks_of_run WHERE run_id IS NOT NULL AND run_id = ?"
        " AND begun = 0 AND state IN ('inbox', 'ready', 'blocked') AND blocked_from IS NULL",
        (run.id,),
    )
    ids = json.dumps([row["id"] for row in found])
    closed = waves.close(tx, run, to, by)
    within = "IN (SELECT value FROM json_each(?))"
    tx.run(f"DELETE FROM task_reasons WHERE task_id {within}", (ids,))
    tx.run(
        f"UPDATE tasks SET state = 'inbox', updated_at = ?, revision = ? WHERE id {within}",
        (tx.now, closed.revision, ids),
    )
    tx.run(
        f"UPDATE run_tasks SET outcome = 'returned' WHERE run_id = ? AND task_id {within}",
        (run.id, ids),
    )
    return closed


# -- who follows it ----------------------------------------------------------------------------


def follow(tx: Tx, run_id: int, platform: str, chat: str, message: str | None) -> None:
    """From now on this chat hears of the run."""
    tx.run(
        "INSERT OR IGNORE INTO run_places VALUES (?, ?, ?, ?)", (run_id, platform, chat, message)
    )


def places(tx: Tx, run_id: int) -> list[tuple[str, str, str | None]]:
    """The chats that follow the run, with the message to answer under."""
    return [
        (row["platform"], row["chat"], row["message"])
        for row in tx.all("SELECT * FROM run_places WHERE run_id = ?", (run_id,))
    ]
