"""What a process finds around itself: its environment, its home, what it may see and write."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from core.errors import Broken, BullpenError
from core.house import BOXED, House
from core.memory import memory_folder
from core.model import Agent, Session
from core.ports import Door

PASSED = ("PATH", "LANG", "LC_ALL", "TZ", "TERM")
"""What a child inherits from the bot's environment; all else is built from nothing."""
PERSISTENT = "persistent"
_PRIVATE = 0o700


def environment(
    house: House, session: Session, agent: Agent | None, extra: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The child's whole environment: an allow-list, a home of its own, the agent's own. An image
    has a PATH of its own."""
    env = {name: os.environ[name] for name in PASSED if name in os.environ}
    env.setdefault("PATH", "/usr/local/bin:/usr/bin:/bin")
    if session.sandbox in BOXED:
        del env["PATH"]
    env["HOME"] = str(made(home_of(house, session.id, agent)))
    # Where the workspace loses its .git, git must not find the repository around the data.
    env["GIT_CEILING_DIRECTORIES"] = str(house.session_folder(session.id))
    if agent is not None:
        env |= dict(agent.environment)
    return env | dict(extra or {})


def home_of(house: House, session_id: str, agent: Agent | None) -> Path:
    """A persistent agent keeps its home, and the configuration in it, from task to task."""
    if agent is not None and agent.mode == PERSISTENT:
        return house.data / "agents" / agent.name / "home"
    return house.session_folder(session_id) / "home"


def memory_of(house: House, agent: Agent) -> Path | None:
    """Where a persistent agent's memory lies, ready to be written; None: it has none."""
    return made(memory_folder(house.data, agent.name)) if agent.mode == PERSISTENT else None


def made(folder: Path) -> Path:
    """Raises Broken where something else stands there."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise Broken(f"{folder} can't be made: {error.strerror}") from error
    return folder


def private(folder: Path) -> None:
    """Make it, for nobody else on this machine to look into."""
    if stat.S_IMODE(made(folder).stat().st_mode) != _PRIVATE:
        folder.chmod(_PRIVATE)


def way_back(door: Door) -> dict[str, str]:
    """How the agent, and what helps it, finds the way back to Bullpen."""
    env = {"BULLPEN_TOKEN": door.token}
    if door.url is not None:
        env["BULLPEN_API"] = door.url
    if door.socket is not None:
        env["BULLPEN_SOCKET"] = str(door.socket)
    return env


def borrowed_objects(house: House, repo: str | None) -> tuple[Path, ...]:
    """Where a workspace's git finds the objects that it borrows."""
    try:
        return (house.repositories.path(house.repo(repo)) / "objects",)
    except BullpenError:  # its repository is no longer configured: git says what is missing
        return ()
