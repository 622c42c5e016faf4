"""Finds out which commit a workspace stands at, by reading files that an agent may have forged.

No git is run: it would obey the workspace's configuration. No link is followed, nothing but
regular files and real folders is opened, and little of them is read.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.errors import Broken

_SHA = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_REF = re.compile(r"refs/heads/[A-Za-z0-9._+@-]+(?:/[A-Za-z0-9._+@-]+)*")
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_MOST_PACKED = 16 << 20
_DEEPEST = 4


def read_head(workspace: Path, objects: Path) -> str:
    """The commit at the workspace's HEAD, whichever branch it is on (or on none).

    `objects` is the one object folder it may borrow from. Raises Broken, naming what is odd,
    when the workspace's `.git` isn't as it was made.
    """
    try:
        with _folder(workspace / ".git") as git:
            _check_objects(git, objects)
            return _resolve(git)
    except (OSError, ValueError) as error:
        raise _odd(f"it can't be read ({_reason(error)})") from error


def read_place(workspace: Path) -> tuple[str, str]:
    """Branch and commit as the workspace shows them, each empty where it can't be told. For
    people to look at: nothing may be decided by it."""
    try:
        with _folder(workspace / ".git") as git:
            head = _read("HEAD", git, 4096).strip().removeprefix("ref: ").strip()
            branch = head.removeprefix("refs/heads/") if _REF.fullmatch(head) else ""
            return branch, _resolve(git)
    except (OSError, ValueError, Broken):
        return "", ""


def _check_objects(git: int, objects: Path) -> None:
    with _folder("objects", git) as folder, _folder("info", folder) as info:
        if _read("alternates", info, 1 << 16) != f"{objects}\n":
            raise _odd("it borrows objects from elsewhere")
        # Git would follow a link here, and wait for ever at a FIFO.
        for above, folders, names, inside in os.fwalk(dir_fd=folder, onerror=_give_up):
            if above.count("/") > _DEEPEST:
                raise _odd("folders of its objects are nested as git nests none")
            for name in folders + names:
                mode = os.lstat(name, dir_fd=inside).st_mode
                if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                    raise _odd("an object in it is no ordinary file")


def _give_up(error: OSError) -> None:
    raise error


def _resolve(git: int) -> str:
    head = _read("HEAD", git, 4096).strip()
    if _SHA.fullmatch(head):
        return head
    name = head.removeprefix("ref: ").strip()
    if not _REF.fullmatch(name) or ".." in name:
        raise _odd("its HEAD is on no branch and no commit")
    found = _loose(git, name) or _packed(git, name)
    if not found:
        raise _odd("its branch has no commit")
    return found


def _loose(git: int, name: str) -> str | None:
    *folders, last = name.split("/")
    try:
        value = _read_below(git, folders, last).strip()
    except FileNotFoundError:
        return None
    if not _SHA.fullmatch(value):
        raise _odd("its branch is no commit")
    return value


def _read_below(folder: int, parts: list[str], last: str) -> str:
    if not parts:
        return _read(last, folder, 4096)
    with _folder(parts[0], folder) as inner:
        return _read_below(inner, parts[1:], last)


def _packed(git: int, name: str) -> str | None:
    try:
        lines = _read("packed-refs", git, _MOST_PACKED).splitlines()
    except FileNotFoundError:
        return None
    for line in lines:
        value, _, ref = line.partition(" ")
        if ref == name and _SHA.fullmatch(value):
            return value
    return None


@contextmanager
def _folder(path: Path | str, inside: int | None = None) -> Iterator[int]:
    handle = os.open(path, _FOLDER, dir_fd=inside)
    try:
        yield handle
    finally:
        os.close(handle)


def _read(name: str, folder: int, most: int) -> str:
    handle = os.open(name, _FILE, dir_fd=folder)
    try:
        about = os.fstat(handle)
        if not stat.S_ISREG(about.st_mode) or about.st_size > most:
            raise _odd(f"`{name}` in it is no ordinary file")
        return os.pread(handle, about.st_size, 0).decode("utf-8")
    finally:
        os.close(handle)  # Python's own file does not, where it finds a folder


def _reason(error: Exception) -> str:
    return (error.strerror or "error") if isinstance(error, OSError) else "not text"


def _odd(what: str) -> Broken:
    return Broken(f"The workspace's .git is not as it was made: {what}. Nothing was taken from it.")
