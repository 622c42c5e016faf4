"""Days and times of day in the timezone of the configuration."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

_LATEST = 253_370_764_800_000
"""The beginning of the year 9999, ms since the epoch: so far calendars go in every timezone."""


def day_of(ms: int, timezone: str) -> str:
    """The calendar day of a moment: `2026-11-21`."""
    return local(ms, timezone).strftime("%Y-%m-%d")


def clock(ms: int, timezone: str, now: int) -> str:
    """A moment as people say it today: `14:30 UTC`; on another day `Mon 23 Nov, 14:30 UTC`."""
    then = local(ms, timezone)
    if day_of(ms, timezone) == day_of(now, timezone):
        return then.strftime("%H:%M %Z")
    return f"{then:%a} {then.day} {then:%b, %H:%M %Z}"


def local(ms: int, timezone: str) -> datetime:
    """A moment as the clocks there show it; the nearest one that they can show, where it is
    beyond the calendar."""
    return datetime.fromtimestamp(min(max(ms, 0), _LATEST) / 1000, zone(timezone))


def zone(name: str) -> tzinfo:
    """The timezone of that name."""
    # A machine without a timezone database knows at least this one.
    return UTC if name == "UTC" else ZoneInfo(name)
