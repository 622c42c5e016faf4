"""What a tool was called with, as text that people read: a field a line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

MOST = 8192
"""Characters of a call's fields that are kept: twice what is shown at most, so that a secret is
whole where it is looked for."""
SHOWN = 4096
LARGE = 256 << 10
"""Bytes of a call that is read at all."""
TOO_LARGE = "-"
_SHORT = 160
"""Characters of them that stand beside a call in one line."""


def given_of(data: str, title: str) -> str:
    """The fields in a tool call's row of the log."""
    if data == TOO_LARGE:
        return "· (what it was given is too long to be shown)"
    try:
        value = msgspec.json.decode(data) if data else None
    except (msgspec.DecodeError, RecursionError):
        return ""
    return given_words(value, title) if isinstance(value, dict) else ""


def given_words(data: Mapping[str, Any], title: str) -> str:
    """The fields of `data["input"]` that its title doesn't say. Not redacted."""
    given = data.get("input")
    if not isinstance(given, dict):
        return ""
    fields = [(str(name), _value(value)) for name, value in given.items()]
    words = "\n".join(f"· {name}: {value}" for name, value in fields if value not in title)
    return "".join(sign if sign.isprintable() or sign in "\n\t" else "�" for sign in words[:MOST])


def in_short(given: str, redact: Callable[[str], str]) -> str:
    """The fields in one line, redacted while they are whole."""
    words = " ".join(redact(given).split())
    return words if len(words) <= _SHORT else f"{words[:_SHORT].rstrip()}…"


def _value(value: object) -> str:
    if isinstance(value, str):
        return value
    try:
        return msgspec.json.encode(value).decode()
    except (TypeError, ValueError, RecursionError):
        return "…"
