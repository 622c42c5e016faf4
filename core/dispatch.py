"""Who works on what: suspended work first, then claims, up to the limit. One transaction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from core import planning, queue
from core.errors import BullpenError, Refused
from core.house import House
from core.model import (
    Agent,
    Event,
    IterationState,
    Session,
    SessionOutcome,
    SessionState,
    Severity,
    StepKind,
    Task,
    TaskState,
    WorktreeState,
)
from core.planning import Match, Needs
from core.sessions.starting import first_prompt
from core.store import rows, sessions, tasks
from core.store.database import Tx

BATCH = 200
"""Ready tasks read at a time, on the way down the list."""


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
        if session.agent not in house.agents:
            _hand_over(tx, session)
        elif agent is not None and load[agent.name] < agent.max_concurrent_tasks:
            started.append(_go_on(tx, session).id)
            load[agent.name] += 1
    if not settings.paused:
        _claim_ready(tx, house, agents, load, settings.max_concurrent, started)
    return started


def _claim_ready(
    tx: Tx,
    house: House,
    agents: Mapping[str, Agent],
    load: Counter[str],
    most: int,
    started: list[str],
) -> None:
    """Down the ready list until there is no room; what nobody can take is passed over."""
    passed = 0
    while batch := tasks.claimable(tx, BATCH, passed):
        for task in batch:
            if load.total() >= most:
                return
            session = _try(tx, house, task, agents, load)
            if session is None:
                passed += 1
            else:
                started.append(session.id)
                load[session.agent] += 1


def _try(
    tx: Tx, house: House, task: Task, agents: Mapping[str, Agent], load: Counter[str]
) -> Session | None:
    """One task's claim. What is wrong with one task holds up no other, and is said once."""
    try:
        found = choose(tx, house, task, agents, load)
        return _claim(tx, house, task, found.agent) if found is not None else None
    except BullpenError as error:
        tasks.hold(tx, task, str(error), f"{task.ref} waits: {error}")
        return None


def _hand_over(tx: Tx, session: Session) -> None:
    """Its agent is gone from the configuration: another begins anew, from the task's branch,
    with the prompt that waited."""
    iteration = sessions.get_iteration(tx, session.id)
    sessions.close_iteration(tx, session.id, IterationState.KILLED, "its agent is gone")
    sessions.end(tx, session, SessionOutcome.COMPLETED, f"{session.agent} is no longer configured")
    task = tasks.get(tx, session.task_id)
    task = tasks.move(
        tx, task, TaskState.READY, step=session.step, assignee=None, hint=iteration.prompt
    )
    tx.emit(
        Event(
            "task.ready",
            f"{task.ref}: {session.agent} is no longer configured, another may go on",
            Severity.WARNING,
            task_id=task.id,
        )
    )


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
    step = house.step(task)
    if step.kind is not StepKind.AGENT:
        raise Refused(f"no agent does `{step.id}`; /retry {task.id} goes back to the work")
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
    step = house.step(task)
    # Before anything is changed: it may find that the repository is no longer configured.
    prompt = first_prompt(tx, house, task, step.prompt or step.type)
    state = step.state if step.state is not TaskState.READY else TaskState.IN_FLIGHT
    task = tasks.claim(tx, task, agent.name, state)
    return sessions.begin(
        tx, task, agent, prompt, str(house.data / "sessions" / "{id}" / "workspace")
    )
