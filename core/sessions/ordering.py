"""What a session's next attempt is told, and the order that its sandbox gets."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from core import handed
from core.doors import hashed
from core.errors import Broken
from core.house import Helper, House
from core.memory import NAME
from core.model import Agent, Iteration, Session, Step, Task
from core.ports import Brief, Door, Driver, Order, Plan
from core.sessions.laying import lay, lay_out
from core.sessions.prompting import (
    again,
    said_so_far,
    scoped,
    with_words,
    words_since,
)
from core.sessions.surroundings import (
    borrowed_objects,
    environment,
    home_of,
    made,
    memory_of,
    way_back,
)
from core.store import doors
from core.store import sessions as rows

MEMORY = "BULLPEN_MEMORY"


@dataclass(frozen=True, slots=True)
class Start:
    """One attempt that is about to begin, and where it will find what."""

    house: House
    session: Session
    iteration: Iteration
    task: Task
    agent: Agent
    driver: Driver
    step: Step
    door: Door

    @property
    def folder(self) -> Path:
        return self.house.session_folder(self.session.id)

    @property
    def artifacts(self) -> Path:
        return self.folder / "artifacts"

    @property
    def resume(self) -> str | None:
        """Its own conversation, where it can go on with one."""
        return self.session.driver_session if self.driver.can_resume else None


async def make_order(house: House, session: Session, iteration: Iteration, task: Task) -> Order:
    """Everything the sandbox needs to start this attempt. From now on its token counts. Raises
    BullpenError, with what stands in the way."""
    start = _start(house, session, iteration, task)
    made(start.artifacts)
    await _place_input(start)
    attempt = await house.store.write(lambda tx: rows.get_attempt(tx, session.id))
    digest = hashed(start.door.token)
    await house.store.write(lambda tx: doors.keep_token(tx, attempt, digest))
    told = await _brief(start)
    plan = start.driver.plan(told)
    names = (start.resume, plan.conversation)
    await house.store.write(lambda tx: rows.goes_on_with(tx, attempt, *names))
    if session.interactive and not plan.pty:
        raise Broken(f"{session.agent} can't be typed to in a terminal: leave --interactive away.")
    home = made(home_of(house, session.id, start.agent))
    await asyncio.to_thread(lay_out, home, plan)
    return _order(start, told, plan)


def _start(house: House, session: Session, iteration: Iteration, task: Task) -> Start:
    agent = house.agents.get(session.agent)
    if agent is None:
        raise Broken(f"The agent {session.agent} is no longer configured.")
    near = house.sandboxes[session.sandbox].shares_folder
    folder = house.session_folder(session.id)
    door = house.doors.door(folder, session.id, iteration.attempt, near)
    driver, step = house.drivers[session.driver], house.step(task, session.step)
    return Start(house, session, iteration, task, agent, driver, step, door)


async def _place_input(start: Start) -> None:
    """The artifact that its step reads, as it stands now: people may have edited it."""
    house, task, name = start.house, start.task, start.step.input
    if name is None:
        return
    found = await house.store.read(
        "SELECT author FROM artifacts WHERE task_id = ? AND name = ? ORDER BY version DESC LIMIT 1",
        (task.id, name),
    )
    if not found:
        raise Broken(f"{task.ref} has no artifact `{name}` yet, which `{start.step.id}` reads.")
    own = found[0]["author"] == f"agent:{start.agent.name}"
    if not (own and await asyncio.to_thread(handed.there, start.folder, name)):
        data = await asyncio.to_thread(house.artifacts.read, task, name)
        await asyncio.to_thread(handed.place, start.folder, name, data)


# -- what it is told -----------------------------------------------------------------------


async def _brief(start: Start) -> Brief:
    session, iteration, step = start.session, start.iteration, start.step
    prompt = await said_so_far(start.house, session, iteration, bool(start.resume), not step.output)
    name = f"prompt-{iteration.number:02d}"
    if (why := again(session)) is not None:
        prompt = _goes_on(prompt, why, bool(start.resume))
        name += f"-again-{iteration.attempt:02d}"
    words = await words_since(start.house, session, iteration)
    prompt = with_words(prompt, words)
    prompt_file = start.folder / f"{name}.md"
    instructions = await start.house.store.write(
        partial(scoped, house=start.house, session=session, task=start.task, step=step)
    )
    await asyncio.to_thread(lay, start.folder, prompt_file.name, prompt)
    await asyncio.to_thread(lay, start.folder, "AGENTS.md", instructions)
    whole = ""
    if start.resume:
        whole = await said_so_far(start.house, session, iteration, False, not step.output)
        whole = with_words(whole, words)
    return Brief(
        task=start.task.ref,
        title=start.task.title,
        session_id=session.id,
        workspace=Path(session.worktree),
        artifacts=start.artifacts,
        prompt=prompt,
        prompt_file=prompt_file,
        command=start.task.run_command,
        model=start.agent.model,
        resume=start.resume,
        options=start.agent.options,
        instructions=instructions,
        mcp=_helper(start).argv,
        input=start.artifacts / step.input if step.input else None,
        output=start.artifacts / step.output if step.output else None,
        interactive=session.interactive,
        whole=whole,
        sandbox=session.sandbox,
    )


def _goes_on(prompt: str, why: str, resumed: bool) -> str:
    """For one that was interrupted: a resumed agent knows its prompt already."""
    words = f"You were interrupted ({why}). Go on where you stopped.\n"
    return words if resumed else f"{prompt.rstrip()}\n\n{words}"


def _helper(start: Start) -> Helper:
    """Bullpen's MCP server runs beside the agent, where Bullpen's own program can be seen."""
    near = start.house.sandboxes[start.session.sandbox].shares_folder
    own_image = bool(start.agent.container.get("image"))
    return start.house.mcp if near and not own_image else Helper()


# -- what is ordered -----------------------------------------------------------------------


def _order(start: Start, told: Brief, plan: Plan) -> Order:
    house, session, agent = start.house, start.session, start.agent
    policy, limits = house.policy, agent.limits
    memory = memory_of(house, agent)
    env = {**way_back(start.door), **plan.env}
    if memory is not None:
        env[MEMORY] = str(memory / NAME)
    home = home_of(house, session.id, agent)
    readable = (
        *(told.prompt_file, start.folder / "AGENTS.md", *plan.readable),
        *borrowed_objects(house, start.task.repo),
        *_helper(start).readable,
    )
    return Order(
        session_id=session.id,
        number=start.iteration.attempt,
        workspace=told.workspace,
        folder=house.attempt_folder(session.id, start.iteration.attempt),
        argv=plan.argv,
        env=environment(house, session, agent, env),
        first_input=plan.first_input,
        input_open=plan.input_open,
        log_cap=policy.log_cap,
        output_limit=limits.output or policy.output_limit,
        wall_time=limits.wall_time or policy.wall_time,
        grace=policy.grace,
        idle_time=limits.idle_time,
        memory=limits.memory,
        cpu_time=limits.cpu_time,
        processes=limits.processes,
        writable=(home, start.artifacts, *([memory] if memory else [])),
        readable=readable,
        mounts=agent.mounts,
        network=agent.network,
        container=agent.container,
        door=start.door,
        pty=plan.pty,
    )
