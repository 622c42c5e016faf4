"""What travels to a place that shares no folder, beside the code: the files that the bot has laid
out for an agent, and its credentials. All of it is read here, and in one way: where an agent may
have been at work no link is followed, and whatever lies there, reading it neither waits nor goes on
without end.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from core.errors import Broken
from core.ports import Order
from core.sandboxes import files

MOST_FILE, MOST_FILES = 1 << 20, 8 << 20
"""Bytes that are carried along: of one file, and of all."""
_WHY: Mapping[int | None, str] = {errno.ELOOP: "it is a link", errno.ENXIO: "it is no file"}
DEEPEST = 100
"""Folders within each other that are looked into."""


@dataclass(frozen=True, slots=True)
class Carried:
    """A file: where it is seen over there, what it holds, and its mode here."""

    target: Path
    data: bytes
    mode: int


def laid_out(order: Order) -> list[Carried]:
    """What the carrier lays out over there: HOME, artifacts, prompts, and credentials whose place
    can be written. Raises Broken for more than can be carried, or what is no file."""
    found: dict[Path, Path] = {}
    for folder in (path for path in order.writable if path.name != "memory"):
        found |= {path: path for path in _plain(folder)}
    for folder in homes(order):
        found |= {path: path for path in folder.glob("*.md") if path.is_file()}
    found |= {path: path for path in order.readable if path.is_file() and _ours(path, order)}
    found |= dict(_mounted(order, inside=True))
    return _read(sorted(found.items()), order)


def shown(order: Order) -> list[Carried]:
    """Its credentials that the carrier can't lay out, since nothing can be written there: the
    engine has to show them. Raises as `laid_out`."""
    return _read(sorted(_mounted(order, inside=False)), order)


def rooms(order: Order) -> list[Path]:
    """The folders that must be writable, none of them within another. Of a workspace the one
    above: git wants to own the folder that it works in."""
    home = order.env.get("HOME")
    wanted = [*homes(order), order.workspace.parent, *order.writable]
    wanted += [Path(home)] if home and Path(home).is_absolute() else []
    found: list[Path] = []
    for path in sorted({path.absolute() for path in wanted}, key=lambda path: len(path.parts)):
        if not any(path.is_relative_to(room) for room in found):
            found.append(path)
    return found


def homes(order: Order) -> list[Path]:
    """The session's folder where the attempt lies in one, else the attempt's."""
    above = [path for path in order.folder.parents if path.name == order.session_id]
    return [above[0] if above else order.folder]


def _mounted(order: Order, inside: bool) -> Iterator[tuple[Path, Path]]:
    """The files of its mounts that are seen inside of its rooms, or outside: where each is seen
    over there, and where it lies here."""
    places = rooms(order)
    for target, source in _all_mounted(order):
        if any(target.is_relative_to(room) for room in places) is inside:
            yield target, source


def _all_mounted(order: Order) -> Iterator[tuple[Path, Path]]:
    home = Path(order.env.get("HOME", "/root"))
    for mount in order.mounts:
        words = mount.target
        target = home / words[2:] if words.startswith("~/") else Path(words)
        if mount.source.is_dir():
            yield from ((target / path.relative_to(mount.source), path)
                        for path in _plain(mount.source))  # fmt: skip
        else:
            yield target, mount.source


def _ours(path: Path, order: Order) -> bool:
    return any(path.is_relative_to(home) for home in homes(order))


def _plain(folder: Path) -> Iterator[Path]:
    """Raises Broken where an agent has nested folders without end."""
    for above, _, names in os.walk(folder):
        if above.count("/") > str(folder).count("/") + DEEPEST:
            raise Broken(f"{folder} holds folders nested too deep to be carried along")
        for name in names:
            path = Path(above, name)
            if path.is_file() and not path.is_symlink():
                yield path


def _read(found: Iterable[tuple[Path, Path]], order: Order) -> list[Carried]:
    """Those files, each by where it is seen and where it lies."""
    roots = [*homes(order), *order.writable, *(mount.source for mount in order.mounts)]
    read, size = [], 0
    for target, source in found:
        data, mode = content(source, roots)
        size += len(data)
        if size > MOST_FILES:
            raise Broken(f"more than {MOST_FILES >> 20} MB of files would have to be carried along")
        read.append(Carried(target, data, mode))
    return read


def content(path: Path, roots: Sequence[Path]) -> tuple[bytes, int]:
    """What a file holds, and its mode. Below one of `roots` an agent may have been at work, and no
    link is followed; elsewhere it is the user's own. Raises Broken, also for what is no file."""
    root = min((root for root in roots if root in path.parents), default=None)
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        with contextlib.ExitStack() as folders:
            within = None
            if root is not None:
                flags |= os.O_NOFOLLOW
                within = folders.enter_context(files.opened(root.resolve()))
                for part in path.relative_to(root).parts[:-1]:
                    within = folders.enter_context(files.opened(part, within))
            fd = os.open(path if within is None else path.name, flags, dir_fd=within)
            folders.callback(os.close, fd)  # Python's own file does not, where it finds a folder
            facts = os.fstat(fd)
            if not stat.S_ISREG(facts.st_mode):
                raise Broken(f"{path} can't be read: it is no file")
            data = os.pread(fd, MOST_FILE + 1, 0)
    except OSError as error:
        raise Broken(f"{path} can't be read: {_WHY.get(error.errno, error.strerror)}") from error
    if len(data) > MOST_FILE:
        raise Broken(f"{path} is larger than {MOST_FILE >> 20} MB: too much to carry along")
    return data, facts.st_mode
