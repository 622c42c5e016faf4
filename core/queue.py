"""The queue's settings: configured, then overridden by rows until set back."""

from __future__ import annotations

import json
from dataclasses import dataclass

from core.model import Event, Severity, Task, TaskState
from core.policy import Policy
from core.store.database import Tx


@dataclass(frozen=True, slots=True)
class Queue:
    """`because`: the task whose failure paused it."""

    paused: bool
    max_concurrent: int
    stop_on_failure: bool
    because: int | None = None


def load(tx: Tx, policy: Policy) -> Queue:
    rows = {
        row["key"]: json.loads(row["value"])
        for row in tx.all("SELECT key, value FROM settings WHERE key GLOB 'queue.*'")
    }
    paused = rows.get("queue.paused", {"paused": policy.paused, "because": None})
    return Queue(
        paused["paused"],
        rows.get("queue.max_concurrent", policy.max_concurrent),
        rows.get("queue.stop_on_failure", policy.stop_on_failure),
        paused["because"],
    )


def put(tx: Tx, key: str, value: object, by: str) -> None:
    tx.run(
        "INSERT INTO settings VALUES (?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET "
        "value = excluded.value, set_by = excluded.set_by, updated_at = excluded.updated_at",
        (key, json.dumps(value), by, tx.now),
    )


def pause(tx: Tx, by: str, because: int | None, words: str) -> None:
    put(tx, "queue.paused", {"paused": True, "because": because}, by)
    tx.emit(Event("queue.paused", words, Severity.WARNING, task_id=because))


def resume(tx: Tx, by: str) -> None:
    put(tx, "queue.paused", {"paused": False, "because": None}, by)
    tx.emit(Event("queue.resumed", "The queue goes on"))


def failed(tx: Tx, policy: Policy, task: Task) -> None:
    """A failure outside a run pauses the queue (model.md, rule 4), and says so once."""
    queue = load(tx, policy)
    if queue.stop_on_failure and not queue.paused and task.state is TaskState.FAILED:
        pause(
            tx,
            "bullpen",
            task.id,
            f"The queue is paused because {task.ref} failed: /retry {task.id}, "
            f"/cancel {task.id} or /resume",
        )


def settled(tx: Tx, task: Task) -> None:
    """The task that had paused the queue was dealt with: the queue goes on."""
    row = tx.one("SELECT value FROM settings WHERE key = 'queue.paused'")
    if row and json.loads(row[0]).get("because") == task.id:
        resume(tx, "bullpen")
