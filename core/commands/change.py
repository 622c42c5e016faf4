"""Commands that change a task or the queue."""

from __future__ import annotations

from dataclasses import dataclass

from core import acts
from core.commands.desk import Act, Desk
from core.commands.fitting import who_takes_it
from core.commands.grammar import Command
from core.commands.looks import load_task
from core.commands.reply import Button, Reply
from core.errors import Refused
from core.lifecycle import Act as Deed
from core.model import Event, Priority, Task, TaskState
from core.store import needs, tasks, unmet
from core.store.database import Tx


async def start(desk: Desk, command: Command) -> Reply | Act:
    """To the front: urgent, and out of the inbox."""
    wanted = await load_task(desk, command)

    def act(tx: Tx) -> Reply:
        task = tasks.get(tx, wanted.id)
        if task.state is TaskState.INBOX:
            task = acts.ready(tx, task)
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

    def act(tx: Tx) -> Reply:
        task = acts.ready(tx, tasks.get(tx, wanted.id))
        state = "is ready" if task.state is TaskState.READY else "is out of the inbox"
        return Reply(f"{task.ref} {state}.", (who_takes_it(tx, desk, task),))

    return act


# -- how it ends -----------------------------------------------------------------------------


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
                f"{task.ref} {self.words}.",
                _left_waiting(tx, task),
                buttons=(Button("Reopen", f"reopen {task.id}"),),
            )

        return act


cancel = Ending(Deed.CANCEL, "cancelled")
done = Ending(Deed.DONE, "marked done")


def _left_waiting(tx: Tx, task: Task) -> tuple[str, ...]:
    """What goes on waiting for a task that was dropped, and how to let it go."""
    waiting = needs.what_waits_for(tx, task.id) if task.state is TaskState.CANCELLED else []
    if not waiting:
        return ()
    words = unmet.waiting_words(tx, task.id)
    return (f"{words}: /after {waiting[0].id} -{task.id} lets it go.",)


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
    """A task that has ended begins again, at its first step unless one is named."""
    wanted = await load_task(desk, command)
    step = command.words[1] if len(command.words) > 1 else None

    def act(tx: Tx) -> Reply:
        task = acts.reopen(tx, desk.house, tasks.get(tx, wanted.id), step)
        at = f" at {task.step}" if step else ""
        return Reply(f"{task.ref} is open again{at}.", (who_takes_it(tx, desk, task),))

    return act
