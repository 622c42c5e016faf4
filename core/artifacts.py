"""What belongs to a task as files: its folder, and every version of every artifact in it."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
from dataclasses import dataclass
from pathlib import Path

from core.errors import Broken, Refused, Unclear
from core.killpoints import kill_point
from core.model import ENDED, Actor, Event, Severity, Task, task_ref
from core.store import tasks
from core.store.database import Tx

LARGEST = 20 << 20
RAW = "raw-input.md"
"""Every task's description as given."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def check_name(name: str) -> str:
    """Raises Unclear for a name that isn't plain letters, digits, dots, dashes."""
    if not _NAME.fullmatch(name):
        raise Unclear(
            f"`{name[:60]}` can't be an artifact's name: letters, digits, `.`, `_` and "
            "`-`, at most 100."
        )
    return name


def folder_name(task: Task) -> str:
    return f"{task_ref(task.id)}--{task.slug}"


@dataclass(frozen=True, slots=True)
class Staged:
    """What is to be kept, on the disk already: a file for the version, and one for its name."""

    files: tuple[Path, Path]
    sha256: str
    size: int

    def drop(self) -> None:
        """Nothing of it stays that was not kept."""
        for path in self.files:
            path.unlink(missing_ok=True)


class Artifacts:
    """The task folders below one data folder: `tasks/active`, `tasks/completed`."""

    def __init__(self, data: Path) -> None:
        self.root = data / "tasks"

    def folder(self, task: Task) -> Path:
        """Where the task's folder is now, else where it belongs."""
        places = ["active", "completed"]
        if task.state in ENDED:
            places.reverse()
        for place in places:
            if (found := self.root / place / folder_name(task)).is_dir():
                return found
        return self.root / "active" / folder_name(task)

    def stage(self, data: bytes) -> Staged:
        """Ready to be kept in a moment, by whoever holds the one writer. Raises Broken."""
        folder = self.root / ".incoming"
        files = tuple(folder / secrets.token_hex(8) for _ in range(2))
        for path in files:
            write_atomically(path, data)
        kill_point("after-staging")
        return Staged((files[0], files[1]), hashlib.sha256(data).hexdigest(), len(data))

    def sweep(self) -> None:
        """Remove what a bot that died had staged: before anything is staged, and not where a link
        leads to."""
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        with contextlib.suppress(OSError):  # none: nothing was ever staged
            folder = os.open(self.root / ".incoming", flags)
            try:
                for name in os.listdir(folder):
                    with contextlib.suppress(OSError):
                        os.unlink(name, dir_fd=folder)
            finally:
                os.close(folder)

    def keep(self, tx: Tx, task_id: int, name: str, data: bytes | Staged, author: Actor) -> int:
        """Store a new version; returns its number. The newest stands under the plain name,
        each under `.versions/`. Raises Refused when it is too large."""
        check_name(name)
        size = data.size if isinstance(data, Staged) else len(data)
        if size > LARGEST:
            raise Refused(f"{name} has {size >> 20} MB; 20 MB fit.")
        staged = data if isinstance(data, Staged) else self.stage(data)
        version = 1 + (
            tx.value(
                "SELECT max(version) FROM artifacts WHERE task_id = ? AND name = ?", (task_id, name)
            )
            or 0
        )
        folder = self.folder(tasks.get(tx, task_id)) / "artifacts"
        # Files first: a transaction taken back leaves a file nobody refers to, never a row
        # without its content.
        places = (folder / ".versions" / f"{name}.v{version}", folder / name)
        for source, place in zip(staged.files, places, strict=True):
            _moved(source, place)
        tx.insert(
            "artifacts",
            task_id=task_id,
            name=name,
            version=version,
            author=author.key,
            sha256=staged.sha256,
            size=size,
            created_at=tx.now,
        )
        tx.emit(
            Event(
                "artifact.written",
                f"{author.name or author.user_id} wrote {name}",
                Severity.DEBUG if version == 1 and name == RAW else Severity.INFO,
                task_id=task_id,
                payload={"name": name, "version": version},
            )
        )
        return version

    def read(self, task: Task, name: str, version: int | None = None) -> bytes:
        """The newest version, or the numbered one. No link is followed. Raises Unclear naming
        what there is."""
        folder = self.folder(task) / "artifacts"
        check_name(name)
        path = folder / ".versions" / f"{name}.v{version}" if version else folder / name
        try:
            handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        except OSError:
            raise Unclear(_missing(task, folder, name, version)) from None
        with os.fdopen(handle, "rb") as file:
            return file.read(LARGEST)


def _missing(task: Task, folder: Path, name: str, version: int | None) -> str:
    there = sorted(p.name for p in folder.iterdir() if p.is_file()) if folder.is_dir() else []
    if version is not None and name in there:
        return f"{task.ref} has no version {version} of {name}: /show {task.id} artifacts"
    return f"{task.ref} has no `{name}`. There is: {', '.join(there[:20]) or 'nothing yet'}."


def _moved(source: Path, place: Path) -> None:
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        source.replace(place)
    except OSError as error:
        raise Broken(f"{place} can't be written: {error.strerror}.") from error


def write_atomically(path: Path, data: bytes) -> None:
    """Replace the file whole, or not at all. Raises Broken."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.tmp")
        temporary.write_bytes(data)
        temporary.replace(path)
    except OSError as error:
        raise Broken(f"{path} can't be written: {error.strerror}.") from error
