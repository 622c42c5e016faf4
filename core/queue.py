"""The queue's settings: configured, then overridden by rows until set back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from core.model import Event, Place, Severity, Task, TaskState
from core.policy import Policy
from core.store import settings, tasks
from core.store.database import Tx


@dataclass(frozen=True, slots=True)
class Queue:
    """`because`: the task whose failure paused it."""

    paused: bool
    max_concurrent: int
    stop_on_failure: bool
    because: int | None = None


def rests(queue: Queue) -> str:
    """Why nothing new is begun, and what to type; empty while it goes on."""
    if queue.paused:
        return "the queue is paused: /resume lets it go on"
    if queue.max_concurrent == 0:
        return "nothing is started: /set queue.max_concurrent 1 lets one go on"
    return ""


def load(tx: Tx, policy: Policy) -> Queue:
    rows = {key: row.value for key, row in settings.changed(tx, "queue").items()}
    paused, because = _paused(rows.get(settings.PAUSED), policy.paused)
    return Queue(
        paused,
        int(cast(int, rows.get("queue.max_concurrent", policy.max_concurrent))),
        bool(rows.get("queue.stop_on_failure", policy.stop_on_failure)),
        because,
    )


def _paused(value: object, usual: bool) -> tuple[bool, int | None]:
    if not isinstance(value, dict):
        return usual, None
    return bool(value["paused"]), value["because"]


def pause(tx: Tx, by: str, because: int | None, words: str, told: Place | None = None) -> None:
    """`told`: where the answer says so already."""
    settings.put(tx, settings.PAUSED, {"paused": True, "because": because}, by)
    payload = {"told": [told.platform, told.chat]} if told is not None else {}
    tx.emit(Event("queue.paused", words, Severity.WARNING, task_id=because, payload=payload))


def resume(tx: Tx, by: str) -> None:
    settings.put(tx, settings.PAUSED, {"paused": False, "because": None}, by)
    tx.emit(Event("queue.resumed", "The queue goes on"))


def failed(tx: Tx, policy: Policy, task: Task) -> None:
    """A failure outside a run pauses the queue (model.md, rule 4), and says so once; a further
    one is remembered until the first was dealt with."""
    queue = load(tx, policy)
    if not queue.stop_on_failure or task.state is not TaskState.FAILED:
        return
    if not queue.paused:
        pause(tx, "bullpen", task.id, _because(task))
    elif queue.because is not None and queue.because != task.id:
        _remember(tx, queue.because, [*_further(tx), task.id])


def _because(task: Task) -> str:
    return (
        f"The queue is paused because {task.ref} failed: /retry {task.id}, "
        f"/cancel {task.id} or /resume"
    )


def settled(tx: Tx, task: Task) -> None:
    """A task that had paused the queue was dealt with: the queue goes on, or waits for the next
    one that has failed meanwhile."""
    row = settings.changed(tx, "queue").get(settings.PAUSED)
    because = _paused(row.value, False)[1] if row is not None else None
    further = [other for other in _further(tx) if other != task.id]
    if because != task.id:
        if because is not None and len(further) < len(_further(tx)):
            _remember(tx, because, further)
        return
    standing = [other for other in (tasks.find(tx, one) for one in further) if other is not None]
    failures = [other for other in standing if other.state is TaskState.FAILED]
    if not failures:
        resume(tx, "bullpen")
        return
    pause(tx, "bullpen", failures[0].id, _because(failures[0]))
    _remember(tx, failures[0].id, [other.id for other in failures[1:]])


def _further(tx: Tx) -> list[int]:
    """Tasks that failed while the queue was paused by another one."""
    row = settings.changed(tx, "queue").get(settings.PAUSED)
    value = row.value if row is not None else None
    return [int(one) for one in value.get("further") or ()] if isinstance(value, dict) else []


def _remember(tx: Tx, because: int, further: list[int]) -> None:
    value = {"paused": True, "because": because, "further": further}
    settings.put(tx, settings.PAUSED, value, "bullpen")
