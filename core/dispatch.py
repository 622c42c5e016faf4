"""Who works on what: suspended work first, then claims, up to the limit. One transaction."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import msgspec

from core import budgets, claiming, holding, limits, planning, queue
from core.errors import BullpenError, Refused
from core.house import House
from core.model import (
    Agent,
    IterationState,
    Place,
    Session,
    SessionState,
    Severity,
    Step,
    StepKind,
    Task,
    WorktreeState,
)
from core.planning import Match, Needs, Record
from core.sessions.handing import hand_over
from core.store import claims, clashes, rows, sessions, tasks
from core.store.claims import Demand, Head
from core.store.database import Tx

_WAITING = """
SELECT sessions.* FROM sessions INDEXED BY sessions_open
JOIN iterations ON iterations.session_id = sessions.id
JOIN tasks ON tasks.id = sessions.task_id
LEFT JOIN runs ON runs.id = tasks.run_id
WHERE sessions.state <> 'terminated' AND sessions.state = 'suspended'
  AND iterations.state = 'waiting' AND tasks.state IN ('planning', 'in_flight', 'review')
  AND runs.state IS NOT 'paused'
ORDER BY iterations.started_at
"""

_LOAD = """
SELECT agent FROM sessions INDEXED BY sessions_open
WHERE state <> 'terminated' AND state IN ('starting', 'running', 'terminating')
"""


@dataclass(slots=True)
class Room:
    """What is free: the agents that work here, the sessions each holds, the most of all; and
    what isn't: accounts that rest, agents and runs whose budget is used up."""

    agents: Mapping[str, Agent]
    load: Counter[str]
    most: int
    resting: Mapping[str, int] = field(default_factory=dict)
    spent: set[str] = field(default_factory=set)
    runs: set[int] = field(default_factory=set)

    @property
    def full(self) -> bool:
        return self.load.total() >= self.most or not any(
            self.has_place(agent) for agent in self.agents.values()
        )

    def has_place(self, agent: Agent) -> bool:
        return agent.lane not in self.resting and self.load[agent.name] < agent.max_concurrent_tasks


def dispatch(tx: Tx, house: House, agents: Mapping[str, Agent], anew: bool = False) -> list[str]:
    """Start what may start now; returns the sessions' ids. `agents`: those that work here;
    `anew`: the configuration is another than at the last look."""
    if anew:
        claims.let_back(tx)
    settings = queue.load(tx, house.policy)
    room = Room(agents, load(tx), settings.max_concurrent, limits.standing(tx))
    started = [session.id for session in _go_on_waiting(tx, house, room)]
    if not settings.paused:
        started += [session.id for session in _claim_ready(tx, house, room)]
    return started


def load(tx: Tx) -> Counter[str]:
    """How many sessions each agent holds: those with a process."""
    return Counter(row["agent"] for row in tx.all(_LOAD))


# -- suspended work ------------------------------------------------------------------------


def _go_on_waiting(tx: Tx, house: House, room: Room) -> list[Session]:
    """Suspended sessions with a prompt that waits start again, the oldest first; not those of a
    paused run, nor while their account rests."""
    started = []
    for session in [rows.session(row) for row in tx.all(_WAITING)]:
        agent = room.agents.get(session.agent)
        if room.load.total() >= room.most:
            break
        if session.agent not in house.agents:
            hand_over(tx, session)
        elif agent is None:
            _wait_for(tx, house, session)
        elif room.has_place(agent) and not budgets.holds_back(tx, house, session):
            started.append(_go_on(tx, session))
            room.load[agent.name] += 1
    return started


def _wait_for(tx: Tx, house: House, session: Session) -> None:
    """Its agent can't work now: said once, with what would help."""
    task = tasks.get(tx, session.task_id)
    why = f"{house.missing(house.agents[session.agent])} /release {task.id} gives it to another."
    tasks.hold(tx, task, why, f"{task.ref} can't go on: {why}")


def _go_on(tx: Tx, session: Session) -> Session:
    """The next attempt of a suspended session takes up the iteration that waits."""
    session = sessions.move(tx, session, SessionState.STARTING)
    attempt = sessions.new_attempt(tx, session.id)
    iteration = sessions.get_iteration(tx, session.id)
    sessions.move_iteration(tx, iteration, IterationState.RUNNING, attempt=attempt.number)
    tx.run("UPDATE tasks SET hold = NULL WHERE id = ? AND hold IS NOT NULL", (session.task_id,))
    if session.worktree_state is not WorktreeState.CREATING:  # held while it was being made
        session = sessions.set_worktree(tx, session, WorktreeState.ACTIVE)
    sessions.tell(tx, session, "session.resumed", f"{session.agent} goes on", Severity.DEBUG)
    return session


# -- claims --------------------------------------------------------------------------------


def _claim_ready(tx: Tx, house: House, room: Room) -> list[Session]:
    """The best task that somebody with room fits, again and again, until there is no room. A
    demand that nobody can take now is put aside whole, however many tasks are of it."""
    if room.full:
        return []
    started: list[Session] = []
    heads = [found for demand in claims.demands(tx) if (found := claims.head(tx, demand))]
    heapq.heapify(heads)
    while heads and not room.full:
        head = heapq.heappop(heads)
        best = _best(tx, house, head, room)
        if best is None:
            continue
        task = tasks.get(tx, head.id)
        away = task.run_id is not None and clashes.give_way(tx, task)
        refused = None if away else budgets.refuses(tx, house, task, best.agent.name)
        if refused == "day":
            break
        if away:
            pass  # it is held now
        elif refused == "agent":
            room.spent.add(best.agent.name)  # somebody else may
        elif refused == "run":
            room.runs.add(task.run_id or 0)  # and all the others of it
        elif refused is not None:
            holding.hold_task(tx, house, task, "budget")
        elif (session := claiming.attempt(tx, house, task, best.agent)) is not None:
            started.append(session)
            room.load[session.agent] += 1
        following = claims.head(tx, head.demand, room.runs)
        if following is not None:
            heapq.heappush(heads, following)
    return started


def say_if_nobody(
    tx: Tx, house: House, task: Task, agents: Mapping[str, Agent], told: Place
) -> None:
    """That nobody can take a new task is said with it, but for the place whose answer has it."""
    key = claims.key_of(tx, task)
    for demand in claims.demands(tx):
        if demand.said is None and demand.key == key:
            _best(
                tx,
                house,
                Head((0, False, False, 0, task.id), demand),
                Room(agents, Counter(), 1),
                told,
            )


def _best(tx: Tx, house: House, head: Head, room: Room, told: Place | None = None) -> Match | None:
    """Who takes what is asked for; None where nobody can now. That nobody ever could is said."""
    key = head.demand.key
    try:
        step = house.workflow(key.workflow).step(key.step)
    except (KeyError, BullpenError):
        why = f"the step `{key.step}` of the workflow `{key.workflow}` is not configured any more"
        claims.tell(tx, head.demand, head.id, why, told)
        return None
    if key.repo and key.repo not in house.repos:
        why = f"the repository `{key.repo}` is not configured any more"
        claims.tell(tx, head.demand, head.id, why, told)
        return None
    found = _judged(tx, house, step, key, room)
    claims.tell(tx, head.demand, head.id, _nobody(house, head.demand, step, found), told)
    return planning.best(found)


def _nobody(house: House, demand: Demand, step: Step, found: list[Match]) -> str | None:
    """Why nobody at all fits; None when somebody does, though without room perhaps."""
    name = demand.key.assignee
    if name is None or found:
        lacking = planning.lacking(found, demand.key.needs)
        return lacking and (absent(house, step, demand.key.needs) or lacking)
    agent = house.agents.get(name)
    if agent is None:
        return f"it is for {name}, who is no longer configured: /assign gives it to another"
    return f"it is for {name}: {house.missing(agent) or 'that agent is not here now'}".rstrip(".")


def disabled(house: House, step: Step, needs: Needs) -> str | None:
    """Who could do it, but is disabled; None where there is no such agent."""
    return _could(house, step, needs, [one for one in house.agents.values() if not one.enabled])


def absent(house: House, step: Step, needs: Needs) -> str | None:
    """Who could do it, but is disabled or can't work here; None where there is no such agent."""
    return _could(house, step, needs, [one for one in house.agents.values() if house.missing(one)])


def _could(house: House, step: Step, needs: Needs, agents: Iterable[Agent]) -> str | None:
    fitting = [
        agent
        for agent in sorted(agents, key=lambda one: one.name)
        if _match(house, replace(agent, enabled=True), step, needs, 0).eligible
    ]
    return " ".join(str(house.missing(agent)) for agent in fitting[:2]).rstrip(".") or None


def _judged(tx: Tx, house: House, step: Step, key: claims.Key, room: Room) -> list[Match]:
    records, load = claims.records(tx, key.lane), room.load
    found = [
        _match(house, agent, step, key.needs, load[agent.name], records.get(agent.name))
        for agent in room.agents.values()
        if key.assignee is None or key.assignee == agent.name
    ]
    return [_rested(one, room) for one in found]


def _match(
    house: House, agent: Agent, step: Step, needs: Needs, load: int, record: Record | None = None
) -> Match:
    """As planning judges it; and at a terminal somebody must be able to type to it."""
    found = planning.match(agent, step, needs, load, record)
    if needs.terminal and found.eligible and house.untyped(agent) is not None:
        words = f"{agent.name} can't be typed to at a terminal"
        return replace(found, score=0, eligible=False, why_not=words)
    return found


def _rested(match: Match, room: Room) -> Match:
    """An agent whose account is at its limit fits, and has no room."""
    if match.agent.name in room.spent and match.eligible:
        return replace(match, free=False, why_not=f"{match.agent.name}'s budget is used up")
    if match.agent.lane not in room.resting or not match.eligible:
        return match
    words = f"{match.agent.name} rests: its account is at its usage limit"
    return replace(match, free=False, why_not=words)


# -- for people ----------------------------------------------------------------------------


def candidates(tx: Tx, house: House, task: Task, agents: Mapping[str, Agent]) -> list[Match]:
    """Every agent's fit for the task's step now, whoever it is assigned to, the best first.
    Raises Refused where no agent does that step."""
    step = house.step(task)
    if step.kind is not StepKind.AGENT:
        raise Refused(
            f"{task.ref} is at `{step.id}`, which no agent does"
            + (f": /reject {task.id} WHY sends it back." if step.kind is StepKind.GATE else ".")
        )
    key = claims.key_of(tx, task)
    free = msgspec.structs.replace(key, assignee=None)
    room = Room(agents, load(tx), len(agents), limits.standing(tx))
    return planning.ranked(_judged(tx, house, step, free, room))
