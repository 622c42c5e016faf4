"""That a usage limit is reached, and when it is over, as agents write it for people."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

_LIMIT = re.compile(
    r"usage[ _-]?limit|rate[ _-]?limit|too many requests|quota|resource[ _]exhausted"
    r"|(?:\bstatus(?:[ _]?code)?|\bcode|\berror|\bhttp(?:/[\d.]{1,3})?)\W{1,4}429\b|\(429\)"
    r"|^\W*429(?=\W*(?:$|\{|too|retry|reset|rate))",
    re.IGNORECASE,
)
_OWN = re.compile(
    r"\b(?:disk|storage|file ?system|inode|block|memory|cpu)[ _-]*quota"
    r"|\bquota exceeded\W{0,3}(?:os error 122|EDQUOT)|\bEDQUOT\b\W{0,3}quota",
    re.IGNORECASE,
)
"""A shortage of the machine's, which no account has to rest for."""
_EPOCH = re.compile(r"limit reached\|(\d{9,11})\b")
_CLOCK = re.compile(
    r"(?:resets|try again at)\s+(?:at\s+)?"
    r"(?:(?P<month>[A-Z][a-z]{2})[a-z]* (?P<day>\d{1,2})(?:st|nd|rd|th)?,? "
    r"(?:(?P<year>\d{4}),? )?(?:at )?)?"
    r"(?P<hour>\d{1,2})(?::(?P<minute>\d{2}))? ?(?P<half>[ap]m)"
    r"(?: \((?P<zone>[\w/+-]{1,40})\))?",
    re.IGNORECASE,
)
_AFTER = re.compile(r"try again in ((?:\d{1,4} (?:day|hour|minute|second)s?[ ,]*)+)", re.IGNORECASE)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MINUTE = 60_000
_LONGEST = 20_000
"""Characters of an error that are read."""


def is_limit(text: str) -> bool:
    """Whether an error says that the account is at its provider's limit. 429 counts as a status
    alone, and a quota where it is none of the machine's."""
    return _LIMIT.search(_OWN.sub("", text[:_LONGEST])) is not None


def reset_at(text: str, now: int) -> int | None:
    """ms since the epoch; None where it names no time. A clock without a zone is UTC's (`now`,
    ms, says of which day); what it cuts off, a part of a minute, is added."""
    text = text[:2000]
    if found := _EPOCH.search(text):
        return int(found[1]) * 1000
    if found := _AFTER.search(text):
        amounts = re.findall(r"(\d+) (day|hour|minute|second)", found[1].lower())
        return (
            now
            + int(sum(timedelta(**{f"{n}s": int(a)}).total_seconds() for a, n in amounts)) * 1000
        )
    found = _CLOCK.search(text)
    try:
        return _clock(found, now) if found else None
    except (ValueError, OverflowError, OSError):
        return None  # no such day, hour or zone


def _clock(found: re.Match[str], now: int) -> int:
    zone: tzinfo = UTC
    if found["zone"] and found["zone"].upper() != "UTC":
        try:
            zone = ZoneInfo(found["zone"])
        except Exception as error:  # it may name a folder or a file that is no zone
            raise ValueError from error
    today = datetime.fromtimestamp(now / 1000, zone)
    hour = int(found["hour"]) % 12 + (12 if found["half"].lower() == "pm" else 0)
    then = today.replace(hour=hour, minute=int(found["minute"] or 0), second=0, microsecond=0)
    if found["month"]:
        then = then.replace(
            year=int(found["year"] or today.year),
            month=_MONTHS.index(found["month"].lower()) + 1,
            day=int(found["day"]),
        )
    at = int(then.timestamp() * 1000) + _MINUTE
    if at >= now or found["year"]:
        return at
    again = then.replace(year=then.year + 1) if found["month"] else then + timedelta(days=1)
    return int(again.timestamp() * 1000) + _MINUTE
