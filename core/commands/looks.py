"""Commands that look at all at once: status, what waits, who works, what happened."""

from __future__ import annotations

from core import cards, queue, views
from core.commands.desk import Desk
from core.commands.grammar import Command, gate_id, task_id
from core.commands.reply import Button, Reply, Table
from core.errors import Unclear
from core.model import GateKind, Task, TaskState, task_ref
from core.store import gates, tasks

_WANTED = {
    GateKind.QUESTION: "❓ a question",
    GateKind.PERMISSION: "🔐 leave for a tool",
    GateKind.REVIEW: "🧾 review",
    GateKind.MERGE: "🧾 review and merge",
}


async def status(desk: Desk, command: Command) -> Reply:
    """One line of state, then what waits for a person."""
    now, zone = desk.house.store.now(), desk.house.policy.timezone
    seen = await desk.house.store.view(lambda db: views.overview(db, now, zone))
    queue = await _queue_words(desk)
    cost = f", {seen.cost_today:.2f} USD" if seen.cost_today else ""
    failed = seen.counts.get(TaskState.FAILED, 0)
    title = (
        f"{seen.working} working · "
        + (f"{seen.stopping} being stopped · " if seen.stopping else "")
        + f"{seen.waiting} wait{'s' if seen.waiting == 1 else ''} "
        f"for a person · {seen.queued} queued"
        + (f" · {failed} failed" if failed else "")
        + f" · today {seen.done_today} done{cost}"
    )
    waiting = await inbox(desk, command)
    lines = tuple(line for line in (queue, *waiting.lines) if line)
    return Reply(title=title, lines=lines, table=waiting.table, buttons=waiting.buttons)


async def _queue_words(desk: Desk) -> str:
    settings = await desk.house.store.write(lambda tx: queue.load(tx, desk.house.policy))
    rests = queue.rests(settings)
    return f"{rests[:1].upper()}{rests[1:]}." if rests else ""


async def inbox(desk: Desk, command: Command) -> Reply:
    """What waits for a person, oldest first."""
    found = await desk.house.store.view(views.open_gates)
    if not found:
        return Reply("Nothing waits for you.")
    now = desk.house.store.now()
    rows = tuple(
        (
            row.gate.ref,
            task_ref(row.gate.task_id) if row.gate.task_id else "",
            _about(row),
            cards.duration(now - row.gate.opened_at),
        )
        for row in found[:10]
    )
    buttons = tuple(Button(f"Show {row.gate.ref}", f"gate {row.gate.ref}") for row in found[:4])
    return Reply(
        f"{len(found)} wait{'s' if len(found) == 1 else ''} for you",
        table=Table(("gate", "task", "what", "since"), rows),
        buttons=buttons,
    )


def _about(row: views.GateRow) -> str:
    """What is wanted, and the task's title; of a budget that it is about money."""
    if row.gate.kind is GateKind.BUDGET:
        return f"💰 {row.task_title or row.gate.title}"
    wanted = _WANTED.get(row.gate.kind)
    title = row.task_title or row.gate.title
    return f"{wanted}: {title}" if wanted else title


async def gate(desk: Desk, command: Command) -> Reply:
    """One gate's card again, with its buttons."""
    word = command.words[0] if command.words else ""
    number = gate_id(f"G-{word}" if word.isdecimal() else word)
    if number is None:
        raise Unclear("Which gate? /gate G-17; /inbox lists them.")
    card = await desk.house.store.write(lambda tx: cards.gate_card(tx, gates.get(tx, number)))
    return Reply(
        card.title,
        card.lines,
        code=card.code,
        attachments=card.attachments,
        buttons=card.buttons,
    )


async def load_task(desk: Desk, command: Command) -> Task:
    """The task that the first word names; raises Unclear."""
    if not command.words:
        raise Unclear(f"Which task? For instance /{command.name} 42")
    wanted = task_id(command.words[0])
    return await desk.house.store.write(lambda tx: tasks.get(tx, wanted))


async def events(desk: Desk, command: Command) -> Reply:
    """What happened last."""
    found = await desk.house.store.view(lambda db: views.events(db, n=10, loud=True))
    return Reply(
        "What happened last",
        lines=tuple(event.text for event in found if event.text) or ("Nothing yet.",),
    )
