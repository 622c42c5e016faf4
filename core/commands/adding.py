"""The command that asks for work: its words checked, before anything is stored."""

from __future__ import annotations

from core import dispatch, planning, queue
from core.artifacts import RAW, check_name
from core.commands import amounts, fields, words
from core.commands.desk import Act, Desk
from core.commands.fitting import who_takes_it
from core.commands.grammar import Command
from core.commands.reply import Button, Reply
from core.errors import Unclear
from core.model import Priority, TaskState
from core.store import tasks
from core.store.database import Tx
from core.store.tasks import NewTask


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
        raw = fields.raw(task.title, command.text)
        desk.house.artifacts.keep(tx, task.id, RAW, raw, desk.actor)
        if not queue.rests(queue.load(tx, desk.house.policy)):
            dispatch.say_if_nobody(tx, desk.house, task, desk.able, desk.place)
        return Reply(
            f"{task.ref} · {task.title}",
            (who_takes_it(tx, desk, task),),
            buttons=(
                Button("Ready", f"ready {task.id}", "primary")
                if task.state is TaskState.INBOX
                else Button("Start now", f"start {task.id}"),
                Button("Assign…", f"assign {task.id}", ask="To which agent?"),
                Button(
                    "Edit…", f"edit {task.id}", ask="The new title? Next lines: the description."
                ),
                Button("Cancel", f"cancel {task.id}"),
            ),
        )

    return act


async def _new_task(desk: Desk, command: Command) -> NewTask:
    options, many = command.options, command.many
    title = fields.title(command.words)
    if not title:
        raise Unclear('Give it a title: /add "Add a greeting"')
    workflow = desk.house.workflow(options.get("workflow", desk.house.policy.default_workflow))
    repo = desk.house.repo(options.get("repo"))
    await desk.house.repositories.ensure(repo)
    run = options.get("run")
    if run is not None:
        desk.house.check_command(run)
    agent = fields.agent_for(desk, options["agent"], run) if "agent" in options else None
    if agent and planning.only_thinks(agent, workflow.steps[0]):
        raise Unclear(
            f"{agent.name} is one call of a model and changes no files: name another --agent, or "
            "a --workflow that begins with a step for it (docs/agents.md)."
        )
    description, criteria = fields.body(command.text)
    tokens, usd = fields.budget(many.get("budget", ()))
    size, when = options.get("complexity"), options.get("not-before")
    return NewTask(
        title=title,
        description=description,
        workflow=workflow.name,
        first_step=workflow.steps[0].id,
        repo=repo.name,
        run_command=run,
        priority=words.priority(options.get("priority", Priority.MEDIUM.name)),
        complexity=words.complexity(size) if size else None,
        category=_word(options.get("category"), "--category"),
        lane=_word(options.get("lane"), "--lane"),
        assignee=agent.name if agent else None,
        budget_tokens=tokens,
        budget_usd=usd,
        plan=options.get("plan"),
        not_before=_moment(desk, when) if when else None,
        created_by=desk.actor.name or desk.actor.key,
        after=fields.ids(options.get("after", "")),
        criteria=criteria,
        draft="draft" in options,
        ephemeral="ephemeral" in options,
        labels=tuple(
            (kind, value) for kind, found in fields.labels(many).items() for value in found
        ),
    )


def _word(text: str | None, what: str) -> str | None:
    return fields.word(text, what) if text else None


def _moment(desk: Desk, text: str) -> int:
    return amounts.moment(text, desk.house.store.now(), desk.house.policy.timezone)
