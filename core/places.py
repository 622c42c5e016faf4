"""Whether a sandbox of this machine can give an agent what its configuration promises."""

from __future__ import annotations

from pathlib import Path

from core.model import Agent

WALLED, OPEN = "bubblewrap", "host"
_OWN = tuple(map(Path, ("/tmp", "/var/tmp", "/run")))  # noqa: S108 (each agent's own, in there)


def unkept(agent: Agent, place: str) -> str | None:
    """What it was promised and would not get there, and what to do; None: it gets all of it."""
    if place == OPEN:
        return _in_the_open(agent)
    return _behind_walls(agent) if place == WALLED else None


def _in_the_open(agent: Agent) -> str | None:
    if agent.network != "on":
        return 'the plain host can\'t close the network: install bubblewrap, or network = "on"'
    if agent.mounts:
        return (
            "the plain host shows no mounts: install bubblewrap, or take the mounts out and name "
            "what it needs in its environment"
        )
    return None


def _behind_walls(agent: Agent) -> str | None:
    if agent.network not in ("on", "off"):
        return f"bubblewrap knows the networks `on` and `off`, not `{agent.network[:63]}`"
    home = agent.environment.get("HOME")
    if home is None or _shown(Path(home), agent):
        return None
    return (
        f"bubblewrap hides its HOME {home[:200]}: give it a key, a token or a mount instead "
        '(docs/agents.md), or sandbox = "host"'
    )


def _shown(home: Path, agent: Agent) -> bool:
    """Whether a mount shows the folder, or something in it."""
    targets = [Path(mount.target) for mount in agent.mounts if mount.target.startswith("/")]
    return any(home.is_relative_to(place) for place in (*_OWN, *targets)) or any(
        target.is_relative_to(home) for target in targets
    )
