"""The crew as people see it: the list, and one agent with all there is to know."""

from __future__ import annotations

from collections.abc import Sequence

from core import cards, limits, views
from core.cards.budget import spoken, tokens
from core.cards.place import bounds
from core.commands.desk import Desk
from core.commands.grammar import Command
from core.commands.reply import Button, Reply, Table
from core.days import clock, day_of
from core.errors import Refused, Unclear
from core.house import House
from core.memory import NAME, read_memory
from core.model import Agent, AgentRole, task_ref
from core.planning.budgets import Amount
from core.sessions.surroundings import PERSISTENT
from core.store import budgets, crew
from core.store.crew import Override
from core.store.database import Tx
from core.views import SessionRow, Workload

TEN = 10


async def agents(desk: Desk, command: Command) -> Reply:
    """The crew: who works, who is free, who can't work here and why; ten a page."""
    role, page = command.options.get("role"), _page(command.options.get("page", "1"))
    if role is not None and role not in list(AgentRole):
        raise Unclear(f"--role is {', '.join(AgentRole)}.")
    busy = {row.name: row.sessions for row in await desk.house.store.view(views.agents)}
    crew_ = [
        agent for _, agent in sorted(desk.house.agents.items()) if role in (None, agent.role.value)
    ]
    shown = crew_[(page - 1) * TEN : page * TEN]
    if not shown:
        return Reply("No agent there." if crew_ else "No such agent.")
    rows, notes = [], []
    for agent in shown:
        missing, found = desk.house.missing(agent), busy.get(agent.name, ())
        on = ", ".join(task_ref(row.session.task_id) for row in found[:3])
        status = views.status_of(found, missing is None)
        rows.append((agent.name, status.value, agent.driver, desk.house.place(agent), on))
        notes += [_whose(agent, missing)] if missing else []
    again = "agents " + (f"--role {role} " if role else "")
    return Reply(
        cards.counted(len(crew_), "agent"),
        table=Table(("agent", "status", "driver", "sandbox", "on"), tuple(rows)),
        notes=tuple(notes),
        buttons=((Button("More", f"{again}--page {page + 1}"),) if len(crew_) > page * TEN else ()),
    )


def _whose(agent: Agent, missing: str) -> str:
    return missing if missing.startswith(agent.name) else f"{agent.name}: {missing}"


def _page(text: str) -> int:
    if not text.isdigit() or not 0 < int(text) < 10_000:
        raise Unclear("--page is a number from 1 on.")
    return int(text)


async def agent(desk: Desk, name: str) -> Reply:
    """One agent: what it is, how it stands, what it has to do and what it has spent."""
    wanted = desk.house.agent(name)
    crew_, load = await desk.house.store.view(
        lambda db: (views.agents(db), views.workload(db, name))
    )
    live = next((row.sessions for row in crew_ if row.name == name), ())
    return await desk.house.store.write(lambda tx: _card(tx, desk, wanted, live, load))


def _card(
    tx: Tx, desk: Desk, agent: Agent, sessions: Sequence[SessionRow], load: Workload
) -> Reply:
    missing = desk.house.missing(agent)
    status = views.status_of(sessions, missing is None)
    why = missing or _why(tx, desk, agent)
    if missing is not None and sessions:
        why = f"{missing} What it works on goes on: {cards.counted(len(sessions), 'session')}."
    on = [
        f"{row.session.id} · {task_ref(row.session.task_id)} {row.task_title} · "
        + ("waits for a person" if row.waits else row.session.state.value)
        for row in sessions[:TEN]
    ]
    return Reply(
        f"{agent.name} · {status.value}",
        (*([why] if why else []), *on, *_by_hand(desk, agent, crew.find(tx, agent.name))),
        fields=(*_fields(desk.house, agent), *_figures(tx, desk, agent, load)),
        buttons=_buttons(desk, agent),
    )


def _why(tx: Tx, desk: Desk, agent: Agent) -> str | None:
    """Why one that could work does nothing."""
    until = limits.standing(tx).get(agent.lane)
    if until is not None:
        words = clock(until, desk.house.policy.timezone, tx.now)
        return f"It rests until {words}: its account {agent.lane} is at its usage limit."
    if agent.role is AgentRole.STEWARD:
        return "Stewards are listed and switched, but do nothing of their own yet."
    return None


def _sandbox(house: House, agent: Agent) -> str:
    """Where it runs here, and how far it may go."""
    place = house.place(agent)
    where = place if place == agent.sandbox else f"{place} ({agent.sandbox})"
    far = bounds(agent)
    return f"{where} · {far}" if far else where


def _memory(house: House, agent: Agent) -> str:
    """Whether a persistent agent remembers anything, and how much."""
    if agent.mode != PERSISTENT:
        return ""
    try:
        size = len(read_memory(house.data, agent.name))
    except Refused as error:
        return str(error).rstrip(".")
    return f"{size} bytes in {NAME}" if size else "nothing remembered yet"


def _fields(house: House, agent: Agent) -> tuple[tuple[str, str], ...]:
    memory = _memory(house, agent)
    found = (
        ("role", agent.role.value + (f", {agent.focus}" if agent.focus else "")),
        ("steps", ", ".join(agent.types) or "all"),
        ("driver", agent.driver + (f", {agent.model}" if agent.model else "")),
        ("sandbox", _sandbox(house, agent)),
        ("mode", agent.mode + (f", {memory}" if memory else "")),
        ("account", agent.account or ""),
        ("skills", ", ".join(sorted(agent.skills))),
        ("languages", ", ".join(sorted(agent.languages))),
        ("tags", ", ".join(sorted(agent.tags))),
        ("acts", ", ".join(one.value for one in agent.triggers)),
    )
    steps = agent.role is AgentRole.WORKER
    return tuple(
        (key, value) for key, value in found if value and (key != "steps" or steps or agent.types)
    )


def _figures(tx: Tx, desk: Desk, agent: Agent, load: Workload) -> tuple[tuple[str, str], ...]:
    most = agent.max_concurrent_tasks
    room = "has room" if load.sessions < most else "is full"
    states = ", ".join(f"{n} {state.value}" for state, n in sorted(load.by_state.items()))
    tasks = f"{load.total} ({states})" if states else "none yet"
    if load.awaiting_merge:
        tasks += f"; {load.awaiting_merge} in review or waiting for the merge"
    return (
        ("capacity", f"{load.sessions} of {most} at work: {room}"),
        ("tasks", tasks),
        ("today", _spent(tx, desk, agent)),
    )


def _spent(tx: Tx, desk: Desk, agent: Agent) -> str:
    """What it has spent today, of what it may."""
    day = day_of(tx.now, desk.house.policy.timezone)
    spent = budgets.get(tx, "agent", f"{agent.name} {day}")
    limit = Amount(agent.budget_tokens, agent.budget_usd).plus(spent.more_tokens, spent.more_usd)
    if limit.none:
        return f"{spent.cost_usd:.2f} USD, {tokens(spent.tokens)}; no budget"
    return spoken(spent.tokens, spent.cost_usd, limit)


def _by_hand(desk: Desk, agent: Agent, row: Override | None) -> list[str]:
    if row is None:
        return []
    if agent.name not in desk.house.current.configured.setup.agents:
        return [f"Registered by chat: /agent remove {agent.name} takes it away."]
    changed = ", ".join(sorted(row.changes))
    return [f"Changed by hand: {changed}. As in the file again: /agent reset {agent.name}"]


def _buttons(desk: Desk, agent: Agent) -> tuple[Button, ...]:
    switch = "disable" if agent.enabled else "enable"
    return (
        Button(switch.capitalize(), f"agent {switch} {agent.name}"),
        Button("Its tasks", f"list --agent {agent.name}"),
    )
