"""What an agent is given as its own: values read at the door, and which of them are secret.
What stands in its mounts is `config.mounted`'s."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import unquote

from core.model import Agent

SECRET_NAME = re.compile(
    r"KEY|TOKEN|SECRET|PASSW|PASSPH|CREDENTIAL|AUTH(?!OR(?!I))"
    r"|(?<![A-Z])(?:PASS|PAT|DSN)(?![A-Z])|(?<=[_-])PWD(?![A-Z])",
    re.IGNORECASE,
)
"""Variables with such a name hold what nobody may see."""
IN_ADDRESS = re.compile(r"://[^/\s:@]*:([^/\s@]+)@")
"""The password in an address, as databases and proxies have it."""
_FIGURE_NAME = re.compile(r"(MAX|LIMIT|BUDGET|TIMEOUT|TTL|MS|COUNT)(_|$)|_TOKENS$", re.IGNORECASE)
SETTING = re.compile(r"\d{1,9}|on|off|true|false|yes|no|none|auto|default", re.IGNORECASE)
"""What is a figure or a switch, and stands in many a line that people must be able to read."""
_LARGEST = 64 << 10


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
    """Every one of its variables' values that must not be seen, and passwords in addresses."""
    for name, value in agent.environment.items():
        if name in agent.credentials or (SECRET_NAME.search(name) and not _harmless(name, value)):
            yield value
        for password in IN_ADDRESS.findall(value):
            yield from {password, unquote(password)}


def _harmless(name: str, value: str) -> bool:
    """A setting of which nothing is told: `MAX_THINKING_TOKENS = "32000"`, `USE_AUTH = "true"`."""
    setting = SETTING.fullmatch(value.strip())
    return bool(setting) and (not value.strip().isdigit() or bool(_FIGURE_NAME.search(name)))
