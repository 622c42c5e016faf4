"""The process's own protection: one bot a data folder, its memory closed to children."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
from pathlib import Path

from core.errors import Broken, Refused

PR_SET_DUMPABLE = 4


class AlreadyRunning(Refused):
    """Another bot holds the data folder."""


def lock(data: Path) -> int:
    """Take the data folder for this process; the kernel lets go of it with the process.

    Raises AlreadyRunning, naming the other process, or Broken when the folder can't be used.
    """
    handle = _open(data)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        holder = os.read(handle, 32).decode(errors="replace").strip()
        os.close(handle)
        raise AlreadyRunning(
            f"Another Bullpen (process {holder or 'unknown'}) is running on "
            f"{data}. Stop it, or give --data another folder."
        ) from None
    os.ftruncate(handle, 0)
    os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
    return handle


def _open(data: Path) -> int:
    try:
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        return os.open(data / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Broken(
            f"The data folder {data} can't be written: {error.strerror}. Make it "
            "writable, or give --data another folder."
        ) from error


def close_memory() -> None:
    """A child of the same user can't read this process's environment or memory any more."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
