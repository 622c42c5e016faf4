"""The pages of agents, and the one about money."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from core import views
from core.views import Db
from site_gen.crew import Crew
from site_gen.render import session_file

LISTED = 20
"""Sessions of an agent that are listed, the newest."""

Put = Callable[..., None]


def agents(db: Db, put: Put, names: Iterable[str], crew: Crew, now: int) -> None:
    """The pages of those agents, on the crew or not any more."""
    resting = views.resting(db)
    for name in sorted(set(names)):
        put(
            f"agents/{session_file(name)}.html",
            "agent.html",
            root="../",
            **_agent(db, name, crew, now, resting),
        )


def _agent(db: Db, name: str, crew: Crew, now: int, resting: dict[str, int]) -> dict[str, Any]:
    member = crew.by_name.get(name)
    sessions = views.sessions(db, agent=name, n=LISTED)
    limits = {name: (member.budget_tokens, member.budget_usd)} if member else {}
    budgets = views.budgets(db, now, crew.timezone, (None, None), limits)
    return {
        "agent": name,
        "member": member,
        "status": status(member is None or member.missing is not None, sessions),
        "places": views.with_process(db, name),
        "under_way": views.under_way(db, name),
        "records": views.records(db, name),
        "sessions": sessions,
        "cost": views.cost(db, now, crew.timezone, agent=name),
        "budget": next((one for one in budgets if one[0].name == f"{name} today"), None),
        "rests": resting.get(member.lane) if member else None,
        "as_of": max(
            (row.session.last_activity_at or row.session.created_at for row in sessions), default=0
        ),
    }


def status(unable: bool, sessions: Iterable[views.SessionRow]) -> str:
    """`offline`, `working`, `blocked` or `idle`."""
    found = [row for row in sessions if row.session.ended_at is None]
    return views.status_of(found, not unable).value


def money(db: Db, put: Put, crew: Crew, now: int) -> None:
    """The page about money."""
    limits = {one.name: (one.budget_tokens, one.budget_usd) for one in crew.members}
    put(
        "cost.html",
        "cost.html",
        root="",
        cost=views.cost(db, now, crew.timezone),
        budgets=views.budgets(db, now, crew.timezone, (crew.day_tokens, crew.day_usd), limits),
        there=views.agents_ever(db) | set(crew.by_name),
        date=views.date_of(now, crew.timezone),
    )
