"""The end of an attempt, as somebody tells of it who may be the agent itself; and what an engine
knows besides."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from core.ports import Exit
from core.sandboxes.output import clean

_LIMITS = frozenset({"wall_time", "idle_time", "memory"})


def told_of(value: Mapping[str, Any]) -> Exit:
    """An end in the launcher's words. An agent may have written it: what can't be is left out."""
    reason, error = (value.get(key) for key in ("reason", "error"))
    return Exit(
        _number(value.get("status"), 255),
        _number(value.get("signal"), 64),
        _line(reason),
        _line(error),
        _number(value.get("at"), time.time_ns() // 1_000_000) or 0,
    )


def _number(value: object, most: int) -> int | None:
    return value if type(value) is int and 0 <= value <= most else None


def _line(value: object) -> str | None:
    if not isinstance(value, str):
        return None
    whole = value[:500].encode("utf-8", "replace").decode()
    return clean(whole.replace("\n", " "))


def joined(told: Exit, known: Exit) -> Exit:
    """What was told, with the limit that only the engine knows of: in there it was asked to go,
    or killed, and no more than that."""
    killed = told.signal == 9 or told.status == 137
    starved = known.reason == "memory" and told.reason is None and killed
    if known.reason in _LIMITS and (starved or told.reason == "stopped"):
        return replace(told, reason=known.reason)
    return told
