"""Before the process: the workspace, the prompt, the order."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from core.errors import Broken
from core.holding import WORDS
from core.house import House
from core.killpoints import kill_point
from core.model import Agent, Iteration, Session, Task, WorktreeState
from core.ports import Brief, Door, Order
from core.store import sessions as rows
from core.store import tasks
from core.store.database import Tx

PASSED = ("PATH", "LANG", "LC_ALL", "TZ", "TERM")
"""What a child inherits from the bot's environment; all else is built from nothing."""


async def prepare_workspace(house: House, session: Session, task: Task) -> None:
    """The session's clone on the task's branch; its path stays the same for its life."""
    repo = house.repo(task.repo)
    start = task.head_commit
    if start is None:
        start = await house.repositories.sync(repo)
    branch = task.branch or f"bullpen/{task.ref}"
    await house.repositories.make_workspace(repo, branch, Path(session.worktree), start)
    kill_point("after-workspace")
    await house.store.write(lambda tx: _workspace_made(tx, session, task.id, branch, start))


def _workspace_made(tx: Tx, session: Session, task_id: int, branch: str, start: str) -> None:
    tx.run(
        "UPDATE tasks SET branch = ?, base_commit = coalesce(base_commit, ?) WHERE id = ?",
        (branch, start, task_id),
    )
    tx.run("UPDATE sessions SET branch = ? WHERE id = ?", (branch, session.id))
    fresh = rows.get(tx, session.id)
    if fresh.worktree_state is WorktreeState.CREATING:
        rows.set_worktree(tx, fresh, WorktreeState.ACTIVE)


async def make_order(house: House, session: Session, iteration: Iteration, task: Task) -> Order:
    """Everything the sandbox needs to start this attempt."""
    folder = house.session_folder(session.id)
    artifacts = folder / "artifacts"
    artifacts.mkdir(parents=True, exist_ok=True)
    agent = house.agents.get(session.agent)
    if agent is None:
        raise Broken(f"The agent {session.agent} is no longer configured.")
    driver = house.drivers[session.driver]
    resume = session.driver_session if driver.can_resume else None
    prompt = await _prompt(house, session, iteration, bool(resume))
    name = f"prompt-{iteration.number:02d}"
    if session.held_for is not None:
        prompt = _goes_on(prompt, session.held_for, bool(resume))
        name += f"-again-{iteration.attempt:02d}"
    prompt_file = folder / f"{name}.md"
    _write(prompt_file, prompt)
    door = house.doors.door(
        folder, session.id, iteration.attempt, house.sandboxes[session.sandbox].shares_folder
    )
    plan = driver.plan(
        Brief(
            task=task.ref,
            title=task.title,
            session_id=session.id,
            workspace=Path(session.worktree),
            artifacts=artifacts,
            prompt=prompt,
            prompt_file=prompt_file,
            command=task.run_command,
            model=agent.model,
            resume=resume,
            options=agent.options,
            sandbox=session.sandbox,
            whole=await _prompt(house, session, iteration, False) if resume else "",
        )
    )
    _place_files(folder / "home", plan.files)
    policy, limits = house.policy, agent.limits
    return Order(
        session_id=session.id,
        number=iteration.attempt,
        workspace=Path(session.worktree),
        folder=house.attempt_folder(session.id, iteration.attempt),
        argv=plan.argv,
        env=environment(house, session.id, agent, {**_way_back(door), **plan.env}),
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
        writable=(folder / "home", artifacts),
        readable=plan.readable,
        mounts=agent.mounts,
        network=agent.network,
        container=agent.container,
        door=door,
        pty=plan.pty,
    )


async def _prompt(house: House, session: Session, iteration: Iteration, resumed: bool) -> str:
    """A resumed agent hears only what is new; a fresh process all that was said before."""
    if resumed or iteration.number == 1:
        return iteration.prompt
    said = await house.store.read(
        "SELECT prompt FROM iterations WHERE session_id = ? AND number <= ? ORDER BY number",
        (session.id, iteration.number),
    )
    return "\n\n".join(row["prompt"].strip() for row in said) + "\n"


def _goes_on(prompt: str, reason: str, resumed: bool) -> str:
    """For one that was interrupted: a resumed agent knows its prompt already."""
    words = f"You were interrupted ({WORDS[reason]}; that is over). Go on where you stopped.\n"
    return words if resumed else f"{prompt.rstrip()}\n\n{words}"


def environment(
    house: House, session_id: str, agent: Agent | None, extra: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The child's whole environment: an allow-list, a home of its own, the agent's own."""
    home = house.session_folder(session_id) / "home"
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    env = {name: os.environ[name] for name in PASSED if name in os.environ}
    env.setdefault("PATH", "/usr/local/bin:/usr/bin:/bin")
    env["HOME"] = str(home)
    # Where the workspace loses its .git, git must not find the repository around the data.
    env["GIT_CEILING_DIRECTORIES"] = str(house.session_folder(session_id))
    if agent is not None:
        env |= dict(agent.environment)
    return env | dict(extra or {})


def _way_back(door: Door) -> dict[str, str]:
    """How the agent, and what helps it, finds the way back to Bullpen."""
    env = {"BULLPEN_TOKEN": door.token}
    if door.url is not None:
        env["BULLPEN_API"] = door.url
    if door.socket is not None:
        env["BULLPEN_SOCKET"] = str(door.socket)
    return env


def _place_files(home: Path, files: Mapping[str, str]) -> None:
    """What a driver wants to find below the agent's HOME."""
    for name, text in files.items():
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _write(path, text)


def _write(path: Path, text: str) -> None:
    temporary = path.with_suffix(".tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def first_prompt(tx: Tx, house: House, task: Task, step_type: str) -> str:
    """What a new session is told first; a retry's hint goes along."""
    criteria = [
        row["text"]
        for row in tx.all(
            "SELECT text FROM criteria WHERE task_id = ? ORDER BY position", (task.id,)
        )
    ]
    prompt = house.prompts.first(step_type, task, house.repo(task.repo), criteria)
    hint = tx.value("SELECT hint FROM tasks WHERE id = ?", (task.id,))
    if hint:
        prompt += f"\nA hint from the last try: {hint}\n"
    return prompt


def reload(tx: Tx, session_id: str) -> tuple[Session, Iteration, Task]:
    session = rows.get(tx, session_id)
    return session, rows.get_iteration(tx, session_id), tasks.get(tx, session.task_id)
