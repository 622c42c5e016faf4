"""Commands that look: status, lists, one task, logs, the change."""

from __future__ import annotations

import asyncio
import re

from core import cards, queue, views
from core.commands.desk import Desk
from core.commands.grammar import Command, gate_id, task_id
from core.commands.reply import Attachment, Button, Reply, Table
from core.errors import Unclear
from core.model import GateKind, Priority, Task, TaskState, task_ref
from core.store import gates, tasks

WORDS = {TaskState.INBOX: "inbox", TaskState.IN_FLIGHT: "in work", TaskState.REVIEW: "review"}
LONG = 3000
"""Characters of a diff or log that stand in a message; more is attached whole."""
_NUMBER = re.compile("[0-9]{1,9}")


async def status(desk: Desk, command: Command) -> Reply:
    """One line of state, then what waits for a person."""
    now = desk.house.store.now()
    seen = await desk.house.store.view(lambda db: views.overview(db, now))
    queue = await _queue_words(desk)
    cost = f", {seen.cost_today:.2f} USD" if seen.cost_today else ""
    failed = seen.counts.get(TaskState.FAILED, 0)
    title = (
        f"{seen.working} working · {seen.waiting} wait{'s' if seen.waiting == 1 else ''} "
        f"for a person · {seen.queued} queued"
        + (f" · {failed} failed" if failed else "")
        + f" · today {seen.done_today} done{cost}"
    )
    waiting = await inbox(desk, command)
    lines = tuple(line for line in (queue, *waiting.lines) if line)
    return Reply(title=title, lines=lines, table=waiting.table, buttons=waiting.buttons)


async def _queue_words(desk: Desk) -> str:
    settings = await desk.house.store.write(lambda tx: queue.load(tx, desk.house.policy))
    return "The queue is paused: /resume lets it go on." if settings.paused else ""


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
            row.task_title or row.gate.title,
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


async def gate(desk: Desk, command: Command) -> Reply:
    """One gate's card again, with its buttons."""
    number = gate_id(command.words[0]) if command.words else None
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


async def list_(desk: Desk, command: Command) -> Reply:
    """Tasks, ten at a time."""
    cut, page = _filter(command)
    found = await desk.house.store.view(lambda db: views.list_tasks(db, cut))
    if not found.total:
        return Reply(
            "No task fits."
            if command.options or command.words
            else "No task yet. Add one: /add TITLE"
        )
    rows = tuple(
        (task_ref(row.id), WORDS.get(row.state, row.state.value), row.title) for row in found.items
    )
    more = found.total - cut.offset - len(rows)
    buttons = (Button(f"{more} more", _next_page(command, page + 1)),) if more > 0 else ()
    return Reply(
        cards.counted(found.total, "task"),
        buttons=buttons,
        table=Table(("task", "state", "title"), rows),
    )


def _filter(command: Command) -> tuple[views.Filter, int]:
    options = command.options
    state = _state(command.words[0]) if command.words else None
    size, page = number(options.get("n", "10"), "-n"), number(options.get("page", "1"), "--page")
    return views.Filter(
        state=state,
        lane=options.get("lane"),
        agent=options.get("agent"),
        tag=options.get("tag"),
        text=options.get("text"),
        unassigned="unassigned" in options,
        priority=priority(options["priority"]) if "priority" in options else None,
        limit=size,
        offset=(page - 1) * size,
    ), page


def _next_page(command: Command, page: int) -> str:
    kept = [f'--{key} "{value}"' for key, value in command.options.items() if key != "page"]
    return " ".join(["list", *command.words, *kept, f"--page {page}"])


def _state(word: str) -> TaskState:
    names = {state.value.replace("_", "-"): state for state in TaskState}
    found = names.get(word.lower().replace("_", "-"))
    if found is None:
        raise Unclear(f"No state `{word[:40]}`. There are: {', '.join(names)}.")
    return found


def priority(word: str) -> Priority:
    try:
        return Priority[word.upper()]
    except KeyError:
        raise Unclear(f"No priority `{word[:40]}`: low, medium, high or urgent.") from None


def number(text: str, what: str) -> int:
    if not _NUMBER.fullmatch(text) or not 1 <= int(text) <= 1000:
        raise Unclear(f"{what} takes a number from 1 to 1000, not `{text[:20]}`.")
    return int(text)


async def load_task(desk: Desk, command: Command) -> Task:
    """The task that the first word names; raises Unclear."""
    if not command.words:
        raise Unclear(f"Which task? For instance /{command.name} 42")
    wanted = task_id(command.words[0])
    return await desk.house.store.write(lambda tx: tasks.get(tx, wanted))


async def task(desk: Desk, command: Command) -> Reply:
    """One task: where it stands, who did what, what waits."""
    wanted = await load_task(desk, command)
    page = await desk.house.store.view(lambda db: views.task_page(db, wanted.id))
    card = await desk.house.store.write(lambda tx: cards.task_card(tx, wanted))
    if page is None:
        raise Unclear(f"No task {wanted.id}.")
    fields = [
        ("repo", wanted.repo or ""),
        ("workflow", f"{wanted.workflow}, at {wanted.step}"),
        ("priority", wanted.priority.name.lower()),
        ("lane", wanted.lane or ""),
        ("agent", wanted.assignee or ""),
        ("command", wanted.run_command or ""),
    ]
    lines = [*card.lines, wanted.description if wanted.description != wanted.title else ""]
    lines += [f"{'☑' if c.state in ('ticked', 'passed') else '☐'} {c.text}" for c in page.criteria]
    waits = tuple(Button(f"Show {g.ref}", f"gate {g.ref}") for g in page.open_gates[:2])
    return Reply(
        card.title,
        tuple(line for line in lines if line),
        tuple(pair for pair in fields if pair[1]),
        buttons=(*waits, *card.buttons)[:4],
    )


async def sessions(desk: Desk, command: Command) -> Reply:
    """The sessions that are not over."""
    found = await desk.house.store.view(lambda db: views.sessions(db, n=10))
    if not found:
        return Reply("Nothing runs now.")
    rows = tuple(
        (row.session.id, task_ref(row.session.task_id), row.session.outcome or row.session.state)
        for row in found
    )
    return Reply("Sessions", table=Table(("session", "task", "state"), rows))


async def agents(desk: Desk, command: Command) -> Reply:
    """The crew: who works, who is free, who can't work here and why."""
    known = {row.name: row for row in await desk.house.store.view(views.agents)}
    rows, notes = [], []
    for name, agent in sorted(desk.house.agents.items()):
        row = known.get(name)
        missing = desk.house.missing(agent)
        state = "offline" if missing else row.status if row else "idle"
        on = ", ".join(task_ref(s.session.task_id) for s in row.sessions[:3]) if row else ""
        rows.append((name, str(state), agent.driver, on))
        notes += [missing] if missing else []
    return Reply(
        cards.counted(len(rows), "agent"),
        lines=tuple(notes),
        table=Table(("agent", "status", "driver", "on"), tuple(rows)),
    )


async def events(desk: Desk, command: Command) -> Reply:
    """What happened last."""
    found = await desk.house.store.view(lambda db: views.events(db, n=10, loud=True))
    return Reply(
        "What happened last",
        lines=tuple(event.text for event in found if event.text) or ("Nothing yet.",),
    )


async def logs(desk: Desk, command: Command) -> Reply:
    """The end of what a task's agent said."""
    wanted = await load_task(desk, command)
    count = number(command.options.get("n", "50"), "-n")
    found = await desk.house.store.read(
        "SELECT id FROM sessions WHERE task_id = ? ORDER BY created_at DESC LIMIT 1", (wanted.id,)
    )
    if not found:
        return Reply(f"{wanted.ref} has no log yet: nobody has begun it.")
    session_id = found[0]["id"]
    lines = await desk.house.store.view(lambda db: views.log_tail(db, session_id, count))
    text = "\n".join(line.text for line in lines)
    return await _block(desk, f"{wanted.ref} · log of {session_id}", text, f"{session_id}.log")


async def diff(desk: Desk, command: Command) -> Reply:
    """The change as a diff."""
    wanted = await load_task(desk, command)
    if wanted.change is None:
        return Reply(f"{wanted.ref} has changed nothing yet.")
    if wanted.change.empty:
        return Reply(f"{wanted.ref}: no file was changed.")
    house = desk.house
    text = await house.repositories.diff(
        house.repo(wanted.repo), wanted.change.base, wanted.change.head
    )
    return await _block(
        desk,
        f"{wanted.ref} · {cards.changed(wanted.change)}",
        text,
        f"{wanted.ref}.diff",
        await _decide_buttons(desk, wanted),
    )


async def show(desk: Desk, command: Command) -> Reply:
    """An artifact, or without a name the change."""
    wanted = await load_task(desk, command)
    if len(command.words) < 2:
        return await diff(desk, command)
    text = desk.house.artifacts.read(wanted, command.words[1]).decode("utf-8", "replace")
    return await _block(desk, f"{wanted.ref} · {command.words[1]}", text, command.words[1])


async def _decide_buttons(desk: Desk, wanted: Task) -> tuple[Button, ...]:
    found = await desk.house.store.write(
        lambda tx: [
            cards.gate_card(tx, gate)
            for gate in gates.open_gates(tx, wanted.id)
            if gate.kind in (GateKind.REVIEW, GateKind.MERGE)
        ]
    )
    return found[0].buttons[:2] if found else ()


async def _block(
    desk: Desk, title: str, text: str, name: str, buttons: tuple[Button, ...] = ()
) -> Reply:
    """The text, redacted while it is whole: a secret that a cut divides is known no more."""
    text = await asyncio.to_thread(desk.house.redact, text)
    if len(text) <= LONG:
        return Reply(title, code=text or "(it said nothing)", buttons=buttons)
    return Reply(
        title,
        code=text[-LONG:] if name.endswith(".log") else text[:LONG],
        attachments=(Attachment(name, text),),
        buttons=buttons,
    )
