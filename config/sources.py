"""Where values come from, the strongest last: file, secrets folder, environment, command line.

Each layer is laid over the ones before it; `Layers.origins` remembers who said what, so
that a fault can name the file or the variable.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Path_ = tuple[str, ...]

PREFIX = "BULLPEN_"
PLAIN = {
    "TELEGRAM_BOT_TOKEN": ("telegram", "token"),
    "GITHUB_TOKEN": ("github", "token"),
    "GITHUB_OWNER": ("github", "owner"),
}
SECRET_FILES = {"telegram_token": ("telegram", "token"), "github_token": ("github", "token")}
# What agents are told, and hooks of the tests: no settings.
_NOT_SETTINGS = (
    "BULLPEN_CONFIG",
    "BULLPEN_SECRETS_DIR",
    "BULLPEN_KILL_AT",
    "BULLPEN_REQUIRE_ALL",
    "BULLPEN_TEST_",
    "BULLPEN_ATTEMPT",
    "BULLPEN_SESSION",
    "BULLPEN_TASK",
    "BULLPEN_TITLE",
    "BULLPEN_PROMPT",
    "BULLPEN_WORKSPACE",
    "BULLPEN_ARTIFACTS",
    "BULLPEN_ITERATION",
    "BULLPEN_OUTCOME",
    "BULLPEN_TOKEN",
    "BULLPEN_URL",
    "BULLPEN_MARK",
)


@dataclass(slots=True)
class Layers:
    """What has been said so far, and by whom: key path → file or variable."""

    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[Path_, str] = field(default_factory=dict)

    def lay(self, path: Path_, value: Any, origin: str) -> None:
        """Say `value` at `path`; a table is laid key by key, anything else replaces."""
        self.origins[path] = origin
        if isinstance(value, Mapping):
            self._table(path)
            for key, inner in value.items():
                self.lay((*path, str(key)), inner, origin)
        elif path:
            self._table(path[:-1])[path[-1]] = value

    def forget(self, path: Path_) -> None:
        """Take back what was said at `path` and below."""
        self._table(path[:-1]).pop(path[-1], None)
        self.origins = {p: o for p, o in self.origins.items() if p[: len(path)] != path}

    def get(self, path: Path_, default: Any) -> Any:
        """What is said at `path` by now."""
        return self._table(path[:-1]).get(path[-1], default)

    def origin(self, path: Path_) -> str:
        """Who said `path`, or the nearest table around it."""
        while path and path not in self.origins:
            path = path[:-1]
        return self.origins.get(path, "")

    def _table(self, path: Path_) -> dict[str, Any]:
        table = self.values
        for key in path:
            inner = table.setdefault(key, {})
            if not isinstance(inner, dict):
                inner = table[key] = {}
            table = inner
        return table


def read_toml(path: Path, faults: list[str]) -> dict[str, Any]:
    """The file's tables; what can't be read is a fault."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        faults.append(f"{path}: can't be read: {(error.strerror or str(error)).lower()}")
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        faults.append(f"{path.name}: no valid TOML: {error}{_twice(str(error))}")
    return {}


def _twice(said: str) -> str:
    """What to do about a table that stands there already, as some do in the files that came."""
    return ": it stands there already, keep one of the two" if " twice " in said else ""


def lay_secrets(layers: Layers, folder: Path, faults: list[str]) -> None:
    """One file a secret, by name: `telegram_token`, `github_token`."""
    for name, path in SECRET_FILES.items():
        file = folder / name
        try:
            if file.is_file():
                layers.lay(path, file.read_text(encoding="utf-8").strip(), str(file))
        except (OSError, UnicodeDecodeError):
            faults.append(f"{file}: can't be read: check who may read it")


def lay_environment(layers: Layers, environ: Mapping[str, str]) -> None:
    """`BULLPEN_SECTION__KEY`, and below these the few plain names that people know."""
    for name, path in PLAIN.items():
        if environ.get(name):
            layers.lay(path, environ[name], name)
    for name in sorted(environ):
        if name.startswith(PREFIX) and not name.startswith(_NOT_SETTINGS):
            keys = tuple(name.removeprefix(PREFIX).lower().split("__"))
            layers.lay(keys, _parsed(environ[name]), name)


def _parsed(text: str) -> Any:
    """A list or a table may be given as JSON; anything else is taken as it stands."""
    if text[:1] in {"[", "{"}:
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text
