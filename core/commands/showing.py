"""Commands that show one task: its page, its change, its artifacts, its log."""

from __future__ import annotations

import asyncio

from core import cards, views
from core.commands import words
from core.commands.desk import Desk
from core.commands.fitting import held_words
from core.commands.grammar import Command
from core.commands.looks import load_task
from core.commands.reply import Attachment, Button, Reply, Table
from core.errors import Unclear
from core.model import ENDED, GateKind, Task, TaskState, run_ref, task_ref
from core.planning.budgets import Amount
from core.store import budgets, gates
from core.store.database import Tx
from core.store.unmet import listed
from core.views import TaskPage

LONG = 3000
"""Characters of a diff or log that stand in a message; more is attached whole."""


async def task(desk: Desk, command: Command) -> Reply:
    """One task: where it stands, all that is set, what it needs, what waits."""
    wanted = await load_task(desk, command)
    page = await desk.house.store.view(lambda db: views.task_page(db, wanted.id))
    card = await desk.house.store.write(lambda tx: cards.task_card(tx, wanted))
    if page is None:
        raise Unclear(f"No task {wanted.id}.")
    wanted = page.task
    ready = wanted.state is TaskState.READY
    place = await desk.house.store.view(lambda db: views.place(db, wanted)) if ready else None
    lines = [*card.lines, wanted.description if wanted.description != wanted.title else ""]
    lines += [f"{'☑' if c.state in ('ticked', 'passed') else '☐'} {c.text}" for c in page.criteria]
    lines += _links(page)
    allowed = await desk.house.store.write(lambda tx: _allowed(tx, page.task))
    fields = _fields(desk, page, place, allowed)
    waits = tuple(Button(f"Show {g.ref}", f"gate {g.ref}") for g in page.open_gates[:2])
    return Reply(
        card.title,
        tuple(line for line in lines if line),
        tuple((name, value) for name, value in fields if value),
        buttons=(*waits, *card.buttons)[:4],
    )


def _links(page: TaskPage) -> list[str]:
    """What it needs, and what needs it."""
    needs = [f"{task_ref(one)} ({state.replace('_', ' ')})" for one, _, state in page.needs]
    waiting = [task_ref(one) for one, _, state in page.needed_by if TaskState(state) not in ENDED]
    verb = "needs" if len(waiting) == 1 else "need"
    return [
        f"Needs {listed(needs)}." if needs else "",
        f"{listed(waiting)} {verb} it." if waiting else "",
    ]


def _allowed(tx: Tx, task: Task) -> Amount:
    """Its budget, with what answers granted on top."""
    spent = budgets.get(tx, "task", str(task.id))
    return Amount(task.budget_tokens, task.budget_usd).plus(spent.more_tokens, spent.more_usd)


def _fields(
    desk: Desk, page: TaskPage, place: int | None, allowed: Amount
) -> list[tuple[str, str]]:
    task, labels = page.task, page.labels
    now, zone = desk.house.store.now(), desk.house.policy.timezone
    begins = task.not_before or 0
    return [
        ("repo", task.repo or ""),
        ("workflow", f"{task.workflow}, at {task.step}"),
        ("priority", task.priority.name.lower()),
        ("complexity", task.complexity or ""),
        ("category", task.category or ""),
        ("lane", task.lane or ""),
        ("tags", ", ".join(labels.get("tag", ()))),
        ("skills", ", ".join(labels.get("skill", ()))),
        ("preferred", ", ".join(labels.get("preferred", ()))),
        ("languages", ", ".join(labels.get("language", ()))),
        ("touches", ", ".join(labels.get("touches", ()))),
        ("agent", task.assignee or ""),
        ("command", task.run_command or ""),
        ("plan", task.plan or ""),
        ("not before", words.clock(begins, now, zone) if begins > now else ""),
        ("run", f"{run_ref(task.run_id)}, wave {task.wave}" if task.run_id else ""),
        ("place", f"{place} in the queue" if place else ""),
        ("held", held_words(task) if task.held else ""),
        ("budget", words.money(allowed.tokens, allowed.usd)),
        ("spent", words.money(task.tokens or page.tokens, task.cost_usd or page.cost_usd)),
        ("artifacts", ", ".join(f"{one.name}@{one.version}" for one in page.artifacts)),
        ("verified", task.verification or ""),
        ("kept", "a day after its end" if task.ephemeral else ""),
        ("added by", f"{task.created_by}, {words.clock(task.created_at, now, zone)}"),
    ]


async def diff(desk: Desk, command: Command) -> Reply:
    """The change as a diff."""
    wanted = await load_task(desk, command)
    if wanted.change is None:
        return Reply(f"{wanted.ref} has changed nothing yet.")
    if wanted.change.empty:
        return Reply(f"{wanted.ref}: no file was changed.", tuple(cards.apart(wanted.change)))
    house = desk.house
    text = await house.repositories.diff(
        house.repo(wanted.repo), wanted.change.base, wanted.change.head
    )
    return await block(
        desk,
        f"{wanted.ref} · {cards.changed(wanted.change)}",
        text,
        f"{wanted.ref}.diff",
        await _decide_buttons(desk, wanted),
    )


async def show(desk: Desk, command: Command) -> Reply:
    """An artifact, an older version of it, or all there are; without a name the change, or where
    there is none the artifact that a person is to judge."""
    wanted = await load_task(desk, command)
    if len(command.words) < 2:
        return await _judged(desk, wanted) or await diff(desk, command)
    name, _, version = command.words[1].partition("@")
    if command.words[1] == "artifacts":
        return await _artifacts(desk, wanted)
    number = words.number(version, f"{name[:40]}@", most=10**6) if version else None
    text = desk.house.artifacts.read(wanted, name, number).decode("utf-8", "replace")
    return await block(desk, f"{wanted.ref} · {command.words[1]}", text, name)


async def _judged(desk: Desk, wanted: Task) -> Reply | None:
    buttons = await _decide_buttons(desk, wanted)
    name = desk.house.step(wanted).artifact if buttons and wanted.change is None else None
    if name is None:
        return None
    text = desk.house.artifacts.read(wanted, name).decode("utf-8", "replace")
    return await block(desk, f"{wanted.ref} · {name}", text, name, buttons)


async def _artifacts(desk: Desk, wanted: Task) -> Reply:
    found = await desk.house.store.view(lambda db: views.versions(db, wanted.id))
    now, zone = desk.house.store.now(), desk.house.policy.timezone
    rows = tuple(
        (f"{one.name}@{one.version}", one.author, words.clock(one.at, now, zone))
        for one in found[-30:]
    )
    newest = tuple({one.name: one for one in found}.values())
    return Reply(
        f"{wanted.ref} · {cards.counted(len(newest), 'artifact')}",
        table=Table(("artifact", "by", "when"), rows),
        buttons=tuple(Button(one.name, f"show {wanted.id} {one.name}") for one in newest[:4]),
    )


async def _decide_buttons(desk: Desk, wanted: Task) -> tuple[Button, ...]:
    found = await desk.house.store.write(
        lambda tx: [
            cards.gate_card(tx, gate)
            for gate in gates.open_gates(tx, wanted.id)
            if gate.kind in (GateKind.REVIEW, GateKind.MERGE)
        ]
    )
    return found[0].buttons[:2] if found else ()


async def block(
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
