"""The words of a tool call that waits for a person's leave: all of it, and nothing unseen."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

_UNSEEN = re.compile(r"[^\n\t]")


def asked_words(tool: str, given: Mapping[str, Any]) -> str:
    """The tool, then every field with its whole value; a shell's command stands beside its
    tool. A value of several lines says how many they are, so that it can't pose as a field."""
    fields = dict(given)
    command = fields.pop("command", None) if tool == "Bash" else None
    first = _field(tool, command) if isinstance(command, str) and command else visible(tool)
    if not isinstance(command, str | None):
        fields["command"] = command
    return "\n".join([first, *(_field(name, value) for name, value in fields.items())])


def visible(text: str) -> str:
    """The text with escapes for what a screen swallows or obeys; line ends and tabs stay."""
    return _UNSEEN.sub(_shown, text.replace("\r\n", "\n"))


def _shown(found: re.Match[str]) -> str:
    mark = found[0]
    return mark if mark.isprintable() else mark.encode("unicode_escape").decode()


def _field(name: str, value: object) -> str:
    name = name if name.isprintable() else visible(name).replace("\n", "\\n")
    words = visible(value if isinstance(value, str) and value else _json(value))
    lines = words.count("\n") + 1
    return f"{name}: {words}" if lines == 1 else f"{name} ({lines} lines):\n{words}"


def _json(value: object) -> str:
    text = msgspec.json.encode(value)
    return (text if len(text) < 80 else msgspec.json.format(text, indent=2)).decode()
