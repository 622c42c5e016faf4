"""How a process ended, in words that every driver shares."""

from __future__ import annotations

import signal

from core.ports import Exit

_REASONS = {
    "stopped": "stopped",
    "output_limit": "stopped: it wrote more output than the limit allows",
    "wall_time": "stopped: it ran longer than its time limit",
    "idle_time": "stopped: it wrote nothing for longer than its idle limit",
    "memory": "stopped: it used more memory than its limit allows",
    "cpu_time": "stopped: it used more processor time than its limit allows",
    "processes": "stopped: it ran more processes at once than its limit allows",
    "gone": "the process is gone, and left no exit status",
}


def ending(end: Exit) -> str | None:
    """None when it ended by itself with status 0, else how it ended, as a person reads it."""
    if end.reason == "not_started":
        return end.error or "it could not be started"
    if end.reason is not None:
        return _REASONS.get(end.reason, end.reason)
    if end.signal is not None:
        return f"ended by signal {_signal(end.signal)}"
    if end.status is None:
        return "ended without an exit status"
    return f"exit status {end.status}" if end.status else None


def _signal(number: int) -> str:
    try:
        return f"{number} ({signal.Signals(number).name})"
    except ValueError:
        return str(number)
