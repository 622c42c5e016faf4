"""How states, times and money are said on a page."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache

from markupsafe import Markup

STATES = {
    "inbox": ("○", "inbox"),
    "planning": ("◇", "planning"),
    "ready": ("◌", "ready"),
    "in_flight": ("▶", "in flight"),
    "review": ("◆", "ready for you"),
    "blocked": ("‖", "blocked"),
    "done": ("✓", "done"),
    "failed": ("✕", "failed"),
    "cancelled": ("–", "cancelled"),
}
COLUMNS = (
    "inbox",
    "ready",
    "planning",
    "in_flight",
    "review",
    "blocked",
    "failed",
    "done",
    "cancelled",
)
PRIORITIES = ("low", "medium", "high", "urgent")
ANSWERS = {
    "question": "/answer {ref} …",
    "review": "/approve {ref}  or  /reject {ref} why",
    "merge": "/approve {ref}  or  /reject {ref} why",
    "permission": "/approve {ref} once  or  /reject {ref} why",
    "budget": "/approve {ref}  or  /reject {ref}",
}


@lru_cache(64)
def badge(state: str) -> Markup:
    """A state as icon and word; its colour only repeats what they say."""
    icon, word = STATES[state]
    return Markup('<span class="s s-{}"><i aria-hidden="true">{}</i> {}</span>').format(
        state, icon, word
    )


@lru_cache(8192)
def when(at: int | None) -> Markup:
    """An absolute time in UTC; the script adds the reader's zone and the age."""
    if not at:
        return Markup("–")
    moment = datetime.fromtimestamp(at / 1000, UTC)
    return Markup('<time datetime="{}">{}</time>').format(
        moment.strftime("%Y-%m-%dT%H:%M:%SZ"), moment.strftime("%-d %b %Y, %H:%M UTC")
    )


def clock(at: int) -> str:
    """The time of day of a log line, UTC."""
    seconds = at // 1000 % 86_400
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def money(usd: float) -> str:
    return f"{usd:.2f} USD"


def count(n: int) -> str:
    """A number with thin spaces between thousands, as a person reads it."""
    return f"{n:,}".replace(",", "\u202f")


def span(start: int | None, end: int | None) -> str:
    """How long something took; empty while either end is unknown."""
    if not start or not end or end < start:
        return ""
    seconds = (end - start) // 1000
    if seconds < 90:
        return f"{seconds} s"
    if seconds < 5400:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h"


def answer(kind: str, ref: str) -> str:
    """What to type to answer a gate of that kind."""
    return ANSWERS[kind].format(ref=ref)
