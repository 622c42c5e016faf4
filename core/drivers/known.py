"""What may stand in an agent's `options`: a table for each driver, judged when it is read."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from typing import Any

Kind = Callable[[object], str | None]
"""None where a value is one of its kind, else what it must be."""


def faults(options: Mapping[str, Any], known: Mapping[str, Kind]) -> tuple[str, ...]:
    """Each unknown key and each value of another kind: `options.key: what instead`."""
    found = []
    for name, value in options.items():
        kind = known.get(name)
        why = _unknown(name, known) if kind is None else kind(value)
        if why is not None:
            found.append(f"options.{name}: {why}")
    return tuple(found)


def _unknown(name: str, known: Mapping[str, Kind]) -> str:
    near = difflib.get_close_matches(name, known, 1, 0.6)
    return "unknown key; " + (f"did you mean {near[0]}?" if near else f"there are {_all(known)}")


def _all(words: Mapping[str, Kind] | tuple[str, ...]) -> str:
    return ", ".join(sorted(words))


def text(value: object) -> str | None:
    return None if isinstance(value, str) else "must be words in quotes"


def flag(value: object) -> str | None:
    return None if isinstance(value, bool) else "must be true or false"


def table(value: object) -> str | None:
    return None if isinstance(value, Mapping) else "must be a table: { key = value }"


def words(value: object) -> str | None:
    fits = isinstance(value, list | tuple) and all(isinstance(word, str) for word in value)
    return None if fits else 'must be a list of words, for instance ["--max-turns", "20"]'


def command(value: object) -> str | None:
    fits = value and (isinstance(value, str) or words(value) is None)
    return None if fits else "must be a command line, or a list of its words"


def number(value: object) -> str | None:
    fits = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 2**53
    return None if fits else "must be a number from 0 up"


def address(value: object) -> str | None:
    """Of a server; nothing is the usual one."""
    fits = isinstance(value, str) and re.fullmatch(r"(https?://[^\s/?#]+[^\s]*)?", value)
    return None if fits else "no address; for instance https://api.example.com/v1"


def one_of(*names: str) -> Kind:
    def kind(value: object) -> str | None:
        if value in names:
            return None
        near = difflib.get_close_matches(str(value), names, 1, 0.6)
        return f"did you mean {near[0]}?" if near else f"must be one of {_all(names)}"

    return kind
