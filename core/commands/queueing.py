"""Commands about the queue: its settings, its order, what is in it."""

from __future__ import annotations

from core import acts, cards, dispatch, lifecycle, queue, views
from core.commands import brake, editing, words
from core.commands.desk import Act, Desk
from core.commands.fitting import held_words, who_takes_it
from core.commands.grammar import Command, Form, task_id
from core.commands.lists import more, shown, span
from core.commands.looks import load_task
from core.commands.options import PAGE
from core.commands.reply import Reply, Table
from core.errors import Refused, Unclear
from core.model import ENDED, Event, Role, Task, TaskState, run_ref
from core.store import places, sessions, tasks
from core.store.database import Tx

_SAY = "Say /queue, /queue add 42, remove 42, clear, pause or resume."


async def show(desk: Desk, command: Command) -> Reply | Act:
    """What is ready, in the order of the claim; or a change of the queue."""
    if not command.words:
        return await _look(desk, command)
    verb, *rest = command.words
    if desk.role < Role.OPERATOR:
        raise Refused(
            f"/queue {verb[:20]} is for people with the role operator; "
            f"yours is {desk.role.name.lower()}."
        )
    if verb in ("add", "remove"):
        if len(rest) != 1:
            raise Unclear(f"Which task? /queue {verb} 42")
        number = task_id(rest[0])
        act = _add if verb == "add" else _remove
        return lambda tx: act(tx, desk, tasks.get(tx, number))
    plain = {"clear": _clear, "pause": brake.pause, "resume": brake.resume}
    if verb not in plain or rest:
        raise Unclear(f"`{' '.join(command.words)[:40]}` is nothing of the queue's. {_SAY}")
    return await plain[verb](desk, Command(verb))


async def _look(desk: Desk, command: Command) -> Reply:
    size, offset = span(command)
    found = await desk.house.store.view(lambda db: views.queue(db, size, offset))
    settings, running, stopping = await desk.house.store.write(
        lambda tx: (
            queue.load(tx, desk.house.policy),
            dispatch.load(tx).total(),
            len(sessions.stopping(tx)),
        )
    )
    rows = tuple(
        (str(number), task.ref, _what_holds(desk, task), task.title)
        for number, task in enumerate(found.items, found.offset + 1)
    )
    return Reply(
        shown(f"{found.total} ready", found),
        (_settings(settings, running, stopping),),
        table=Table(("place", "task", "what", "title"), rows) if rows else None,
        buttons=more(command, found, size),
    )


def _settings(settings: queue.Queue, running: int, stopping: int) -> str:
    """`running` counts what holds a place, and so what is being stopped, too."""
    first = "Paused: /resume lets it go on" if settings.paused else "Not paused"
    failure = "a failure pauses it" if settings.stop_on_failure else "a failure does not pause it"
    rest = f", {stopping} being stopped (/kill again ends it at once)" if stopping else ""
    going = f"at most {settings.max_concurrent} at once, {running - stopping} running{rest}"
    return f"{first}; {going}; {failure}."


def _what_holds(desk: Desk, task: Task) -> str:
    """`high · waits for its wave …`: what is remarkable of it, and why it isn't claimed yet."""
    now, zone = desk.house.store.now(), desk.house.policy.timezone
    said = [] if task.priority.name == "MEDIUM" else [task.priority.name.lower()]
    if task.held is not None:
        said.append(held_words(task))
    elif (task.not_before or 0) > now:
        said.append(f"not before {words.clock(task.not_before or 0, now, zone)}")
    else:
        assigned = task.assigned_step == task.step and task.assignee
        said.append(f"waits for {assigned}" if assigned else "waits for an agent")
    return " · ".join(said)


# -- in and out ----------------------------------------------------------------------------


def _add(tx: Tx, desk: Desk, task: Task) -> Reply:
    """Out of the inbox, to the end."""
    if task.state is TaskState.READY:
        raise Refused(f"{task.ref} is in the queue already: /move {task.id} top, for instance.")
    task = acts.ready(tx, task)
    places.put(tx, task, places.last(tx, task))
    return Reply(f"{task.ref} is in the queue.", (who_takes_it(tx, desk, task),))


def _remove(tx: Tx, desk: Desk, task: Task) -> Reply:
    """Back into the inbox, as long as nobody has begun it."""
    if task.run_id is not None:
        raise Refused(f"{task.ref} is part of {run_ref(task.run_id)}: /stop {task.run_id} first.")
    if task.begun or task.state not in (TaskState.READY, TaskState.BLOCKED):
        state = "has begun" if task.begun else f"is {lifecycle.words(task.state)}"
        raise Refused(f"{task.ref} {state}: it isn't in the queue. /cancel {task.id} drops it.")
    task = tasks.move(tx, task, TaskState.INBOX, held=None, held_by=None)
    words = f"{task.ref} was taken out of the queue by {desk.actor.name or desk.actor.user_id}"
    tx.emit(Event("task.status_changed", words, task_id=task.id))
    return Reply(f"{task.ref} is in the inbox. /ready {task.id} puts it back.")


async def _clear(desk: Desk, command: Command) -> Reply | Act:
    """Forget the places of ended tasks."""

    def act(tx: Tx) -> Reply:
        forgotten = places.forget(tx)
        return Reply(
            f"The places of {cards.counted(forgotten, 'ended task')} are forgotten."
            if forgotten
            else "There was nothing to clear: no ended task has a place."
        )

    return act


# -- order ---------------------------------------------------------------------------------


async def move(desk: Desk, command: Command) -> Reply | Act:
    """Among those of its priority: to the top or bottom, up or down, before or after another."""
    wanted = await load_task(desk, command)
    usage = f"/move {wanted.id} top, up, down, bottom, before 17 or after 17"
    where, *rest = (word.lower() for word in command.words[1:] or ("",))
    if where not in places.WHERE or (len(rest) != (where in ("before", "after"))):
        raise Unclear(f"Where to? {usage}.")
    other = task_id(rest[0]) if rest else None

    def act(tx: Tx) -> Reply:
        task = tasks.get(tx, wanted.id)
        beside = tasks.get(tx, other) if other is not None else None
        if not places.move(tx, task, where, beside):
            return Reply(f"{task.ref} stands there already.")
        level = task.priority.name.lower()
        to = f"{where} {beside.ref}" if beside else f"to the {where}"
        to = where if where in ("up", "down") else to
        return Reply(f"{task.ref} moved {to}, among what is {level}.", _waits(tx, desk, task))

    return act


def _waits(tx: Tx, desk: Desk, task: Task) -> tuple[str, ...]:
    return () if task.state is TaskState.READY else (who_takes_it(tx, desk, task),)


async def priority(desk: Desk, command: Command) -> Reply | Act:
    """What goes first."""
    wanted = await load_task(desk, command)
    if len(command.words) != 2:
        raise Unclear(f"How urgent? /priority {wanted.id} low, medium, high or urgent.")
    level = words.priority(command.words[1])

    def act(tx: Tx) -> Reply:
        task = tasks.get(tx, wanted.id)
        name = level.name.lower()
        if task.state in ENDED:
            raise Refused(f"{task.ref} is {lifecycle.words(task.state)}: /reopen {task.id} first.")
        if task.priority is level:
            return Reply(f"{task.ref} is {name} already.")
        tx.update("tasks", {"id": task.id}, priority=int(level), updated_at=tx.now)
        payload = {"changed": ["priority"], "by": desk.actor.key}
        tx.emit(Event("task.edited", f"{task.ref} is {name} now", task_id=task.id, payload=payload))
        return Reply(f"{task.ref} is {name} now.")

    return act


# -- give back -----------------------------------------------------------------------------


async def release(desk: Desk, command: Command) -> Reply | Act:
    """Whoever has it gives it back: it is ready for anybody."""
    wanted = await load_task(desk, command)

    def act(tx: Tx) -> Reply:
        before = tasks.get(tx, wanted.id)
        task = acts.release(tx, desk.house, before, desk.actor)
        if before.state is not TaskState.READY:
            return Reply(f"{task.ref} is given back.", (who_takes_it(tx, desk, task),))
        had = f"{before.assignee} doesn't have it any more" if before.assignee else "nobody had it"
        return Reply(f"{task.ref}: {had}.", (who_takes_it(tx, desk, task),))

    return act


V, O = Role.VIEWER, Role.OPERATOR  # noqa: E741
_QUEUE = "/queue [add 42, remove 42, clear, pause, resume]"
TABLE: list[tuple[Form, object]] = [
    (Form("queue", _QUEUE, V, "what is ready, in its order", PAGE), show),
    (
        Form(
            "move",
            "/move 42 top (up, down, bottom, before 17)",
            O,
            "its place",
            group="work",
            words=3,
        ),
        move,
    ),
    (Form("priority", "/priority 42 high", O, "what goes first", group="work", words=2), priority),
    (Form("release", "/release 42", O, "its agent gives it back", group="work", words=1), release),
    *editing.TABLE,
]
