"""The words of a tool call that waits for a person's leave: all of it, and nothing unseen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

_NARROW = 80
"""Characters of a value that stand beside its name; a longer object is laid out in lines."""


def asked_words(tool: str, given: Mapping[str, Any]) -> str:
    """The tool, then every field with its whole value; a shell's command stands beside its
    tool. A value of several lines says how many they are, so that it can't pose as a field."""
    fields, first = dict(given), _name(tool)
    if tool == "Bash" and isinstance(given.get("command"), str):
        first = _field(tool, fields.pop("command"))
    return "\n".join([first, *(_field(name, value) for name, value in fields.items())])


def visible(text: str) -> str:
    """The text with escapes for what a screen swallows or obeys; line ends and tabs stay."""
    text = text.replace("\r\n", "\n")
    if text.replace("\n", "").replace("\t", "").isprintable():
        return text
    return "".join(mark if mark.isprintable() or mark in "\n\t" else _escape(mark) for mark in text)


def _escape(mark: str) -> str:
    return mark.encode("unicode_escape").decode()


def _field(name: str, value: object) -> str:
    words = visible(value if isinstance(value, str) and value else _json(value))
    lines = words.count("\n") + 1
    return f"{_name(name)}: {words}" if lines == 1 else f"{_name(name)} ({lines} lines):\n{words}"


def _name(name: str) -> str:
    return "".join(mark if mark.isprintable() else _escape(mark) for mark in name)


def _json(value: object) -> str:
    text = msgspec.json.encode(value)
    return (text if len(text) <= _NARROW else msgspec.json.format(text, indent=2)).decode()
