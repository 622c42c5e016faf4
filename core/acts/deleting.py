"""How a task is removed: its rows go, its folder and its workspaces stay."""

from __future__ import annotations

import json

from core import lifecycle, queue
from core.acts.standing import situation
from core.commands.reply import Reply
from core.errors import Refused
from core.house import House
from core.lifecycle import Act
from core.model import Actor, Event, SessionState, Task, run_ref
from core.store import deliveries, needs, sessions, unmet
from core.store.database import Tx


def may_delete(tx: Tx, house: House, task: Task) -> None:
    """Raises Refused, saying what to do first, while anything still hangs on it."""
    lifecycle.decide(situation(tx, house, task), Act.DELETE, task.id)
    for session in sessions.open_of_task(tx, task.id):
        if session.state is SessionState.TERMINATING:
            raise Refused(f"{session.id} of {task.ref} is just being stopped: try again in a bit.")
        raise Refused(f"{task.ref} has a session, {session.id}: /cancel {task.id} first.")
    if task.run_id is not None:
        raise Refused(f"{task.ref} is part of {run_ref(task.run_id)}: /stop {task.run_id} first.")
    waiting = needs.what_waits_for(tx, task.id)
    if waiting:
        names = unmet.listed([one.ref for one in waiting])
        verb = "needs" if len(waiting) == 1 else "need"
        raise Refused(f"{names} {verb} it: /after {waiting[0].id} -{task.id} first.")


def delete(tx: Tx, house: House, task: Task, actor: Actor) -> str:
    """Remove the task; returns its folder, below the data folder."""
    may_delete(tx, house, task)
    queue.settled(tx, task)
    folder = str(house.artifacts.folder(task).relative_to(house.data))
    words = f"{task.ref} deleted by {actor.name or actor.user_id}"
    _remember(tx, task, folder, actor)
    _tell_chats(tx, task, words)
    unmet.forget(tx, task.id)
    tx.run("DELETE FROM budgets WHERE scope = 'task' AND key = ?", (str(task.id),))
    tx.run("DELETE FROM tasks WHERE id = ?", (task.id,))
    tx.emit(
        Event(
            "task.deleted",
            words,
            task_id=task.id,
            payload={"title": task.title, "folder": folder, "by": actor.key},
        )
    )
    return folder


def _remember(tx: Tx, task: Task, folder: str, actor: Actor) -> None:
    found = tx.all("SELECT id FROM sessions WHERE task_id = ? ORDER BY created_at, id", (task.id,))
    tx.insert(
        "deleted_tasks",
        id=task.id,
        title=task.title,
        folder=folder,
        sessions=json.dumps([row["id"] for row in found]),
        deleted_by=actor.name or actor.key,
        deleted_at=tx.now,
    )


def _tell_chats(tx: Tx, task: Task, words: str) -> None:
    """Its live message, wherever one stands or is on its way, says so and offers nothing."""
    key = f"task:{task.id}"
    for row in tx.all(
        "SELECT platform, chat FROM messages WHERE task_id = ? AND key = ? UNION"
        " SELECT platform, chat FROM deliveries WHERE state = 'owed' AND key = ?",
        (task.id, key, key),
    ):
        deliveries.owe(
            tx,
            platform=row["platform"],
            chat=row["chat"],
            reply=Reply(f"🗑 {words}", (task.title,), key=key, silent=True),
            urgency=deliveries.PROGRESS,
        )
