"""The command that starts an agent on something that is nobody's task yet."""

from __future__ import annotations

from dataclasses import dataclass

from core import alone, dispatch, planning
from core.artifacts import RAW
from core.cards.words import sentence
from core.commands import fields
from core.commands.desk import Act, Desk
from core.commands.fitting import must_fit, who_takes_it
from core.commands.grammar import Command, Form, Option
from core.commands.reply import Button, Reply
from core.errors import Refused, Unclear
from core.model import Agent, Priority, Role, Task, WorktreeState
from core.store import claims, tasks
from core.store.database import Tx
from core.store.tasks import NewTask
from core.worktrees import listing
from core.worktrees.lending import check_lendable, check_place

USAGE = '/spawn TYPE "PROMPT" [--agent NAME] [--repo R] [--worktree PATH] [--interactive]'
_TITLE = 80


@dataclass(frozen=True, slots=True)
class Wanted:
    """What somebody asked for: a step of that type, done in that way. `worktree`: the number of
    one made by hand."""

    kind: str
    prompt: str
    repo: str
    agent: Agent | None
    worktree: int | None
    interactive: bool


async def spawn(desk: Desk, command: Command) -> Reply | Act:
    """An ephemeral task on a workflow of one step; it goes first."""
    wanted = await _wanted(desk, command)
    await desk.house.repositories.ensure(desk.house.repo(wanted.repo))
    new = _task(desk, wanted)

    def act(tx: Tx) -> Reply:
        task = tasks.add(tx, new)
        tx.update(
            "tasks",
            {"id": task.id},
            interactive=int(wanted.interactive),
            borrows=wanted.worktree,
        )
        task = tasks.get(tx, task.id)
        if wanted.agent is not None:
            must_fit(tx, desk, task, wanted.agent.name)
        elif wanted.interactive:
            _must_find_one(tx, desk, task)
        tasks.follow(tx, task.id, desk.place.platform, desk.place.chat, desk.place.message)
        raw = fields.raw(task.title, wanted.prompt)
        desk.house.artifacts.keep(tx, task.id, RAW, raw, desk.actor)
        return Reply(
            f"{task.ref} · {task.title}",
            (
                who_takes_it(tx, desk, task),
                *_unknown_kind(desk, wanted),
                *_how(task.id, wanted),
            ),
            buttons=(Button("Log", f"logs {task.id}"), Button("Kill", f"kill {task.id}")),
        )

    return act


def _how(number: int, wanted: Wanted) -> tuple[str, ...]:
    if not wanted.interactive:
        return ()
    return (
        f"Type to it: /say {number} TEXT, or a key: /say {number} <esc>. "
        f"It ends by itself, by /done {number} or /kill.",
    )


def _task(desk: Desk, wanted: Wanted) -> NewTask:
    name = wanted.agent.name if wanted.agent else wanted.kind
    first = wanted.prompt.strip().split("\n", 1)[0] or f"A session of {name}"
    return NewTask(
        title=first if len(first) <= _TITLE else first[: _TITLE - 1] + "…",
        description=wanted.prompt,
        workflow=alone.PREFIX + wanted.kind,
        first_step="work",
        priority=Priority.URGENT,
        repo=wanted.repo,
        assignee=wanted.agent.name if wanted.agent else None,
        created_by=desk.actor.name or desk.actor.key,
        ephemeral=True,
    )


async def _wanted(desk: Desk, command: Command) -> Wanted:
    options = command.options
    agent = desk.house.agent(options["agent"]) if "agent" in options else None
    interactive = "interactive" in options
    kind, prompt = _said(command, agent)
    if agent is not None and interactive:
        _must_be_typed_to(desk, agent)
    if agent is not None and planning.runs_only_given_commands(agent):
        raise Unclear(f'{agent.name} only runs given commands: /add TITLE --run "COMMAND"')
    if not prompt and not interactive and not (agent and agent.options.get("command")):
        raise Unclear(f"What is it to do? {USAGE}; or --interactive to type to it.")
    worktree, repo = await _where(desk, options.get("worktree"), options.get("repo"))
    if worktree is not None and agent is not None:
        check_place(desk.house, agent)
    return Wanted(kind, prompt, repo, agent, worktree, interactive)


def _must_be_typed_to(desk: Desk, agent: Agent) -> None:
    """Raises Unclear for an agent that takes no talk at a terminal, with its driver's words."""
    if planning.runs_only_given_commands(agent):
        raise Unclear(
            f"{agent.name} has no program of its own to type to: give it one in agents.toml, "
            'for instance options.command = "bash -i".'
        )
    why = desk.house.untyped(agent)
    if why is not None:
        raise Unclear(f"{why.rstrip('.')}: leave --interactive away.")


def _must_find_one(tx: Tx, desk: Desk, task: Task) -> None:
    """Raises Refused where no agent that is ready takes talk at a terminal, with what would
    help."""
    if any(found.eligible for found in dispatch.candidates(tx, desk.house, task, desk.able)):
        return
    crew = dispatch.candidates(tx, desk.house, task, desk.house.agents)
    step, needs = desk.house.step(task), claims.key_of(tx, task).needs
    could = [desk.house.missing(found.agent) for found in crew if found.eligible]
    why = " ".join(filter(None, (*could[:2], dispatch.disabled(desk.house, step, needs))))
    others = "; ".join(found.why_not for found in crew[:3] if found.why_not)
    words = why or others or "there is no agent"
    raise Refused(f"Nobody here can be typed to at a terminal: {sentence(words)}")


def _unknown_kind(desk: Desk, wanted: Wanted) -> tuple[str, ...]:
    """A word for a type that nobody names: it may be a slip."""
    steps = [step.type for flow in desk.house.workflows.values() for step in flow.steps]
    known = {kind for agent in desk.house.agents.values() for kind in agent.types} | {*steps, "any"}
    if wanted.agent is not None or wanted.kind in known:
        return ()
    names = ", ".join(sorted(str(kind) for kind in known if kind and kind != "any")[:8])
    those = f"they name {names}" if names else "they name none"
    return (f"No agent and no workflow names the type `{wanted.kind}` ({those}).",)


def _said(command: Command, agent: Agent | None) -> tuple[str, str]:
    """The step's type and the prompt. Of an agent that is named the type follows."""
    words = command.words
    if words:
        kind, *said = words
    elif agent is not None:
        kind, said = (agent.types[0] if agent.types else "any"), []
    else:
        raise Unclear(f"Start whom? {USAGE}")
    if not alone.is_kind(kind):
        raise Unclear(f'`{kind[:40]}` is no type of step: /spawn coding "PROMPT", for instance.')
    return kind, "\n".join(part for part in (" ".join(said), command.text) if part)


async def _where(desk: Desk, path: str | None, repo: str | None) -> tuple[int | None, str]:
    """The worktree made by hand that is meant, and the repository."""
    if path is None:
        return None, desk.house.repo(repo).name
    found = await listing.locate(desk.house, path)
    if not found.number:
        raise Refused(f"{path} belongs to a session: only one made by hand can be worked in.")
    if found.state is WorktreeState.CREATING:
        raise Refused(f"{path} is just being made: try again in a bit.")
    if found.state is not WorktreeState.ACTIVE:
        raise Refused(f"{path} is {found.state.value}: nobody can begin in it.")
    await check_lendable(desk.house, found)
    return found.number, found.repo or desk.house.repo(repo).name


_OPTIONS = (
    Option("agent", help="an agent's name"),
    Option("repo", help="a repository's name"),
    Option("worktree", help="one made by hand: /worktrees lists them"),
    Option("interactive", value=False, help="at a terminal: /say types a line"),
)
TABLE: list[tuple[Form, object]] = [
    (Form("spawn", USAGE, Role.ADMIN, "start an agent on something", _OPTIONS, group="work"), spawn)
]
