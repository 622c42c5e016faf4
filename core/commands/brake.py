"""Commands for the whole crew: the queue's pause, and the emergency brake."""

from __future__ import annotations

from core import acts, queue
from core.commands.desk import Act, Desk
from core.commands.grammar import Command
from core.commands.reply import Button, Reply
from core.lifecycle import Act as Deed
from core.store import tasks
from core.store.database import Tx


async def killall(desk: Desk, command: Command) -> Reply | Act:
    """The brake: pause the queue, end every session. Asks once."""
    if command.words[:1] != ("yes",):
        return Reply(
            "Stop everything? The queue is paused and every session is ended.",
            buttons=(Button("Stop everything", "killall yes", "danger"),),
        )

    def act(tx: Tx) -> Reply:
        queue.pause(tx, desk.actor.key, None, "The queue is paused by /killall")
        found = tx.all(
            "SELECT DISTINCT task_id FROM sessions JOIN tasks ON tasks.id = task_id "
            "WHERE sessions.state <> 'terminated' AND tasks.state NOT IN "
            "('done', 'failed', 'cancelled', 'ready')"
        )
        for row in found:
            acts.end(tx, desk.house, tasks.get(tx, row[0]), Deed.KILL, desk.actor, "killed")
        return Reply(f"Stopped {len(found)}. The queue is paused: /resume lets it go on.")

    return act


async def pause(desk: Desk, command: Command) -> Reply | Act:
    def act(tx: Tx) -> Reply:
        queue.pause(tx, desk.actor.key, None, f"The queue was paused by {desk.actor.name}")
        return Reply("The queue is paused; what runs goes on. /resume lets it go on.")

    return act


async def resume(desk: Desk, command: Command) -> Reply | Act:
    def act(tx: Tx) -> Reply:
        queue.resume(tx, desk.actor.key)
        return Reply("The queue goes on.")

    return act
