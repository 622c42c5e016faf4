"""Commands that change what a task says, what it waits for, or whether it is there at all."""

from __future__ import annotations

from typing import Any

from core import acts
from core.acts.editing import Edit, edit, unread
from core.commands import amounts, fields, words
from core.commands.desk import Act, Desk
from core.commands.fitting import must_fit, who_takes_it
from core.commands.grammar import Command, Form, task_id
from core.commands.looks import load_task
from core.commands.options import EDIT
from core.commands.reply import Button, Reply
from core.errors import Unclear
from core.model import GateKind, Role, Task, TaskState, task_ref
from core.store import gates, needs, tasks
from core.store.database import Tx
from core.store.unmet import listed

_NONE = "none"
_SIGNS = "+-–—"
"""Phones make other dashes of one or two."""


# -- edit ----------------------------------------------------------------------------------


async def change(desk: Desk, command: Command) -> Reply | Act:
    """New words, fields or labels; the next lines are the new description and criteria."""
    wanted = await load_task(desk, command)
    made = await _edit(desk, command, wanted)

    def act(tx: Tx) -> Reply:
        task = tasks.get(tx, wanted.id)
        changed = edit(tx, desk.house, task, made, desk.actor)
        if name := made.columns.get("assignee"):
            must_fit(tx, desk, tasks.get(tx, task.id), name)
        if not changed:
            return Reply(f"{task.ref} says that already: nothing was changed.")
        return Reply(
            f"{task.ref}: {listed(changed)} changed.",
            tuple(_notes(tx, desk, tasks.get(tx, task.id), changed)),
            buttons=(Button("Show", f"task {task.id}"),),
        )

    return act


def _notes(tx: Tx, desk: Desk, task: Task, changed: tuple[str, ...]) -> list[str]:
    notes = []
    if unread(tx, task, changed):
        notes.append(f"The agent at work has the old text: /say {task.id} …")
    if "criteria" in changed:
        notes += [
            f"{gate.ref} stays open; the new criteria are checked when the work is next judged."
            for gate in gates.open_gates(tx, task.id)
            if gate.kind in (GateKind.REVIEW, GateKind.MERGE)
        ]
    if task.state is TaskState.READY:
        notes.append(who_takes_it(tx, desk, task))
    return notes


async def _edit(desk: Desk, command: Command, task: Task) -> Edit:
    columns = _plain(command) | _amounts(desk, command) | await _at_the_start(desk, command)
    run = columns.get("run_command", task.run_command)
    if "agent" in command.options:
        columns["assignee"] = _agent(desk, command.options["agent"], run)
    elif "run_command" in columns and task.assignee and task.assignee in desk.house.agents:
        _still_fits(desk, task, run)
    labels = fields.labels(command.many)
    criteria, raw = None, None
    if command.text:
        columns["description"], criteria = fields.body(command.text)
        raw = fields.raw(columns.get("title", task.title), command.text)
    if not columns and not labels:
        raise Unclear(
            f"Change what? /edit {task.id} NEW TITLE, or --lane web, --tag a, --budget 2usd …; "
            "the next lines are the new description."
        )
    return Edit(columns, labels, criteria, raw)


def _plain(command: Command) -> dict[str, Any]:
    options = command.options
    columns: dict[str, Any] = {
        name: None if options[name] == _NONE else fields.word(options[name], f"--{name}")
        for name in ("category", "lane")
        if name in options
    }
    if "plan" in options:
        columns["plan"] = None if options["plan"] == _NONE else options["plan"]
    title = fields.title(command.words[1:])
    if title and "title" in options:
        raise Unclear("Say the new title once: after the number, or with --title.")
    if title or "title" in options:
        columns["title"] = title or fields.title([options["title"]])
    if "priority" in options:
        columns["priority"] = words.priority(options["priority"])
    if "complexity" in options:
        size = options["complexity"]
        columns["complexity"] = None if size == _NONE else words.complexity(size)
    if "ephemeral" in options:
        columns["ephemeral"] = words.yes_or_no(options["ephemeral"], "--ephemeral")
    return columns


def _amounts(desk: Desk, command: Command) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    said = command.many.get("budget", ())
    if said == (_NONE,):
        columns |= {"budget_tokens": None, "budget_usd": None}
    elif said:
        tokens, usd = fields.budget(said)
        given = {"budget_tokens": tokens, "budget_usd": usd}
        columns |= {name: value for name, value in given.items() if value is not None}
    when = command.options.get("not-before")
    if when is not None:
        now, zone = desk.house.store.now(), desk.house.policy.timezone
        free = when in ("now", _NONE)
        columns["not_before"] = None if free else amounts.moment(when, now, zone)
    return columns


async def _at_the_start(desk: Desk, command: Command) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    options = command.options
    if "repo" in options:
        repo = desk.house.repo(options["repo"])
        await desk.house.repositories.ensure(repo)
        columns["repo"] = repo.name
    if "workflow" in options:
        workflow = desk.house.workflow(options["workflow"])
        columns |= {"workflow": workflow.name, "step": workflow.steps[0].id}
    if "run" in options:
        run = None if options["run"] == _NONE else options["run"]
        if run is not None:
            desk.house.check_command(run)
        columns["run_command"] = run
    return columns


def _agent(desk: Desk, name: str, run: str | None) -> str | None:
    return None if name == _NONE else fields.agent_for(desk, name, run).name


def _still_fits(desk: Desk, task: Task, run: str | None) -> None:
    """Raises Unclear where a command, or its lack, is nothing for the task's agent."""
    try:
        fields.agent_for(desk, task.assignee or "", run)
    except Unclear:
        does = "takes no --run commands" if run else "only runs commands"
        raise Unclear(
            f"{task.ref} is for {task.assignee}, which {does}: say --agent none too, or another."
        ) from None


# -- after ---------------------------------------------------------------------------------


async def after(desk: Desk, command: Command) -> Reply | Act:
    """What it waits for: in place of what there was, or added to and taken from it."""
    wanted = await load_task(desk, command)
    said = [part for word in command.words[1:] for part in word.split(",") if part]
    if not said:
        raise Unclear(f"Which tasks? /after {wanted.id} 12,13, or none, or +14, or -12.")
    signed = [part[0] in _SIGNS for part in said]
    if any(signed) and not all(signed):
        raise Unclear("Say either 12,13 for all that it waits for, or +12 and -13 to change that.")
    numbers = [] if said == [_NONE] else [(part[0], task_id(part.lstrip(_SIGNS))) for part in said]

    def act(tx: Tx) -> Reply:
        task = tasks.get(tx, wanted.id)
        task = needs.set_needs(tx, task, _needed(tx, task, numbers))
        names = [task_ref(one) for one in needs.of(tx, task.id)]
        first = f"{task.ref} waits for {listed(names) if names else 'no other task'}."
        return Reply(first, (who_takes_it(tx, desk, task),) if _waits(task) else ())

    return act


def _needed(tx: Tx, task: Task, numbers: list[tuple[str, int]]) -> list[int]:
    if not any(sign in _SIGNS for sign, _ in numbers):
        return [number for _, number in numbers]
    found = needs.of(tx, task.id)
    for sign, number in numbers:
        if sign == "+":
            found.append(number)
        elif number in found:
            found.remove(number)
        else:
            raise Unclear(f"{task.ref} doesn't wait for {task_ref(number)}: /task {task.id}")
    return found


def _waits(task: Task) -> bool:
    return task.state in (TaskState.INBOX, TaskState.READY, TaskState.BLOCKED)


# -- delete --------------------------------------------------------------------------------


async def delete(desk: Desk, command: Command) -> Reply | Act:
    """Remove a task; its folder stays. Asks once."""
    wanted = await load_task(desk, command)
    if command.words[1:] != ("yes",):
        await desk.house.store.write(lambda tx: acts.may_delete(tx, desk.house, wanted))
        return Reply(
            f"Delete {wanted.ref}, {wanted.title}?",
            ("It is gone from every list, with its history. Its folder is kept.",),
            buttons=(Button("Delete it", f"delete {wanted.id} yes", "danger"),),
        )

    def act(tx: Tx) -> Reply:
        task = tasks.get(tx, wanted.id)
        folder = acts.delete(tx, desk.house, task, desk.actor)
        return Reply(f"{task.ref} is deleted.", (f"Its folder is kept: {folder}",))

    return act


O = Role.OPERATOR  # noqa: E741
TABLE: list[tuple[Form, object]] = [
    (
        Form(
            "edit",
            "/edit 42 [NEW TITLE] [--lane web] [--tag T]; next lines: description",
            O,
            "change what a task says",
            EDIT,
            group="work",
        ),
        change,
    ),
    (
        Form("after", "/after 42 12,13 (or none, +14, -12)", O, "what it waits for", group="work"),
        after,
    ),
    (
        Form(
            "delete",
            "/delete 42 (asks once)",
            O,
            "remove it; its folder stays",
            group="work",
            words=1,
            asks=True,
        ),
        delete,
    ),
]
