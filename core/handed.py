"""Files that an agent hands over: those in the artifacts folder of its session.

Whatever lies there is an agent's: it is opened from above without following a link, nothing but
regular files is read, and not more than is allowed.
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from core.artifacts import LARGEST
from core.errors import Refused

OUTCOME = "outcome.json"
"""Not an artifact: by this file an agent reports its outcome."""
MOST = 50
"""Files of one agent that are taken."""
REFUSED = "artifact.refused"
MISSING = "missing"
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_KINDS = ((stat.S_ISLNK, "a link"), (stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a pipe"))


class NotTaken(Exception):
    """Why something is not taken."""


def read(folder: Path, name: str, most: int = LARGEST) -> bytes:
    """The whole file. Raises NotTaken, or OSError."""
    with artifacts_folder(folder) as inner, opened(inner, name, most) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise NotTaken(too_large(most))
    return data


def there(folder: Path, name: str) -> bool:
    """Whether that file is there, and could be taken."""
    with suppress(NotTaken, OSError), artifacts_folder(folder) as inner, opened(inner, name):
        return True
    return False


@contextmanager
def artifacts_folder(folder: Path) -> Iterator[int]:
    """A session's artifacts folder, from above and without following a link. Raises NotTaken."""
    with (
        one_folder(folder.parent) as above,
        one_folder(folder.name, above) as session,
        one_folder("artifacts", session) as inner,
    ):
        yield inner


@contextmanager
def one_folder(path: Path | str, above: int | None = None) -> Iterator[int]:
    """That folder, and not one that a link leads to. Raises NotTaken."""
    try:
        handle = os.open(path, _FOLDER, dir_fd=above)
    except FileNotFoundError:
        raise NotTaken(MISSING) from None
    except OSError as error:
        raise NotTaken("no folder of its own") from error
    try:
        yield handle
    finally:
        os.close(handle)


@contextmanager
def opened(inner: int, name: str, most: int = LARGEST) -> Iterator[BinaryIO]:
    """A regular file of at most the allowed size. Raises NotTaken."""
    try:
        _regular(os.lstat(name, dir_fd=inner), most)
        handle = os.open(name, _FILE, dir_fd=inner)
    except FileNotFoundError:
        raise NotTaken(MISSING) from None
    except OSError as error:
        raise NotTaken(f"it can't be read: {error.strerror}") from error
    with os.fdopen(handle, "rb") as file:
        _regular(os.fstat(handle), most)  # another may stand there by now
        yield file


def _regular(about: os.stat_result, most: int) -> None:
    if not stat.S_ISREG(about.st_mode):
        kind = next((word for is_one, word in _KINDS if is_one(about.st_mode)), "no file")
        raise NotTaken(kind)
    if about.st_size > most:
        raise NotTaken(too_large(most))


def too_large(most: int) -> str:
    return f"larger than {most >> 20} MB" if most >> 20 else f"larger than {most >> 10} KiB"


def place(folder: Path, name: str, data: bytes) -> None:
    """Put a file there, in place of whatever has that name. Raises Refused where that can't be."""
    try:
        (folder / "artifacts").mkdir(parents=True, exist_ok=True)
        with artifacts_folder(folder) as inner:
            replace_in(inner, name, data, 0o644)
    except (NotTaken, OSError) as error:
        raise Refused(f"{name} can't be written to the artifacts folder: {error}.") from None


def replace_in(inner: int, name: str, data: bytes, mode: int) -> None:
    """The file whole, or as it was; a link of that name goes. Raises OSError."""
    temporary = f".{secrets.token_hex(8)}.new"
    try:
        with os.fdopen(os.open(temporary, _NEW, mode, dir_fd=inner), "wb") as file:
            file.write(data)
        os.replace(temporary, name, src_dir_fd=inner, dst_dir_fd=inner)
    except OSError:
        with suppress(OSError):
            os.unlink(temporary, dir_fd=inner)
        raise


def drop(folder: Path, name: str) -> None:
    """Take that file away, if it can be; a link goes, not what it leads to."""
    with suppress(NotTaken, OSError), artifacts_folder(folder) as inner:
        os.unlink(name, dir_fd=inner)
