"""How people change a task's words and fields, and what it waits for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from core import lifecycle
from core.artifacts import RAW
from core.errors import Refused
from core.house import House
from core.model import Actor, Event, Task, TaskState
from core.store import claims, runs, sessions, tasks
from core.store.database import Tx

WAITING = (TaskState.INBOX, TaskState.READY, TaskState.BLOCKED)
_AT_THE_START = {"repo": "repository", "workflow": "workflow", "run_command": "command"}
_WHILE_WAITING = {"assignee": "agent", "not_before": "time"}
_READ_BY_AGENTS = frozenset({"title", "description", "criteria", "plan"})
_NAMES = {
    "run_command": "command",
    "assignee": "agent",
    "not_before": "time",
    "budget_usd": "budget",
    "budget_tokens": "budget",
    "step": "workflow",
    "language": "languages",
    "tag": "tags",
    "skill": "skills",
    "preferred": "preferred skills",
}
"""What a column or a kind of label is called, where that isn't its name."""


@dataclass(frozen=True, slots=True)
class Edit:
    """New values of columns (None empties one), labels by kind in place of what there was, and
    criteria (None: as they are). `raw`: the new text as given, a further version of it."""

    columns: Mapping[str, Any] = field(default_factory=dict)
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    criteria: tuple[tuple[str, str | None], ...] | None = None
    raw: bytes | None = None


def edit(tx: Tx, house: House, task: Task, wanted: Edit, actor: Actor) -> tuple[str, ...]:
    """Change what differs; returns its names, none where it was all so already. Raises Refused
    for what can't be changed any more."""
    columns = {name: to for name, to in wanted.columns.items() if getattr(task, name) != to}
    changed = [*columns, *_changed_labels(tx, task, wanted)]
    if wanted.criteria is not None and wanted.criteria != _criteria(tx, task.id):
        changed.append("criteria")
    if not changed:
        return ()
    _may(task, columns)
    if columns:
        tx.update("tasks", {"id": task.id}, updated_at=tx.now, **columns, **_bound(columns, task))
    for kind in wanted.labels:
        _relabel(tx, task.id, kind, wanted.labels[kind])
    if {"touches", "lane", "repo"} & set(changed):
        runs.files_changed(tx, task)
    if task.held == "aside":
        claims.let_back(tx)
    if "criteria" in changed:
        _set_criteria(tx, task.id, wanted.criteria or ())
    if wanted.raw is not None:
        house.artifacts.keep(tx, task.id, RAW, wanted.raw, actor)
    _tell(tx, task, changed, actor)
    return names(changed)


def names(changed: list[str]) -> tuple[str, ...]:
    """What was changed, in words, each once."""
    return tuple(dict.fromkeys(_NAMES.get(name, name) for name in changed))


def unread(tx: Tx, task: Task, changed: tuple[str, ...]) -> bool:
    """Whether an agent is at work that was told the old text."""
    return bool(_READ_BY_AGENTS & set(changed)) and any(
        session.ended_at is None and session.state.value in ("starting", "running")
        for session in sessions.open_of_task(tx, task.id)
    )


def _may(task: Task, columns: Mapping[str, Any]) -> None:
    begun = task.begun or task.state not in WAITING
    for name, words in _AT_THE_START.items():
        if name in columns and begun:
            raise Refused(f"{task.ref} has begun: its {words} stays as it is.")
    for name, words in _WHILE_WAITING.items():
        if name in columns and (task.state not in WAITING or task.blocked_from is not None):
            raise Refused(
                f"{task.ref} is {lifecycle.words(task.state)}: its {words} is changed only while "
                f"it waits. /release {task.id} gives it back."
            )


def _bound(columns: Mapping[str, Any], task: Task) -> dict[str, Any]:
    """An assignee is one for the step at hand: another step forgets it."""
    if "assignee" in columns:
        step = columns.get("step", task.step)
        return {"assigned_step": step if columns["assignee"] else None}
    return {"assignee": None, "assigned_step": None} if "step" in columns else {}


def _changed_labels(tx: Tx, task: Task, wanted: Edit) -> list[str]:
    return [
        kind
        for kind, values in wanted.labels.items()
        if set(values) != set(tasks.labels(tx, task.id, kind))
    ]


def _relabel(tx: Tx, task_id: int, kind: str, values: tuple[str, ...]) -> None:
    old = set(tasks.labels(tx, task_id, kind))
    for value in old - set(values):
        tx.run(
            "DELETE FROM task_labels WHERE task_id = ? AND kind = ? AND value = ?",
            (task_id, kind, value),
        )
    for value in dict.fromkeys(values):
        if value not in old:
            tx.insert("task_labels", task_id=task_id, kind=kind, value=value)


def _criteria(tx: Tx, task_id: int) -> tuple[tuple[str, str | None], ...]:
    return tuple(
        (row["text"], row["command"])
        for row in tx.all(
            "SELECT text, command FROM criteria WHERE task_id = ? ORDER BY position", (task_id,)
        )
    )


def _set_criteria(tx: Tx, task_id: int, criteria: tuple[tuple[str, str | None], ...]) -> None:
    """All open again, whatever was ticked or passed: they are others now."""
    tx.run("DELETE FROM criteria WHERE task_id = ?", (task_id,))
    for position, (text, command) in enumerate(criteria, 1):
        tx.insert("criteria", task_id=task_id, position=position, text=text, command=command)


def _tell(tx: Tx, task: Task, changed: list[str], actor: Actor) -> None:
    said = names(changed)
    tx.emit(
        Event(
            "task.edited",
            f"{task.ref}: {', '.join(said)} changed by {actor.name or actor.user_id}",
            task_id=task.id,
            payload={"changed": list(said), "by": actor.key},
        )
    )
