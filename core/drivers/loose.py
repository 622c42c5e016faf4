"""What stands in a line of JSON that somebody else wrote: absent or of another kind is empty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from core.ports import Line

_MOST = 2**53
"""From here on a number of JSON is no count any more, and a sum of them soon fits nowhere."""

Table = Mapping[str, Any]
_decoder = msgspec.json.Decoder()


def decoded(line: Line) -> Table:
    """The object in a line of standard output; an empty one where there is none."""
    if line.stream != "out" or not line.text.startswith("{"):
        return {}
    try:
        return table(_decoder.decode(line.text))
    except (msgspec.DecodeError, RecursionError):
        return {}


def objects(value: object) -> Sequence[Table]:
    return [item for item in items(value) if isinstance(item, dict)]


def items(value: object) -> Sequence[Any]:
    return value if isinstance(value, list) else ()


def table(value: object) -> Table:
    return value if isinstance(value, dict) else {}


def string(value: object) -> str:
    return value if isinstance(value, str) else ""


def number(value: object) -> float:
    """A count, an amount or a time; 0 for what can be none: below zero, not finite, too large."""
    return value if isinstance(value, int | float) and 0 <= value < _MOST else 0.0
