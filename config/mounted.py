"""Secrets in the files that agents are shown, as they stand there now: an agent, or the user's
own program, may renew a login at any time. What an agent wrote itself is an agent's word."""

from __future__ import annotations

import os
import re
import stat
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from config import secretfiles
from config.secretfiles import LARGEST_IN_FOLDER, MOST
from core.model import Agent

_MOST_FILES, _MOST_ENTRIES, _MOST_BYTES = 200, 2000, 2 << 20
"""Of a folder: files that are looked at, entries that are walked, and bytes in those files when
they are first seen."""
_MOST_RENEWED, _MOST_TEXT = 100, 64 << 10
"""Values of one mount that are known besides those that it had at first, and their characters."""
_QUICK, _SHARE = 0.02, 20
"""Seconds that one look may take before what is left waits for the next. After a look that takes
as long, the pause is so many times as long: whatever an agent writes there, the bot has time."""
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
        self._places = deque(_Place(path, path in theirs, pause) for path in sorted(ours | theirs))
        self._told: frozenset[str] = frozenset()
        self._look(until=float("inf"))
        self._due = 0.0

    def __call__(self) -> frozenset[str]:
        with self._lock:
            now = time.monotonic()
            if now >= self._due:
                self._look(until=now + _QUICK)
            return self._told

    def _look(self, until: float) -> None:
        """What is not come to by then comes first at the next look."""
        begun = time.monotonic()
        changed = [place.look(until) for place in self._places]
        if any(changed):
            self._told = frozenset().union(*(place.values() for place in self._places))
        ended = time.monotonic()
        if ended - begun >= _QUICK:
            self._due = ended + _SHARE * (ended - begun)
            self._places.rotate(-1)

    def unread(self) -> list[str]:
        """What couldn't be looked at for secrets, a line each."""
        return sorted(line for place in self._places for line in place.unread())


@dataclass(slots=True)
class _File:
    """`why`: what keeps it from being read whole. `at`: when it was read last, of the monotonic
    clock."""

    path: Path
    seen: _Stamp = None
    at: float = float("-inf")
    why: str | None = None


class _Place:
    """One mount's source. `first`: the secrets that were given with it; an agent that may write
    there pushes none of them out."""

    def __init__(self, source: Path, writable: bool, pause: float) -> None:
        self._source, self._writable, self._pause = source, writable, pause
        self._folder = source.is_dir()
        self._files = {} if self._folder else {source: _File(source)}
        self._due, self._begun, self._many = 0.0, False, False
        self._more: set[str] = set()
        self._first: dict[str, None] = {}
        self._renewed: dict[str, None] = {}

    def look(self, until: float) -> bool:
        """Whether anything was read anew."""
        now = time.monotonic()
        if self._folder and now >= self._due:
            self._find()
            self._due = time.monotonic() + self._pause
        strict, self._begun = self._writable and self._begun, True
        changed = self._changed(now)
        for number, (file, seen) in enumerate(changed):
            if time.monotonic() >= until:
                return number > 0
            file.seen, file.at = seen, time.monotonic()
            values, file.why = secretfiles.read(file.path, self._folder)
            self._take([value for value in values if not strict or _like_a_key(value)], strict)
        return bool(changed)

    def _changed(self, now: float) -> list[tuple[_File, _Stamp]]:
        """Those that waited longest first."""
        found = [(file, _stamp(file.path)) for file in self._files.values()]
        changed = [
            (file, seen)
            for file, seen in found
            if (file.seen != seen and now - file.at >= self._pause) or file.at == float("-inf")
        ]
        return sorted(changed, key=lambda one: one[0].at)

    def _find(self) -> None:
        size = 0
        for path, about in _files(self._source):
            if path in self._files:
                size += about.st_size
                continue
            if about.st_size > LARGEST_IN_FOLDER:
                self._more.add(f"files of more than {LARGEST_IN_FOLDER >> 10} KiB: they are not")
                continue
            size += about.st_size
            if len(self._files) >= _MOST_FILES:
                self._files = {one: it for one, it in self._files.items() if os.path.lexists(one)}
            if len(self._files) >= _MOST_FILES:
                self._more.add(f"more than {_MOST_FILES} files: only those are")
                return
            if size > _MOST_BYTES and not self._begun:
                self._more.add(f"files of more than {_MOST_BYTES >> 20} MiB: only so much is")
                return
            self._files[path] = _File(path)

    def _take(self, values: list[str], strict: bool) -> None:
        new = [value for value in values if value not in self._first]
        if not strict:
            room = MOST - len(self._first)
            self._first.update(dict.fromkeys(new[:room]))
            self._many, new = self._many or len(new) > room, new[room:]
        for value in new[:_MOST_RENEWED]:
            self._renewed.pop(value, None)
            self._renewed[value] = None
        while len(self._renewed) > _MOST_RENEWED or sum(map(len, self._renewed)) > _MOST_TEXT:
            del self._renewed[next(iter(self._renewed))]

    def values(self) -> Iterable[str]:
        return (*self._first, *self._renewed)

    def unread(self) -> Iterator[str]:
        yield from (f"{self._source} holds {words} looked at" for words in self._more)
        if self._many:
            yield f"{self._source} holds more than {MOST} secrets: only the first are known"
        if not self._folder:
            yield from (f"{self._source} {file.why}" for file in self._files.values() if file.why)


def _like_a_key(value: str) -> bool:
    return "PRIVATE KEY" in value or bool(_KEY.fullmatch(value))


def _stamp(path: Path) -> _Stamp:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _files(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Its ordinary files; no link is followed, and a very large one is not walked to its end."""
    left = _MOST_ENTRIES
    for where, folders, names in os.walk(folder):
        left -= len(folders) + len(names)
        for name in names:
            path = Path(where, name)
            with suppress(OSError):
                about = path.lstat()
                if stat.S_ISREG(about.st_mode):
                    yield path, about
        if left <= 0:
            return
