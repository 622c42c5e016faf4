"""Where an agent runs and how far it may go, in one line."""

from __future__ import annotations

from collections.abc import Iterator

from core.cards.words import counted, duration
from core.model import Agent, Limits

_UNITS = ((1 << 40, "TB"), (1 << 30, "GB"), (1 << 20, "MB"))


def bounds(agent: Agent) -> str:
    """`network off · 2 h, idle 20 min, 4 GB · 1 mount · image my/agent:1`; what is as usual is
    left out. Without its sandbox's name."""
    parts = (
        "" if agent.network == "on" else f"network {agent.network}",
        ", ".join(_limits(agent.limits)),
        counted(len(agent.mounts), "mount") if agent.mounts else "",
        f"image {agent.container['image']}" if agent.container.get("image") else "",
    )
    return " · ".join(part for part in parts if part)


def _limits(limits: Limits) -> Iterator[str]:
    if limits.wall_time:
        yield _time(limits.wall_time)
    if limits.idle_time:
        yield f"idle {_time(limits.idle_time)}"
    if limits.cpu_time:
        yield f"CPU {_time(limits.cpu_time)}"
    if limits.memory:
        yield _size(limits.memory)
    if limits.processes:
        yield f"{limits.processes} " + ("process" if limits.processes == 1 else "processes")
    if limits.output:
        yield f"output {_size(limits.output)}"


def _time(seconds: float) -> str:
    return (
        duration(round(seconds * 1000)).removesuffix(" 0 min") if seconds >= 1 else f"{seconds:g} s"
    )


def _size(size: int) -> str:
    for unit, name in _UNITS:
        if size >= unit:
            return f"{size / unit:.3g} {name}"
    return f"{size} bytes"
