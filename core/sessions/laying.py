"""Files that a driver wants in its agent's home. What else is in there is the agent's: it may have
put a link anywhere, so none is followed."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

from core import handed
from core.errors import Broken
from core.ports import Plan

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_MOST = 16 << 20
"""Bytes of settings that are read; larger ones are left as they are."""


def lay_out(home: Path, plan: Plan) -> None:
    """Write its files, and add to its settings what they lack. Raises Broken, naming the file."""
    for name, text in plan.files.items():
        _put(home, name, text.encode())
    for name, wanted in plan.settings.items():
        _add(home, name, wanted)


def lay(folder: Path, name: str, text: str) -> None:
    """One file that every user of its container may read. Raises Broken, naming it."""
    _put(folder, name, text.encode(), 0o644)


def _put(home: Path, name: str, data: bytes, mode: int = 0o600) -> None:
    path = Path(name)
    try:
        with _opened(home, path.parent.parts) as folder:
            handed.replace_in(folder, path.name, data, mode)
    except OSError as error:
        raise Broken(f"{home / name} can't be written: {error.strerror}") from error


def _add(home: Path, name: str, wanted: Mapping[str, Any]) -> None:
    """Settings that can't be read are the agent's business: they stay."""
    path = Path(name)
    try:
        with _opened(home, path.parent.parts) as folder:
            if not _exists(folder, path.name):
                handed.replace_in(folder, path.name, msgspec.json.encode(wanted), 0o600)
                return
            with handed.opened(folder, path.name, _MOST) as file:
                found = msgspec.json.decode(file.read(_MOST))
            if isinstance(found, dict) and _lacked(found, wanted):
                handed.replace_in(folder, path.name, msgspec.json.encode(found), 0o600)
    except (handed.NotTaken, msgspec.DecodeError, RecursionError):
        return
    except OSError as error:
        raise Broken(f"{home / name} can't be written: {error.strerror}") from error


def _lacked(found: dict[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether anything had to be added; what is there is not changed."""
    added = False
    for key, value in wanted.items():
        if key not in found:
            found[key], added = value, True
        elif isinstance(value, Mapping) and isinstance(found[key], dict):
            added = _lacked(found[key], value) or added
    return added


def _exists(folder: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


@contextmanager
def _opened(home: Path, parts: tuple[str, ...]) -> Iterator[int]:
    """The folder below the home, made where it is missing. Raises OSError for a link."""
    at = os.open(home, _FOLDER)
    try:
        for part in parts:
            with suppress(FileExistsError):
                os.mkdir(part, 0o700, dir_fd=at)
            inner = os.open(part, _FOLDER, dir_fd=at)
            os.close(at)
            at = inner
        yield at
    finally:
        os.close(at)
