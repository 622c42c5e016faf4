"""Short commands of ours inside a session's sandbox: they see what its work is judged by, and
none of its agent's credentials."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from core.errors import Broken
from core.house import BOXED, House
from core.model import Agent, Limits, Session
from core.places import OPEN
from core.ports import Order, Ran
from core.sessions.surroundings import borrowed_objects, environment, home_of, made

_GONE = Agent(name="", driver="", network="off", limits=Limits(memory=4 << 30, processes=1000))
"""Where the session's agent is no longer configured, and nobody knows how far it might go."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where it runs: the working folder, and the home that it finds there."""

    workspace: Path
    home: Path | None = None


@dataclass(frozen=True, slots=True)
class Errand:
    """A command line, the folder of its own that its output goes to, and how far it may go
    (seconds, bytes)."""

    argv: Sequence[str]
    folder: Path
    wall_time: float
    output_limit: int
    place: Place | None = None


async def run(house: House, session: Session, errand: Errand) -> Ran:
    """Run it and wait for it. Raises Broken, or Unreachable."""
    found = await house.store.read("SELECT repo FROM tasks WHERE id = ?", (session.task_id,))
    repo = found[0]["repo"] if found else None
    sandbox, ordered = house.sandboxes[session.sandbox], order(house, session, errand, repo)
    if sandbox.shares_folder:
        return await sandbox.run(ordered)
    door = house.doors.errand(session.id, errand.folder)
    try:
        return await sandbox.run(replace(ordered, door=door))
    finally:
        house.doors.errand_over(door)


def _without(session: Session) -> Agent:
    """In the place of an agent that is gone. The plain host can close no network. Raises Broken."""
    if session.sandbox in BOXED:
        raise Broken(
            f"{session.agent} is no longer configured, and with it the image in which its work is "
            "looked at: put it back into agents.toml"
        )
    return replace(_GONE, network="on") if session.sandbox == OPEN else _GONE


def order(house: House, session: Session, errand: Errand, repo: str | None) -> Order:
    agent = house.agents.get(session.agent) or _without(session)
    place = errand.place or Place(Path(session.worktree))
    home = place.home or made(home_of(house, session.id, None))
    return Order(
        session_id=session.id,
        number=0,
        folder=errand.folder,
        workspace=place.workspace,
        argv=tuple(errand.argv),
        env=environment(house, session, None, {"HOME": str(home)}),
        log_cap=1 << 20,
        output_limit=errand.output_limit,
        wall_time=errand.wall_time,
        grace=1.0,
        memory=agent.limits.memory,
        processes=agent.limits.processes,
        writable=(home,),
        readable=borrowed_objects(house, repo),
        network=agent.network,
        container=agent.container,
    )
