"""Files of an attempt's folder. An agent in a container can write in there, and plant links and
fifos: what is opened here follows no link, and what is written is there whole or not at all.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path

from core.errors import Broken

_TRIES = 20
"""How often a folder is opened again that an agent closes again and again."""
LARGEST = 16 << 20
"""Bytes of a file that is read here; an order may hold a long prompt."""


def write(path: Path, data: bytes) -> None:
    """Instead of what is there, and for nobody else to read. Raises Broken."""
    try:
        with opened(path.parent) as folder:
            replace(folder, path.name, data)
    except OSError as error:
        raise Broken(f"{path} can't be written: {error.strerror}") from error


def descriptor(path: Path | str, flags: int, within: int | None = None) -> int:
    """`os.open` without following a link. An agent of the same user may close the folder to us, or
    what lies there: that is undone. Raises OSError."""
    flags |= os.O_NOFOLLOW | os.O_CLOEXEC
    for _ in range(0 if within is not None else _TRIES):
        try:
            return os.open(path, flags)
        except PermissionError:
            _unclose(os.path.dirname(path))
            _unclose(path)
    return os.open(path, flags, dir_fd=within)


def _unclose(path: Path | str) -> None:
    with contextlib.suppress(OSError):
        fd = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            mode = os.fstat(fd).st_mode
            needed = stat.S_IRWXU if stat.S_ISDIR(mode) else stat.S_IRUSR | stat.S_IWUSR
            if (stat.S_ISDIR(mode) or stat.S_ISREG(mode)) and mode & needed != needed:
                os.chmod(f"/proc/self/fd/{fd}", stat.S_IMODE(mode) | needed)
        finally:
            os.close(fd)


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


def content(path: Path) -> bytes:
    """A regular file of reasonable size. Raises OSError and ValueError."""
    fd = descriptor(path, os.O_RDONLY | os.O_NONBLOCK)
    with open(fd, "rb") as file:
        facts = os.fstat(fd)
        if not stat.S_ISREG(facts.st_mode) or facts.st_size > LARGEST:
            raise ValueError("no file, or far too big")
        return file.read(LARGEST)


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
