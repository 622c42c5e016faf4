"""Who takes a task: told in a line, listed with the reasons, or decided by a person."""

from __future__ import annotations

from collections.abc import Sequence

from core import acts, budgets, dispatch, planning, queue
from core.commands.desk import Act, Desk
from core.commands.grammar import Command, Form, Option, task_id
from core.commands.reply import Button, Reply
from core.commands.words import clock
from core.errors import Refused, Unclear
from core.model import Event, Role, Task, TaskState
from core.planning import Match
from core.store import claims, tasks
from core.store.database import Tx

INSTALL = (
    "No agent here can do that: install Claude Code "
    "(npm install -g @anthropic-ai/claude-code), or give a command with --run."
)
_OPEN = (TaskState.INBOX, TaskState.READY, TaskState.BLOCKED)
_HELD = {
    "wave": "its wave of {run} hasn't started",
    "run": "{run} is paused",
    "collision": "TASK-{by:03d} changes the same files",
    "aside": "it waits: {hold}",
}


def who_takes_it(tx: Tx, desk: Desk, task: Task) -> str:
    """One line: what it waits for, or who takes it, or what is missing."""
    if task.state is TaskState.INBOX:
        return f"In the inbox. /ready {task.id} lets it go."
    if task.state is TaskState.BLOCKED:
        if task.unmet:
            return "Waits for the tasks that come before it."
        return acts.waits_for(tx, task)
    if task.held is not None:
        return f"Ready, but {held_words(task)}."
    if task.not_before is not None and task.not_before > tx.now:
        when = clock(task.not_before, tx.now, desk.house.policy.timezone)
        return f"Ready, but not before {when}."
    if rests := queue.rests(queue.load(tx, desk.house.policy)):
        return f"Ready, but {rests}."
    found = dispatch.candidates(tx, desk.house, task, desk.able)
    if task.assignee is not None:
        return _assigned_words(desk, task, found)
    best = planning.best(found)
    if best is not None:
        stopped = budgets.stopped(tx, desk.house, task, best.agent.name)
        if stopped is not None:
            return f"Ready, but it waits: {stopped}."
        return f"Ready. {best.agent.name} takes it (fits {best.score})."
    if any(match.eligible for match in found):
        return "Ready. Whoever fits is busy: " + "; ".join(_why_nots(found)[:3]) + "."
    off = dispatch.disabled(desk.house, desk.house.step(task), claims.key_of(tx, task).needs)
    return (f"Ready, but {off}." if off else "; ".join(_why_nots(found))) or INSTALL


def _assigned_words(desk: Desk, task: Task, found: Sequence[Match]) -> str:
    name = task.assignee or ""
    match = next((one for one in found if one.agent.name == name), None)
    if match is None:
        agent = desk.house.agents.get(name)
        return (desk.house.missing(agent) if agent else None) or INSTALL
    if match.why_not is not None:
        return f"Ready, for {name}: {match.why_not}."
    return f"Ready. {name} takes it (fits {match.score})."


def held_words(task: Task) -> str:
    """Why a ready task can't be claimed yet."""
    run = f"RUN-{task.run_id:03d}" if task.run_id else "its run"
    return _HELD[task.held or "run"].format(
        run=run, by=task.held_by or 0, hold=task.hold or "something is wrong with it"
    )


def _why_nots(found: Sequence[Match]) -> list[str]:
    """What is in the way; an agent for given commands is beside the point without one."""
    return [
        match.why_not
        for match in found
        if match.why_not and "only runs commands" not in match.why_not
    ]


# -- candidates ----------------------------------------------------------------------------


async def candidates(desk: Desk, command: Command) -> Reply | Act:
    """Every agent, the best first: how well it fits, what it has and lacks, whether it is free."""
    wanted = _named(command, "/candidates 42")
    least = score(command.options.get("min-score", "0"))
    eligible = "eligible" in command.options

    def act(tx: Tx) -> Reply:
        task = tasks.get(tx, wanted)
        found = [
            match
            for match in dispatch.candidates(tx, desk.house, task, desk.house.agents)
            if match.score >= least and (match.eligible or not eligible)
        ]
        needs = claims.key_of(tx, task).needs
        asked = f"It asks for {needs.words}." if needs.words else "It asks for nothing special."
        best = planning.best(match for match in found if match.agent.name in desk.able)
        return Reply(
            f"{task.ref} · {task.title}",
            (asked, *(_line(desk, match) for match in found)) if found else (asked, "Nobody fits."),
            buttons=(
                (Button(f"Assign to {best.agent.name}", f"assign {task.id} {best.agent.name}"),)
                if best is not None and task.state in _OPEN
                else ()
            ),
        )

    return act


def _line(desk: Desk, match: Match) -> str:
    """`coder-1 fits 86 · python, 1 of 2 preferred, free`."""
    missing = desk.house.missing(match.agent)
    if missing is not None:
        return f"{match.agent.name} can't work here: {missing}"
    if not match.eligible:
        return f"{match.agent.name} doesn't fit: {match.why_not}"
    words = f"{match.agent.name} fits {match.score} · {match.because}"
    return words if match.why_not is None else f"{words} · {match.why_not}"


# -- assign --------------------------------------------------------------------------------


async def assign(desk: Desk, command: Command) -> Reply | Act:
    """Give a task to an agent: the named one, or the best fit with the reason."""
    wanted = _named(command, "/assign 42 [AGENT]")
    agent = desk.house.agent(command.words[1]) if len(command.words) > 1 else None
    least = score(command.options.get("min-score", "0"))

    def act(tx: Tx) -> Reply:
        task = tasks.get(tx, wanted)
        if task.state not in _OPEN:
            raise Refused(
                f"{task.ref} is {acts.situation(tx, desk.house, task).value}: only "
                "what has not begun can be assigned."
            )
        found = dispatch.candidates(tx, desk.house, task, desk.able)
        chosen, why = _chosen(desk, task, found, agent.name if agent else None, least)
        if task.assignee == chosen and task.assigned_step == task.step:
            return Reply(f"{task.ref} is for {chosen} already.", (why,) if why else ())
        _give(tx, desk, task, chosen)
        return Reply(
            f"{task.ref} is for {chosen}.",
            (why,) if why else (),
            buttons=(Button("Start now", f"start {task.id}"),),
        )

    return act


def _give(tx: Tx, desk: Desk, task: Task, name: str) -> None:
    tx.update(
        "tasks",
        {"id": task.id, "state": task.state.value},
        assignee=name,
        assigned_step=task.step,
        updated_at=tx.now,
    )
    tx.emit(
        Event(
            "task.assigned",
            f"{task.ref} is for {name}",
            task_id=task.id,
            agent=name,
            payload={"by": desk.actor.key},
        )
    )


def must_fit(tx: Tx, desk: Desk, task: Task, name: str) -> None:
    """Raises Refused where the task can't go to that agent."""
    _chosen(desk, task, dispatch.candidates(tx, desk.house, task, desk.able), name, 0)


def _chosen(
    desk: Desk, task: Task, found: Sequence[Match], name: str | None, least: int
) -> tuple[str, str]:
    """The agent's name, and why it."""
    if name is not None:
        missing = desk.house.missing(desk.house.agent(name))
        match = next((one for one in found if one.agent.name == name), None)
        if missing is not None or match is None or not match.eligible:
            why = missing or (match.why_not if match else "it is not here now")
            raise Refused(f"It can't go to {name}: {why}")
        return name, f"{match.why_not}: it waits for a place." if match.why_not else ""
    fitting = [one for one in found if one.eligible and one.score >= least]
    best = planning.best(fitting) or (fitting[0] if fitting else None)
    if best is None:
        raise Refused(_nobody(task, found, least))
    others = [
        f"{one.agent.name} fits {one.score}" if one.eligible else str(one.why_not)
        for one in found
        if one is not best and "only runs commands" not in (one.why_not or "")
    ]
    return best.agent.name, f"Fits {best.score}: {best.because}." + (
        f" Others: {'; '.join(others[:4])}." if others else ""
    )


def _nobody(task: Task, found: Sequence[Match], least: int) -> str:
    if any(match.eligible for match in found):
        best = max(match.score for match in found)
        return f"Nobody fits {least} or more; the best fits {best}. Say a lower --min-score."
    why = "; ".join(_why_nots(found))
    asks = f"/candidates {task.id} says what it asks for, /edit {task.id} changes it"
    return f"Nobody can take {task.ref}: {why}. {asks}" if why else INSTALL


def _named(command: Command, usage: str) -> int:
    if not command.words:
        raise Unclear(f"Which task? {usage}")
    return task_id(command.words[0])


def score(text: str) -> int:
    if not text.isdigit() or int(text) > 100:
        raise Unclear("--min-score is a number from 0 to 100.")
    return int(text)


_LEAST = Option("min-score", help="only who fits at least that well: 0 to 100")
TABLE: list[tuple[Form, object]] = [
    (
        Form(
            "assign",
            "/assign 42 [AGENT]",
            Role.OPERATOR,
            "who does it",
            (_LEAST,),
            group="work",
            words=2,
        ),
        assign,
    ),
    (
        Form(
            "candidates",
            "/candidates 42 [--eligible] [--min-score 50]",
            Role.VIEWER,
            "who could do it, and how well",
            (Option("eligible", value=False, help="only who has all that is asked for"), _LEAST),
            words=1,
        ),
        candidates,
    ),
]
