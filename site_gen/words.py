"""How states, times and money are said on a page."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache

from markupsafe import Markup

from core.model import task_ref

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
    "held": ("◍", "held back"),
    "later": ("○", "to come"),
}
RUNS = {
    "planned": ("○", "planned", "inbox"),
    "pending": ("○", "to come", "inbox"),
    "running": ("▶", "running", "in_flight"),
    "paused": ("‖", "paused", "blocked"),
    "completed": ("✓", "completed", "done"),
    "failed": ("✕", "failed", "failed"),
    "cancelled": ("–", "cancelled", "cancelled"),
}
"""A run's or wave's state: icon, word, and the task's state whose colour it has."""
AGENTS = {
    "offline": ("–", "offline", "cancelled"),
    "working": ("▶", "working", "in_flight"),
    "blocked": ("◆", "waits for a person", "review"),
    "idle": ("○", "idle", "ready"),
}
RUN_ORDER = (
    "done",
    "in_flight",
    "planning",
    "review",
    "failed",
    "blocked",
    "held",
    "ready",
    "later",
    "inbox",
    "cancelled",
)
"""In which order a wave's tasks are told by state."""
GLYPHS = {
    **{state: STATES[state][0] for state in ("done", "in_flight", "review", "failed")},
    "blocked": "‖",
    "planning": "◇",
    "cancelled": "–",
    "held": "·",
    "ready": "",
    "later": "",
    "inbox": "",
}
"""What stands in a task's dot, so that its colour only repeats it."""
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
def badge(state: str, of: str = "task") -> Markup:
    """A state `of` a task, a run or an agent as icon and word; its colour only repeats them."""
    known = {"run": RUNS, "agent": AGENTS}.get(of)
    icon, word, look = (*STATES[state], state) if known is None else known[state]
    return Markup('<span class="s s-{}"><i aria-hidden="true">{}</i> {}</span>').format(
        look, icon, word
    )


def held(why: str, by: int | None) -> str:
    """Why a ready task can't be claimed yet."""
    if why == "collision" and by is not None:
        return f"waits for {task_ref(by)}, which touches the same files"
    return {
        "wave": "waits for its wave",
        "aside": "waits, something is wrong with it",
    }.get(why, "waits, its run is paused")


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


def duration(ms: int) -> str:
    """`0.4 s`, `12 s`, `3 min`, `1.5 h`."""
    return f"{ms / 1000:.1f} s" if ms < 10_000 else span(1, ms + 1)


def tests(passed: int | None, failed: int | None, skipped: int | None) -> str:
    """`41 passed, 2 skipped`; empty where no tests were counted."""
    counted = ((passed, "passed"), (failed, "failed"), (skipped, "skipped"))
    said = [f"{count(n)} {word}" for n, word in counted if n or (n == 0 and word == "passed")]
    return ", ".join(said)


def answer(kind: str, ref: str) -> str:
    """What to type to answer a gate of that kind."""
    return ANSWERS[kind].format(ref=ref)
