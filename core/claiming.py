"""A task and the agent that takes it: the claim, and the session that begins with it."""

from __future__ import annotations

from dataclasses import replace

from core.errors import BullpenError
from core.house import House
from core.model import Agent, Session, Task, TaskState
from core.sessions.prompting import first_prompt
from core.store import claims, sessions, worktrees
from core.store.database import Tx
from core.worktrees import lending


def attempt(tx: Tx, house: House, task: Task, agent: Agent) -> Session | None:
    """One task's claim. What is wrong with one task holds up no other, and is said once."""
    try:
        with tx.attempt():
            return _claim(tx, house, task, agent)
    except BullpenError as error:
        claims.set_aside(tx, task, str(error))
        return None


def _claim(tx: Tx, house: House, task: Task, agent: Agent) -> Session:
    step = house.step(task)
    if task.borrows is not None:
        lending.check_place(house, agent)
    prompt = first_prompt(tx, house, task, step.prompt or step.type)
    state = step.state if step.state is not TaskState.READY else TaskState.IN_FLIGHT
    claims.claim(tx, task.id, agent.name, state)
    placed = replace(agent, sandbox=house.place(agent))
    session = sessions.begin(
        tx, task, placed, prompt, str(house.data / "sessions" / "{id}" / "workspace")
    )
    if task.borrows is None:
        return session
    worktrees.borrow(tx, worktrees.get(tx, task.borrows).path, session.id)
    return sessions.get(tx, session.id)
