"""Single words as people type them: priorities, sizes, states, counts, times."""

from __future__ import annotations

import re
from collections.abc import Iterable

from core import days
from core.errors import Unclear
from core.model import ACTIVE, COMPLEXITIES, ENDED, Priority, TaskState

_NUMBER = re.compile("[0-9]{1,9}")
_SIZES = dict(
    zip(("trivial", "simple", "medium", "complex", "very_complex"), COMPLEXITIES, strict=True)
)
_WAITING = frozenset({TaskState.INBOX, TaskState.READY, TaskState.BLOCKED})
_GROUPS = {
    "open": _WAITING,
    "pending": _WAITING,
    "queued": frozenset({TaskState.READY}),
    "active": ACTIVE,
    "in_progress": ACTIVE,
    "in_work": frozenset({TaskState.IN_FLIGHT}),
    "completed": frozenset({TaskState.DONE}),
    "closed": ENDED,
    "ended": ENDED,
}


def priority(word: str) -> Priority:
    """`low`, `medium`, `high`, `urgent` (or `critical`)."""
    name = "URGENT" if word.lower() == "critical" else word.upper()
    try:
        return Priority[name]
    except KeyError:
        raise Unclear(f"No priority `{word[:40]}`: low, medium, high or urgent.") from None


def complexity(word: str) -> str:
    """`xs` to `xl`, or `trivial`, `simple`, `medium`, `complex`, `very complex`."""
    size = re.sub(r"[-_\s]+", "_", word.strip().lower())
    found = _SIZES.get(size, size)
    if found not in COMPLEXITIES:
        raise Unclear(f"No complexity `{word[:20]}`: {', '.join(COMPLEXITIES)}.")
    return found


def states(words: Iterable[str]) -> tuple[TaskState, ...]:
    """`ready`, `ready,blocked`, `in-progress`: the states meant, each once."""
    meant: set[TaskState] = set()
    for word in (part for said in words for part in said.split(",") if part):
        meant |= _states(word)
    return tuple(state for state in TaskState if state in meant)


def _states(word: str) -> frozenset[TaskState]:
    name = word.lower().replace("-", "_")
    if name in _GROUPS:
        return _GROUPS[name]
    try:
        return frozenset({TaskState(name)})
    except ValueError:
        names = ", ".join(state.value.replace("_", "-") for state in TaskState)
        raise Unclear(f"No state `{word[:40]}`. There are: {names}.") from None


def number(text: str, what: str, least: int = 1, most: int = 1000) -> int:
    """A whole number within bounds; raises Unclear, naming `what` takes it."""
    if not _NUMBER.fullmatch(text) or not least <= int(text) <= most:
        raise Unclear(f"{what} takes a number from {least} to {most}, not `{text[:20]}`.")
    return int(text)


def run_id(text: str) -> int:
    """`7`, `run-7`, `RUN-007`. Raises Unclear."""
    found = re.fullmatch(r"(?:run-?)?0*([1-9][0-9]{0,8})", text.strip(), re.IGNORECASE | re.ASCII)
    if found is None:
        raise Unclear(f"`{text[:40]}` is no run: say a number, for instance 7 or RUN-007.")
    return int(found[1])


def yes_or_no(text: str, what: str) -> bool:
    meant = {"yes": True, "on": True, "true": True, "no": False, "off": False, "false": False}
    if text.lower() not in meant:
        raise Unclear(f"{what} takes yes or no, not `{text[:20]}`.")
    return meant[text.lower()]


def clock(at: int, now: int, timezone: str) -> str:
    """A time as a person says it today (`14:00`) or of another day (`2026-11-22 09:00`)."""
    when, today = (days.local(ms, timezone) for ms in (at, now))
    return when.strftime("%H:%M" if when.date() == today.date() else "%Y-%m-%d %H:%M")


def money(tokens: int | None, usd: float | None) -> str:
    """`2.00 USD and 100k tokens`; empty where there is neither."""
    words = [f"{usd:.2f} USD"] if usd else []
    words += [f"{_short(tokens)} tokens"] if tokens else []
    return " and ".join(words)


def _short(number: int) -> str:
    for size, mark in ((1_000_000, "m"), (1000, "k")):
        if number >= size:
            return f"{number / size:.3g}{mark}"
    return str(number)
