"""How an attempt in a container is brought to its end, and how it is told."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from core.ports import Exit
from core.sandboxes.attempt import Attempt
from core.sandboxes.docker.place import Place

STOP_PATIENCE = 30.0
"""Seconds for killing, on top of any grace."""
HEARING = 6.0
"""Seconds that a launcher has to end all and tell of it: then the engine kills."""


def ways(
    place: Place, force: bool, begun: bool, hearing: float = STOP_PATIENCE
) -> Sequence[tuple[str, float]]:
    """The signals that end it, and how long each one has. The launcher kills the rest itself,
    once it has begun: before, the kernel keeps signals from a container's first process. `hearing`:
    how long it has for that, beside the grace."""
    last = ("SIGKILL", STOP_PATIENCE)
    if place.launcher and not begun:
        return (last,)
    if not place.launcher:
        return (last,) if force else (("SIGTERM", place.grace), last)
    asked = ("SIGUSR1", hearing)
    return (asked, last) if force else (("SIGTERM", place.grace + hearing), asked, last)


def end_of(attempt: Attempt, state: Mapping[str, Any], reason: str) -> Exit:
    """How a dead container ended: the launcher's word, or what the engine saw."""
    end, starved = attempt.end(), bool(state.get("OOMKilled"))
    if end is None and state.get("ExitCode") != 137 and attempt.handle() is None:
        return Exit(reason="not_started", at=_now())
    if end is None:
        killed = Exit(signal=9, reason="memory" if starved else reason, at=_now())
        return replace(killed, error=state.get("Error") or None)
    if starved and end.reason is None and (end.signal == 9 or end.status == 137):
        return replace(end, reason="memory")
    return end


def buried(attempt: Attempt, reason: str) -> Exit:
    """The end of one whose container is gone."""
    end = attempt.end()
    if end is None:
        end = Exit(reason=reason, at=_now())
        attempt.bury(end)
    return end


def _now() -> int:
    return time.time_ns() // 1_000_000
