"""Amounts as people type them: budgets, durations, and moments to come."""

from __future__ import annotations

import re
from datetime import datetime

from core import days
from core.errors import Unclear

MOST_TOKENS = 10**12
MOST_USD = 1_000_000.0
MOST_MS = 3650 * 86_400_000
_BUDGET = "say money like 2usd, tokens like 200k, or both."
_DURATION = "say it like 90m, 2h or 3d."
_MOMENT = "say 2h, 3d or a time like 2026-11-22T09:00."

_NUMBER = r"(\d{1,13}(?:[.,]\d{1,6})?)"
_USD = re.compile(rf"(?:\$\s*{_NUMBER}|{_NUMBER}\s*(?:usd|dollars?|\$))(?!\w)")
_TOKENS = re.compile(rf"{_NUMBER}\s*(?:(k|m)(?:\s*tok(?:ens?)?)?|tok(?:ens?)?)(?!\w)")
_BETWEEN = re.compile(r"\s*(?:[,+;]|and(?!\w))?\s*")
_SCALE = {"": 1, "k": 1000, "m": 1_000_000}
_PART = re.compile(
    rf"{_NUMBER}\s*(w(?:eeks?)?|d(?:ays?)?|h(?:ours?)?|m(?:in(?:ute)?s?)?|s(?:ec(?:ond)?s?)?)"
    r"(?![a-z])\s*"
)
_SIZE = re.compile(rf"{_NUMBER}\s*([kmgt])i?b?")
_SIZES = "say it like 500m or 4g."
_BYTES = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_UNITS = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}


def budget(text: str) -> tuple[int | None, float | None]:
    """`2usd`, `$2`, `2 USD`, `200k`, `1.5m tokens`, `2usd 200k` as (tokens, US dollars); what
    isn't named is None. Raises Unclear with an example."""
    rest = text.strip().lower()
    tokens: int | None = None
    usd: float | None = None
    while rest:
        if (found := _USD.match(rest)) and usd is None:
            usd = _value(found[1] or found[2])
        elif (found := _TOKENS.match(rest)) and tokens is None:
            tokens = round(_value(found[1]) * _SCALE[found[2] or ""])
        else:
            raise Unclear(f"No budget `{text[:40]}`: {_BUDGET}")
        rest = _after(rest, found.end())
    if (tokens is None and usd is None) or not _fits(tokens, usd):
        raise Unclear(f"No budget `{text[:40]}`: {_BUDGET}")
    return tokens, usd


def _after(rest: str, end: int) -> str:
    between = _BETWEEN.match(rest, end)
    return rest[between.end() if between else end :]


def _value(text: str) -> float:
    """`1,5` is one and a half, `1,500` fifteen hundred."""
    return float(re.sub(r",(?=\d{3}$)", "", text).replace(",", "."))


def _fits(tokens: int | None, usd: float | None) -> bool:
    """More than nothing, and no more than a number can hold."""
    return (tokens is None or 0 < tokens <= MOST_TOKENS) and (usd is None or 0 < usd <= MOST_USD)


def duration(text: str) -> int:
    """`45s`, `90m`, `2h`, `1h30m`, `3d`, `1 week` in ms, at most ten years. Raises Unclear with
    an example."""
    rest = text.strip().lower()
    total, at = 0.0, 0
    while part := _PART.match(rest, at):
        total += _value(part[1]) * _UNITS[part[2][0]]
        at = part.end()
    if at != len(rest) or not 1 <= total <= MOST_MS:
        raise Unclear(f"No duration `{text[:40]}`: {_DURATION}")
    return round(total)


def size(text: str) -> int:
    """`500m`, `4g`, `1.5 GB` in bytes (of 1024). Raises Unclear with an example."""
    found = _SIZE.fullmatch(text.strip().lower())
    if found is None or not 1 <= _value(found[1]) * _BYTES[found[2]] <= 1 << 50:
        raise Unclear(f"No size `{text[:40]}`: {_SIZES}")
    return round(_value(found[1]) * _BYTES[found[2]])


def moment(text: str, now: int, timezone: str) -> int:
    """When: `2h` from now, or `2026-11-22T09:00` (in that zone, or with an offset). Ms
    since the epoch; raises Unclear, also for what has passed."""
    try:
        return now + duration(text)
    except Unclear:
        pass
    try:
        when = datetime.fromisoformat(text.strip())
        there = when if when.tzinfo else when.replace(tzinfo=days.zone(timezone))
        at = round(there.timestamp() * 1000)
    except (ValueError, OverflowError, OSError):
        raise Unclear(f"No time `{text[:40]}`: {_MOMENT}") from None
    if not now < at <= now + MOST_MS:
        raise Unclear(f"`{text[:40]}` {'has passed' if at <= now else 'is too far off'}: {_MOMENT}")
    return at
