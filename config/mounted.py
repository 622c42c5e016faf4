"""Secrets in the files that agents are shown, as they stand there now: an agent, or the user's
own program, may renew a login at any time. What an agent wrote itself is an agent's word."""

from __future__ import annotations

import json
import os
import re
import stat
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from config.credentials import SECRET_NAME
from core.model import Agent

LARGEST = 1 << 20
"""Bytes of a file that is read for secrets."""
_MOST_FILES, _MOST_ENTRIES = 200, 2000
_MOST_VALUES, _MOST_RENEWED = 500, 200
"""Values of one file that are known: those that it had at first, and those that came later."""
_LONGEST, _MOST_TEXT = 64 << 10, 256 << 10
"""Characters of one value; and of all of a file's that came later."""
_SHORTEST = 12
"""Characters of a value in a file that is taken for a secret: shorter ones are words."""
_QUICK, _SHARE = 0.01, 20
"""Seconds that a look into a folder may take. After one that takes longer, as where it has very
many entries, the pause is so many times as long."""
_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
_SET = re.compile(r"[=:]")
_PLAIN = re.compile(r"[\w+/=.~:@%!-]+")
"""What a key is made of, and most code is not."""
_KEY = re.compile(r"(?=.*\d)(?=.*[A-Za-z])[\w+/=.~-]{16,}")
"""What an agent's own writing must look like: it could hide plain words from people by it."""

_Stamp = tuple[int, int, int, int] | None


class Mounted:
    """The files and folders of some agents' mounts. Called, it gives every secret in them, and
    the same object again while nothing has changed. `pause`: seconds between two readings of the
    same thing, whatever writes to it."""

    def __init__(self, agents: Iterable[Agent], pause: float = 0.05) -> None:
        mounts = [mount for agent in agents for mount in agent.mounts]
        ours = {mount.source for mount in mounts if not mount.writable}
        theirs = {mount.source for mount in mounts if mount.writable}
        self._lock = threading.Lock()
        self._places = [_Place(path, path in theirs, pause) for path in sorted(ours | theirs)]
        self._told: frozenset[str] = frozenset()
        self()

    def __call__(self) -> frozenset[str]:
        with self._lock:
            changed = [place.look() for place in self._places]
            if any(changed):
                self._told = frozenset().union(*(place.values() for place in self._places))
            return self._told

    def unread(self) -> list[str]:
        """What couldn't be looked at for secrets, a line each."""
        return [line for place in self._places for line in place.unread()]


@dataclass(slots=True)
class _File:
    """`first`: the secrets that it had when Bullpen first saw it; `renewed`: those since, the
    newest last. `why`: what keeps it from being read whole."""

    path: Path
    named: bool
    first: tuple[str, ...] | None = None
    renewed: dict[str, None] = field(default_factory=dict)
    seen: _Stamp = None
    at: float = 0.0
    why: str | None = None

    def look(self, strict: bool, pause: float) -> bool:
        """Read it where it has changed; whether that was so. `strict`: an agent may have written
        what is new."""
        now, seen = time.monotonic(), _stamp(self.path)
        if self.first is not None and (seen == self.seen or now - self.at < pause):
            return False
        self.seen, self.at = seen, now
        found = [value for value in self._found() if len(value) <= _LONGEST]
        if self.first is None:
            self.first = () if strict else tuple(found[:_MOST_VALUES])
        self._take([value for value in found if not strict or _like_a_key(value)])
        return True

    def _found(self) -> list[str]:
        text, self.why = _text(self.path, follow=not self.named)
        if self.named:
            return list(dict.fromkeys(_named(text)))
        values = list(dict.fromkeys(_values(text)))
        if len(values) > _MOST_VALUES:
            self.why = f"holds more than {_MOST_VALUES} values: only those named as keys are known"
            values = list(dict.fromkeys(_named(text)))
        return values

    def _take(self, values: list[str]) -> None:
        for value in values[:_MOST_RENEWED]:
            if value not in (self.first or ()):
                self.renewed.pop(value, None)
                self.renewed[value] = None
        while len(self.renewed) > _MOST_RENEWED or sum(map(len, self.renewed)) > _MOST_TEXT:
            del self.renewed[next(iter(self.renewed))]


class _Place:
    """One mount's source. Of a folder only so many files are looked at."""

    def __init__(self, source: Path, writable: bool, pause: float) -> None:
        self._source, self._writable, self._pause = source, writable, pause
        self._folder = source.is_dir()
        self._files = {} if self._folder else {source: _File(source, named=False)}
        self._due, self._begun, self._more = 0.0, False, False

    def look(self) -> bool:
        now = time.monotonic()
        if self._folder and (not self._begun or now >= self._due):
            self._find()
            took = time.monotonic() - now
            self._due = now + took + (self._pause if took < _QUICK else _SHARE * took)
        strict, self._begun = self._writable and self._begun, True
        changed = [file.look(strict, self._pause) for file in self._files.values()]
        return any(changed)

    def _find(self) -> None:
        for path in _files(self._source):
            if path in self._files:
                continue
            if len(self._files) >= _MOST_FILES:
                self._more = True
                return
            self._files[path] = _File(path, named=True)

    def values(self) -> Iterable[str]:
        return (
            one for file in self._files.values() for one in (*(file.first or ()), *file.renewed)
        )

    def unread(self) -> Iterator[str]:
        if self._more:
            yield f"{self._source} holds more than {_MOST_FILES} files: only those are looked at"
        elif not self._folder:
            yield from (f"{self._source} {file.why}" for file in self._files.values() if file.why)


def _like_a_key(value: str) -> bool:
    return "PRIVATE KEY" in value or bool(_KEY.fullmatch(value))


def _stamp(path: Path) -> _Stamp:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _files(folder: Path) -> Iterator[Path]:
    """Its ordinary files; no link is followed, and a very large one is not walked to its end."""
    left = _MOST_ENTRIES
    for where, folders, names in os.walk(folder):
        left -= len(folders) + len(names)
        for name in names:
            path = Path(where, name)
            with suppress(OSError):
                if stat.S_ISREG(path.lstat().st_mode):
                    yield path
        if left <= 0:
            return


def _text(path: Path, follow: bool) -> tuple[str, str | None]:
    """The file's text, and why it has none. Nothing but an ordinary file is waited for."""
    try:
        with open(os.open(path, _FLAGS | (0 if follow else os.O_NOFOLLOW)), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return "", "is no ordinary file"
            held = file.read(LARGEST + 1)
    except OSError as error:
        return "", f"can't be read: {error.strerror}"
    if len(held) > LARGEST:
        return "", f"has more than {LARGEST >> 20} MiB"
    try:
        return held.decode(), None
    except UnicodeDecodeError:
        return "", "is no text"


def _values(text: str) -> Iterator[str]:
    """What may be a secret in a file of credentials: a JSON file's texts; else what stands behind
    `=` or `:`, and each line that is one word."""
    if "PRIVATE KEY" in text and len(text) <= _LONGEST:
        yield text
        return
    with suppress(ValueError, RecursionError):
        yield from [value for _, value in _texts(json.loads(text)) if _secret(value)]
        return
    for line in text.splitlines():
        value = _SET.split(line, maxsplit=1)[-1].strip().strip("\"'")
        if _secret(value):
            yield value


def _named(text: str) -> Iterator[str]:
    """The same in a file of some folder, which may hold anything: only what a name calls secret."""
    if "-----BEGIN" in text and "PRIVATE KEY-----" in text and len(text) <= _LONGEST:
        yield text
        return
    with suppress(ValueError, RecursionError):
        found = list(_texts(json.loads(text)))
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
