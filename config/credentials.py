"""What an agent is given as its own: values read at the door, and every secret in them."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

from core.model import Agent

SECRET_NAME = re.compile(r"KEY|TOKEN|SECRET|PASSW|CREDENTIAL|AUTH(?!OR(?!I))", re.IGNORECASE)
"""Variables with such a name hold what nobody may see."""
_FIGURE_NAME = re.compile(r"(MAX|LIMIT|BUDGET|TIMEOUT|TTL|MS|COUNT)(_|$)|_TOKENS$", re.IGNORECASE)
_SETTING = re.compile(r"\d{1,9}|on|off|true|false|yes|no|none|auto|default", re.IGNORECASE)
"""What is a figure or a switch, and stands in many a line that people must be able to read."""
_LARGEST, _MOST_FILES = 64 << 10, 200
_SHORTEST = 12
"""Characters of a value in a file that is taken for a secret: shorter ones are words."""
_SET = re.compile(r"[=:]")
_PLAIN = re.compile(r"[\w+/=.~:@%!-]+")
"""What a key is made of, and most code is not."""


def given(value: str) -> str:
    """The value itself, or of `env:NAME` that variable's, of `file:/path` that file's content.
    Raises ValueError, naming what is missing."""
    kind, _, where = value.partition(":")
    if kind == "env":
        if not os.environ.get(where):
            raise ValueError(
                f"the variable {where or '(no name)'} is not set: export it and start Bullpen "
                "again, or put the value into a file and say file:/path"
            )
        return os.environ[where]
    if kind == "file":
        return _content(Path(where).expanduser())
    return value


def is_reference(value: str) -> bool:
    return value.startswith(("env:", "file:"))


def files_of(values: Iterable[str]) -> Iterator[Path]:
    """The files that they are read from."""
    for value in values:
        kind, _, where = value.partition(":")
        if kind == "file":
            yield Path(where).expanduser()


def _content(path: Path) -> str:
    if not path.is_absolute():
        raise ValueError(f"`{path}` is no absolute path; write file:/path")
    try:
        if path.stat().st_size > _LARGEST:
            raise ValueError(f"{path} has more than {_LARGEST >> 10} KiB: that is no value")
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "no UTF-8 text"
        raise ValueError(f"{path} can't be read: {why}") from error


def secrets_of(agent: Agent) -> Iterator[str]:
    """Every value of its own that must not be seen."""
    for name, value in agent.environment.items():
        if name in agent.credentials or (SECRET_NAME.search(name) and not _harmless(name, value)):
            yield value
    for mount in agent.mounts:
        if mount.source.is_dir():
            for path in _files(mount.source):
                yield from _named(_text(path))
        else:
            yield from _values(_text(mount.source))


def _harmless(name: str, value: str) -> bool:
    """A setting of which nothing is told: `MAX_THINKING_TOKENS = "32000"`, `USE_AUTH = "true"`."""
    setting = _SETTING.fullmatch(value.strip())
    return bool(setting) and (not value.strip().isdigit() or bool(_FIGURE_NAME.search(name)))


def _files(folder: Path) -> Iterator[Path]:
    found = (path for path in folder.rglob("*") if path.is_file())
    yield from islice(found, _MOST_FILES)


def _text(path: Path) -> str:
    with suppress(OSError, UnicodeDecodeError):
        if path.stat().st_size <= _LARGEST:
            return path.read_text(encoding="utf-8")
    return ""


def _values(text: str) -> Iterator[str]:
    """What may be a secret in a file of credentials: a JSON file's texts; else what stands behind
    `=` or `:`, and each line that is one word."""
    if "PRIVATE KEY" in text:
        yield text
        return
    with suppress(ValueError):
        yield from (value for _, value in _texts(json.loads(text)) if _secret(value))
        return
    for line in text.splitlines():
        value = _SET.split(line, maxsplit=1)[-1].strip().strip("\"'")
        if _secret(value):
            yield value


def _named(text: str) -> Iterator[str]:
    """The same in a file of some folder, which may hold anything: only what a name calls secret."""
    if "-----BEGIN" in text and "PRIVATE KEY-----" in text:
        yield text
        return
    with suppress(ValueError):
        found = _texts(json.loads(text))
        yield from (value for name, value in found if SECRET_NAME.search(name) and _secret(value))
        return
    for line in text.splitlines():
        name, *values = _SET.split(line, maxsplit=1)
        value = values[0].strip().strip("\"',;") if values else ""
        if SECRET_NAME.search(name) and _secret(value) and _PLAIN.fullmatch(value):
            yield value


def _secret(value: str) -> bool:
    return len(value) >= _SHORTEST and not any(mark.isspace() for mark in value)


def _texts(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Each text with the name that it stands under."""
    if isinstance(value, str):
        yield name, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _texts(inner, key)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner, name)
