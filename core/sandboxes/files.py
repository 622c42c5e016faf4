"""Files of an attempt's folder. An agent in a container can write in there, and plant links and
fifos: what is opened here follows no link, and what is written is there whole or not at all.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from core.errors import Broken

T = TypeVar("T")
_TRIES, _IN_VAIN = 5000, 20
"""How often a folder is opened again that an agent closes again and again, some hundredths of a
second in all; and how often where it stands open."""
SMALL, LARGEST = 16 << 10, 16 << 20
"""Bytes of a file that is read here: of one that an agent may have written, which is parsed in no
time whatever it holds; and of an order, which may hold a long prompt."""


def write(path: Path, data: bytes) -> None:
    """Instead of what is there, and for nobody else to read. Raises Broken."""
    try:
        with opened(path.parent) as folder:
            replace(folder, path.name, data)
    except OSError as error:
        raise Broken(f"{path} can't be written: {error.strerror}") from error


def descriptor(path: Path | str, flags: int, within: int | None = None) -> int:
    """`os.open` without following a link. Raises OSError."""
    flags |= os.O_NOFOLLOW | os.O_CLOEXEC
    if within is not None:
        return os.open(path, flags, dir_fd=within)
    return reaching(path, lambda: os.open(path, flags))


def reaching(path: Path | str, act: Callable[[], T]) -> T:
    """Do something with what lies in an attempt's folder. An agent of the same user may close the
    folder to us, or what lies there: that is undone. Raises OSError."""
    in_vain = 0
    for _ in range(_TRIES):
        try:
            return act()
        except PermissionError:
            undone = [_unclosed(place) for place in (os.path.dirname(path), path)]
            in_vain += not any(undone)
            if in_vain > _IN_VAIN:
                break
    return act()


def _unclosed(path: Path | str) -> bool:
    """Whether it was closed and is open again."""
    try:
        fd = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        mode = os.fstat(fd).st_mode
        needed = stat.S_IRWXU if stat.S_ISDIR(mode) else stat.S_IRUSR | stat.S_IWUSR
        if not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)) or mode & needed == needed:
            return False
        os.chmod(f"/proc/self/fd/{fd}", stat.S_IMODE(mode) | needed)
    except OSError:
        return False
    finally:
        os.close(fd)
    return True


@contextlib.contextmanager
def opened(path: Path | str, within: int | None = None) -> Iterator[int]:
    """A folder, itself and not what a link leads to. Raises OSError."""
    fd = descriptor(path, os.O_RDONLY | os.O_DIRECTORY, within)
    try:
        yield fd
    finally:
        os.close(fd)


def exists(folder: int, name: str) -> bool:
    """Whether anything of that name is there, be it a link that leads nowhere."""
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def content(path: Path, most: int) -> bytes:
    """A regular file of at most so many bytes. Raises OSError and ValueError."""
    fd = descriptor(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        facts = os.fstat(fd)
        if not stat.S_ISREG(facts.st_mode) or facts.st_size > most:
            raise ValueError("no file, or far too big")
        return os.pread(fd, facts.st_size, 0)
    finally:
        os.close(fd)  # Python's own file does not, where it finds a folder


def unguessed(name: str) -> str:
    """What it is called until it is whole: nobody can have put anything there."""
    return f"{name}.{secrets.token_hex(16)}.new"


def sweep(folder: int, name: str) -> None:
    """Remove what never became whole of that name. Raises OSError."""
    with os.scandir(folder) as found:
        for entry in found:
            if entry.name.startswith(f"{name}.") and entry.name.endswith(".new"):
                with contextlib.suppress(OSError):
                    os.unlink(entry.name, dir_fd=folder)


def replace(folder: int, name: str, data: bytes) -> None:
    """Raises OSError; then what was there is there as before."""
    new = unguessed(name)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        fd = os.open(new, flags, 0o600, dir_fd=folder)
    except PermissionError:
        os.fchmod(folder, stat.S_IRWXU)
        fd = os.open(new, flags, 0o600, dir_fd=folder)
    try:
        with open(fd, "wb") as file:
            file.write(data)
        _put(folder, new, name)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(new, dir_fd=folder)
        raise


def _put(folder: int, new: str, name: str) -> None:
    """A folder, which nothing can replace, goes out of the way: none of ours is called so."""
    try:
        os.rename(new, name, src_dir_fd=folder, dst_dir_fd=folder)
    except IsADirectoryError:
        away = unguessed(name)
        os.rename(name, away, src_dir_fd=folder, dst_dir_fd=folder)
        os.rename(new, name, src_dir_fd=folder, dst_dir_fd=folder)
