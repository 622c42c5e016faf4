"""The end of an attempt elsewhere: what was told over there, and what the engine knows besides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from core.ports import Exit
from core.sandboxes.output import clean

_LIMITS = frozenset({"wall_time", "idle_time", "memory"})


def told_of(value: Mapping[str, Any]) -> Exit:
    """An end that came from over there: an agent may have written it."""
    status, signal, at = (value.get(key) for key in ("status", "signal", "at"))
    reason, error = (value.get(key) for key in ("reason", "error"))
    return Exit(
        status if type(status) is int else None,
        signal if type(signal) is int else None,
        clean(reason)[:500] if isinstance(reason, str) else None,
        clean(error)[:500] if isinstance(error, str) else None,
        at if type(at) is int else 0,
    )


def joined(told: Exit, known: Exit) -> Exit:
    """What was told, with the limit that only the engine knows of: in there it was asked to go,
    or killed, and no more than that."""
    killed = told.signal == 9 or told.status == 137
    starved = known.reason == "memory" and told.reason is None and killed
    if known.reason in _LIMITS and (starved or told.reason == "stopped"):
        return replace(told, reason=known.reason)
    return told
