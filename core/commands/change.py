"""Commands that change a task or the queue."""

from __future__ import annotations

import re
from dataclasses import dataclass

from core import acts
from core.commands.desk import Act, Desk
from core.commands.fitting import who_takes_it
from core.commands.grammar import Command, task_id
from core.commands.looks import load_task
from core.commands.reply import Button, Reply
from core.errors import Refused, Unclear
from core.lifecycle import Act as Deed
from core.model import Event, Priority, Task, TaskState
from core.store import tasks
from core.store.database import Tx


async def start(desk: Desk, command: Command) -> Reply | Act:
    """To the front: urgent, and out of the inbox."""
    wanted = await load_task(desk, command)

    def act(tx: Tx) -> Reply:
        task = tasks.get(tx, wanted.id)
        if task.state is TaskState.INBOX:
            task = _ready(tx, task)
        if task.state is not TaskState.READY:
            raise Refused(
                f"{task.ref} is {acts.situation(tx, desk.house, task).value}: "
                "only what is ready can be started."
            )
        tx.update("tasks", {"id": task.id}, priority=int(Priority.URGENT), not_before=None)
        tx.emit(Event("task.edited", f"{task.ref} goes first", task_id=task.id))
        return Reply(f"{task.ref} goes first.", (who_takes_it(tx, desk, task),))

    return act


async def ready(desk: Desk, command: Command) -> Reply | Act:
    wanted = await load_task(desk, command)
    return lambda tx: Reply(f"{_ready(tx, tasks.get(tx, wanted.id)).ref} is ready.")


def _ready(tx: Tx, task: Task) -> Task:
    """Out of the inbox: ready, or blocked by what it waits for."""
    if task.state is not TaskState.INBOX:
        raise Refused(f"{task.ref} is not in the inbox.")
    if task.unmet:
        return tasks.block(tx, task, "dependency")
    task = tasks.move(tx, task, TaskState.READY)
    tx.emit(Event("task.ready", f"{task.ref} is ready", task_id=task.id))
    return task


# -- how it ends -----------------------------------------------------------------------------


async def kill(desk: Desk, command: Command) -> Reply | Act:
    """Stop a task's session; also by the session's or the agent's name."""
    if not command.words:
        raise Unclear("Kill what? /kill 42, or a session or an agent by its name.")
    word = command.words[0]

    def act(tx: Tx) -> Reply:
        killed = [
            acts.end(tx, desk.house, task, Deed.KILL, desk.actor, "killed")
            for task in _meant(tx, word)
        ]
        return Reply(
            ", ".join(task.ref for task in killed) + " killed.",
            buttons=tuple(Button(f"Retry {task.id}", f"retry {task.id}") for task in killed[:3]),
        )

    return act


def _meant(tx: Tx, word: str) -> list[Task]:
    """The task behind a number or a session's id; for an agent's name those that it works on
    now: what waits at a gate is nobody's work, and what is being stopped is stopped."""
    if re.fullmatch(r"(?i)(task-?)?#?\d+", word):
        return [tasks.get(tx, task_id(word))]
    found = tx.all(
        "SELECT DISTINCT task_id FROM sessions WHERE (id = ? AND state <> 'terminated') "
        "OR (agent = ? AND state IN ('starting', 'running'))",
        (word, word),
    )
    if not found:
        raise Refused(f"Nothing of {word[:40]} runs. /sessions shows what does.")
    return [tasks.get(tx, row[0]) for row in found]


@dataclass(frozen=True, slots=True)
class Ending:
    """Cancel and done: the same act but for the table's column and the words."""

    deed: Deed
    words: str

    async def __call__(self, desk: Desk, command: Command) -> Reply | Act:
        wanted = await load_task(desk, command)

        def act(tx: Tx) -> Reply:
            task = _as_shown(tx, desk, wanted.id)
            task = acts.end(tx, desk.house, task, self.deed, desk.actor, self.words)
            return Reply(
                f"{task.ref} {self.words}.", buttons=(Button("Reopen", f"reopen {task.id}"),)
            )

        return act


cancel = Ending(Deed.CANCEL, "cancelled")
done = Ending(Deed.DONE, "marked done")


def _as_shown(tx: Tx, desk: Desk, wanted: int) -> Task:
    """The task, if it still is as the pressed button showed it."""
    task = tasks.get(tx, wanted)
    if desk.hash in list(TaskState) and desk.hash != task.state:
        raise Refused(
            f"{task.ref} has gone on since that button was drawn: it is "
            f"{acts.situation(tx, desk.house, task).value} now."
        )
    return task


async def retry(desk: Desk, command: Command) -> Reply | Act:
    wanted = await load_task(desk, command)

    def act(tx: Tx) -> Reply:
        task = acts.retry(tx, desk.house, _as_shown(tx, desk, wanted.id), command.text)
        return Reply(f"{task.ref} will be tried again.", (who_takes_it(tx, desk, task),))

    return act


async def reopen(desk: Desk, command: Command) -> Reply | Act:
    wanted = await load_task(desk, command)
    return lambda tx: Reply(
        f"{acts.reopen(tx, desk.house, tasks.get(tx, wanted.id)).ref} is open again."
    )
