"""Tasks: rows, their guarded moves, dependencies, and the claim."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from core import lifecycle
from core.errors import Refused, Unclear
from core.model import ENDED, Event, Priority, Severity, Task, TaskState, task_ref
from core.store import budgets, rows, runs, unmet
from core.store.database import Tx


@dataclass(frozen=True, slots=True)
class NewTask:
    """What `/add` was given, checked."""

    title: str
    workflow: str
    first_step: str
    description: str = ""
    priority: Priority = Priority.MEDIUM
    complexity: str | None = None
    lane: str | None = None
    repo: str | None = None
    run_command: str | None = None
    assignee: str | None = None
    created_by: str = "system"
    after: tuple[int, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    criteria: tuple[tuple[str, str | None], ...] = ()
    draft: bool = False
    ephemeral: bool = False
    category: str | None = None
    budget_tokens: int | None = None
    budget_usd: float | None = None
    plan: str | None = None
    not_before: int | None = None


def add(tx: Tx, new: NewTask) -> Task:
    """Insert the task, `ready` (or `blocked` by what it waits for, or `inbox` as a draft)."""
    needed = list(dict.fromkeys(new.after))
    left = [needs_id for needs_id in needed if get(tx, needs_id).state is not TaskState.DONE]
    state = TaskState.INBOX if new.draft else TaskState.BLOCKED if left else TaskState.READY
    task_id = tx.insert(
        "tasks",
        title=new.title,
        description=new.description,
        slug=slug(new.title),
        state=state.value,
        priority=int(new.priority),
        complexity=new.complexity,
        lane=new.lane,
        repo=new.repo,
        workflow=new.workflow,
        step=new.first_step,
        run_command=new.run_command,
        assignee=new.assignee,
        assigned_step=new.first_step if new.assignee else None,
        category=new.category,
        budget_tokens=new.budget_tokens,
        budget_usd=new.budget_usd,
        plan=new.plan,
        not_before=new.not_before,
        ephemeral=int(new.ephemeral),
        created_by=new.created_by,
        created_at=tx.now,
        updated_at=tx.now,
    )
    unmet.add(tx, task_id, needed)
    if left and not new.draft:
        tx.insert("task_reasons", task_id=task_id, reason="dependency")
    for kind, value in dict.fromkeys(new.labels):
        tx.insert("task_labels", task_id=task_id, kind=kind, value=value)
    for position, (text, command) in enumerate(new.criteria, 1):
        tx.insert("criteria", task_id=task_id, position=position, text=text, command=command)
    tx.emit(Event("task.added", f"{task_ref(task_id)} added: {new.title}", task_id=task_id))
    return get(tx, task_id)


def slug(title: str) -> str:
    """A folder's name from a title: at most 60 characters, made once."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:60].strip("-") or "task"


def find(tx: Tx, task_id: int) -> Task | None:
    row = tx.one("SELECT * FROM tasks WHERE id = ?", (task_id,))
    return None if row is None else rows.task(row)


def get(tx: Tx, task_id: int) -> Task:
    """The task; raises Unclear, naming what there is instead."""
    task = find(tx, task_id)
    if task is None:
        raise Unclear(f"No task {task_id}. {_what_there_is(tx)}")
    return task


def _what_there_is(tx: Tx) -> str:
    waiting = tx.all(
        "SELECT DISTINCT task_id FROM gates WHERE state = 'open' "
        "AND task_id IS NOT NULL ORDER BY opened_at LIMIT 5"
    )
    if waiting:
        return "Waiting for you: " + ", ".join(task_ref(row[0]) for row in waiting) + "."
    newest = tx.value("SELECT max(id) FROM tasks")
    return f"The newest is {task_ref(newest)}." if newest else "Add one: /add TITLE"


def move(tx: Tx, task: Task, to: TaskState, **values: Any) -> Task:
    """Change its state, if it is still in the one that `task` shows, and keep what hangs on it.

    Raises Refused when the table doesn't allow it or somebody was faster.
    """
    lifecycle.check(task.ref, task.state, to)
    by_run = to is TaskState.READY and task.run_id is not None
    held, held_by = runs.held_for(tx, task) if by_run else (None, None)
    values = {"blocked_from": None, "held": held, "held_by": held_by, **values}
    values["ended_at"] = tx.now if to in ENDED else None
    if not tx.update(
        "tasks",
        {"id": task.id, "state": task.state.value},
        state=to.value,
        updated_at=tx.now,
        **values,
    ):
        raise Refused(f"{task.ref} has just changed. Look again: /task {task.id}")
    if to is TaskState.DONE:
        for waiting in unmet.met(tx, task.id):
            lift(tx, get(tx, waiting), "dependency")
    if task.state is TaskState.DONE:
        for waiting in unmet.wanted_again(tx, task.id):
            block(tx, get(tx, waiting), "dependency")
    if to in ENDED or to is TaskState.FAILED:
        budgets.over(tx, "task", str(task.id), f"{task.ref} has ended")
    if to is not TaskState.BLOCKED:
        tx.run("DELETE FROM task_reasons WHERE task_id = ?", (task.id,))
    # as it is stored: `task` may have been read before the run began
    runs.task_moved(tx, task, get(tx, task.id))
    return get(tx, task.id)


def block(tx: Tx, task: Task, reason: str) -> Task:
    """Add a reason; the first one blocks the task."""
    if task.state is not TaskState.BLOCKED:
        came_from = (
            task.state.value
            if task.state in (TaskState.PLANNING, TaskState.IN_FLIGHT, TaskState.REVIEW)
            else None
        )
        task = move(tx, task, TaskState.BLOCKED, blocked_from=came_from)
    tx.run("INSERT OR IGNORE INTO task_reasons VALUES (?, ?)", (task.id, reason))
    tx.emit(Event("task.status_changed", f"{task.ref} is blocked: {reason}", task_id=task.id))
    return get(tx, task.id)


def lift(tx: Tx, task: Task, reason: str) -> Task:
    """Take a reason away; with the last one gone the task goes back to where it was."""
    tx.run("DELETE FROM task_reasons WHERE task_id = ? AND reason = ?", (task.id, reason))
    if tx.value("SELECT 1 FROM task_reasons WHERE task_id = ?", (task.id,)):
        return task
    task = move(tx, task, task.blocked_from or TaskState.READY)
    if task.state is TaskState.READY:
        tx.emit(Event("task.ready", f"{task.ref} is ready", task_id=task.id))
    return task


def hold(tx: Tx, task: Task, why: str, words: str, kind: str = "task.status_changed") -> None:
    """Note why it can't go on just now; said once, not at every try."""
    if task.hold == why:
        return
    tx.run("UPDATE tasks SET hold = ? WHERE id = ?", (why, task.id))
    tx.emit(Event(kind, words, Severity.WARNING, task_id=task.id))


def fail(tx: Tx, task: Task, reason: str, payload: dict[str, Any] | None = None) -> Task:
    """The task fails for good, with the reason people read, and what now waits for it."""
    task = move(tx, task, TaskState.FAILED, failure=reason)
    waiting = unmet.waiting_words(tx, task.id)
    tx.emit(
        Event(
            "task.failed",
            f"{task.ref} failed: {reason}" + (f"; {waiting}" if waiting else ""),
            Severity.CRITICAL,
            task_id=task.id,
            payload={**(payload or {}), "waiting": waiting},
        )
    )
    return task


def labels(tx: Tx, task_id: int, kind: str) -> list[str]:
    return [
        row[0]
        for row in tx.all(
            "SELECT value FROM task_labels WHERE task_id = ? AND kind = ?", (task_id, kind)
        )
    ]


def follow(tx: Tx, task_id: int, platform: str, chat: str, message: str | None) -> None:
    """From now on this chat hears of the task."""
    tx.run(
        "INSERT OR IGNORE INTO task_places VALUES (?, ?, ?, ?)", (task_id, platform, chat, message)
    )


def places(tx: Tx, task_id: int) -> Iterable[tuple[str, str, str | None]]:
    """The chats that follow the task, with the message to answer under."""
    return [
        (row["platform"], row["chat"], row["message"])
        for row in tx.all("SELECT * FROM task_places WHERE task_id = ?", (task_id,))
    ]
