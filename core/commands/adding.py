"""The command that asks for work: its words checked, before anything is stored."""

from __future__ import annotations

import re

from core import planning
from core.artifacts import RAW, check_name
from core.commands.desk import Act, Desk
from core.commands.fitting import who_takes_it
from core.commands.grammar import Command, task_id
from core.commands.looks import priority
from core.commands.reply import Button, Reply
from core.errors import Unclear
from core.model import COMPLEXITIES, Priority, Task
from core.store import tasks
from core.store.database import Tx
from core.store.tasks import NewTask

LONGEST_TITLE = 300


async def add(desk: Desk, command: Command) -> Reply | Act:
    """A new task, ready at once; its card says who will take it."""
    new = await _new_task(desk, command)
    files = [(file.name, await desk.fetch(file)) for file in desk.files if desk.fetch]
    for name, _ in files:
        check_name(name)

    def act(tx: Tx) -> Reply:
        task = tasks.add(tx, new)
        tasks.follow(tx, task.id, desk.place.platform, desk.place.chat, desk.place.message)
        for name, data in files:
            desk.house.artifacts.keep(tx, task.id, name, data, desk.actor)
        desk.house.artifacts.keep(tx, task.id, RAW, _raw(task).encode(), desk.actor)
        return Reply(
            f"{task.ref} · {task.title}",
            (who_takes_it(tx, desk, task),),
            buttons=(
                Button("Start now", f"start {task.id}"),
                Button("Assign…", f"assign {task.id}", ask="To which agent?"),
                Button("Cancel", f"cancel {task.id}"),
            ),
        )

    return act


def _raw(task: Task) -> str:
    return f"# {task.title}\n\n{task.description}\n" if task.description else f"# {task.title}\n"


async def _new_task(desk: Desk, command: Command) -> NewTask:
    options, many = command.options, command.many
    title = " ".join(command.words).strip()
    if not title:
        raise Unclear('Give it a title: /add "Add a greeting"')
    if len(title) > LONGEST_TITLE:
        raise Unclear(
            f"That title has {len(title)} characters, {LONGEST_TITLE} fit. Put the rest "
            "on the next lines: they are the description."
        )
    workflow = desk.house.workflow(options.get("workflow", desk.house.policy.default_workflow))
    repo = desk.house.repo(options.get("repo"))
    await desk.house.repositories.ensure(repo)
    run = options.get("run")
    if run is not None:
        desk.house.check_command(run)
    agent = desk.house.agent(options["agent"]) if "agent" in options else None
    description, criteria = _body(command.text)
    if run is None and agent is not None and planning.runs_only_given_commands(agent):
        raise Unclear(f"{agent.name} only runs commands: /add TITLE --run COMMAND")
    if run is not None and agent is not None and not planning.runs_only_given_commands(agent):
        raise Unclear(f"{agent.name} takes no --run commands: leave --run or --agent away.")
    return NewTask(
        title=title,
        description=description,
        workflow=workflow.name,
        first_step=workflow.steps[0].id,
        repo=repo.name,
        run_command=run,
        priority=priority(options["priority"]) if "priority" in options else Priority.MEDIUM,
        complexity=_complexity(options.get("complexity")),
        lane=options.get("lane"),
        assignee=agent.name if agent else None,
        created_by=desk.actor.name or desk.actor.key,
        after=_after(options.get("after")),
        criteria=criteria,
        draft="draft" in options,
        ephemeral="ephemeral" in options,
        labels=tuple(
            (kind, value)
            for option, kind in (
                ("tag", "tag"),
                ("skill", "skill"),
                ("lang", "language"),
                ("touches", "touches"),
            )
            for value in many.get(option, ())
        ),
    )


def _body(text: str) -> tuple[str, tuple[tuple[str, str | None], ...]]:
    """The description, and its `- [ ]` lines as acceptance criteria: text and command."""
    boxes, rest = [], []
    for line in text.splitlines():
        box = re.match(r"^\s*[-*]\s*\[[ xX]?\]\s*(.+)$", line)
        if box is None:
            rest.append(line)
            continue
        inside = re.search(r"`([^`]+)`", box[1])
        boxes.append((box[1].strip(), inside[1] if inside else None))
    return "\n".join(rest).strip(), tuple(boxes)


def _complexity(word: str | None) -> str | None:
    if word is not None and word.lower() not in COMPLEXITIES:
        raise Unclear(f"No complexity `{word[:20]}`: {', '.join(COMPLEXITIES)}.")
    return word.lower() if word else None


def _after(text: str | None) -> tuple[int, ...]:
    return tuple(task_id(word) for word in re.split(r"[,\s]+", text or "") if word)
