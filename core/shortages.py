"""What this machine is short of for a while: room on its disk, processes, memory, open files. That
is no fault of the work that meets it, which is held back and tried again."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from pathlib import Path

from core.errors import Broken
from core.model import Session, Severity, task_ref
from core.store import sessions
from core.store.database import Tx
from core.store.troubles import of_the_file

_SHORT = frozenset(
    {
        errno.EAGAIN,
        errno.ENOMEM,
        errno.EMFILE,
        errno.ENFILE,
        errno.ENOSPC,
        errno.EDQUOT,
    }
)
_WORDS = re.compile(f"(?:{'|'.join(map(os.strerror, _SHORT))})(?:: '[^']*')?[.)]*$")
"""What a program of ours says at last where it met one."""
_OURS = ("git ", "the launcher did not start")
"""How errors of programs begin that run on this side of all walls."""
ROOM = 4 << 20
"""Bytes of a disk that count as none."""
_ONCE = 3_600_000
_TOLD = (
    "SELECT 1 FROM events WHERE task_id = ? AND at > ? AND session_id = ? "
    "AND payload ->> 'short' IS NOT NULL"
)


def passing(error: BaseException) -> bool:
    """Whether it tells of such a shortage, itself or in what it came from."""
    said = str(error)
    if said.startswith(_OURS) and _WORDS.search(said):
        return True
    return any(_is_short(one) for one in _chain(error)) or of_the_file(error)


def _is_short(error: BaseException) -> bool:
    return isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in _SHORT)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def full(folder: Path) -> bool:
    """Whether its disk takes nothing more: then whatever failed may have failed of that."""
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize < ROOM or (disk.f_files > 0 and disk.f_favail == 0)


def need_room(folder: Path) -> None:
    """Raises Broken of a kind that passes."""
    if full(folder):
        short = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        raise Broken(f"the disk of {folder} is full: make room") from short


def tell(tx: Tx, session: Session, why: str) -> None:
    """People hear of it, but not again and again."""
    if tx.one(_TOLD, (session.task_id, tx.now - _ONCE, session.id)):
        return
    words = f"{task_ref(session.task_id)} is held back, and tried again: {why}"
    sessions.tell(tx, session, "task.status_changed", words, Severity.WARNING, {"short": why})
