"""Who works on what: suspended work first, then claims, up to the limit. One transaction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from core import planning, queue
from core.house import House
from core.model import (
    Agent,
    Event,
    IterationState,
    Session,
    SessionState,
    Severity,
    Task,
    TaskState,
    WorktreeState,
)
from core.planning import Match, Needs
from core.sessions.starting import first_prompt
from core.store import rows, sessions, tasks
from core.store.database import Tx

BATCH = 200
"""How far down the ready list one turn looks for what can be claimed."""


def dispatch(tx: Tx, house: House, agents: Mapping[str, Agent]) -> list[str]:
    """Start what may start now; returns the sessions' ids. `agents`: those that work here."""
    settings = queue.load(tx, house.policy)
    load = Counter(
        row["agent"]
        for row in tx.all(
            "SELECT agent FROM sessions WHERE state IN ('starting', 'running', 'terminating')"
        )
    )
    started: list[str] = []
    for session in _waiting(tx):
        agent = agents.get(session.agent)
        if load.total() >= settings.max_concurrent:
            return started
        if agent is not None and load[agent.name] < agent.max_concurrent_tasks:
            started.append(_go_on(tx, session).id)
            load[agent.name] += 1
    if settings.paused:
        return started
    for task in tasks.claimable(tx, BATCH):
        if load.total() >= settings.max_concurrent:
            break
        found = choose(tx, house, task, agents, load)
        if found is not None:
            started.append(_claim(tx, house, task, found.agent).id)
            load[found.agent.name] += 1
    return started


def _waiting(tx: Tx) -> list[Session]:
    """Suspended sessions with a prompt that waits, oldest first."""
    return [
        rows.session(row)
        for row in tx.all(
            "SELECT sessions.* FROM sessions "
            "JOIN iterations ON iterations.session_id = sessions.id "
            "JOIN tasks ON tasks.id = sessions.task_id "
            "WHERE sessions.state = 'suspended' AND iterations.state = 'waiting' "
            "AND tasks.state IN ('planning', 'in_flight', 'review') ORDER BY iterations.started_at"
        )
    ]


def _go_on(tx: Tx, session: Session) -> Session:
    """The next attempt of a suspended session takes up the iteration that waits."""
    session = sessions.move(tx, session, SessionState.STARTING)
    attempt = sessions.new_attempt(tx, session.id)
    iteration = sessions.get_iteration(tx, session.id)
    sessions.move_iteration(tx, iteration, IterationState.RUNNING, attempt=attempt.number)
    session = sessions.set_worktree(tx, session, WorktreeState.ACTIVE)
    tx.emit(
        Event(
            "session.resumed",
            f"{session.agent} goes on",
            Severity.DEBUG,
            task_id=session.task_id,
            agent=session.agent,
            session_id=session.id,
        )
    )
    return session


def candidates(
    tx: Tx, house: House, task: Task, agents: Mapping[str, Agent], load: Counter[str]
) -> list[Match]:
    """Every agent's fit for the task's step."""
    step = house.workflow(task.workflow).step(task.step)
    needs = Needs(
        frozenset(tasks.labels(tx, task.id, "skill")),
        frozenset(tasks.labels(tx, task.id, "preferred")),
        frozenset(tasks.labels(tx, task.id, "language")),
    )
    return [planning.match(agent, task, step, needs, load[agent.name]) for agent in agents.values()]


def choose(
    tx: Tx, house: House, task: Task, agents: Mapping[str, Agent], load: Counter[str]
) -> Match | None:
    """The assignee if the task has one, else the best that fits and is free."""
    found = candidates(tx, house, task, agents, load)
    if task.assignee is not None:
        found = [match for match in found if match.agent.name == task.assignee]
    return planning.best(found)


def _claim(tx: Tx, house: House, task: Task, agent: Agent) -> Session:
    step = house.workflow(task.workflow).step(task.step)
    state = step.state if step.state is not TaskState.READY else TaskState.IN_FLIGHT
    task = tasks.claim(tx, task, agent.name, state)
    prompt = first_prompt(tx, house, task, step.prompt or step.type)
    return sessions.begin(
        tx, task, agent, prompt, str(house.data / "sessions" / "{id}" / "workspace")
    )
