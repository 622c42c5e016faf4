"""By what a data folder knows its own containers, also on an engine that others use."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
from pathlib import Path

from core.errors import Broken

NAME = "docker.id"
_LONGEST = 1000


def mark(data: Path | None) -> str:
    """The value of the label, made up once for each data folder: another machine may have one at
    the same path. Raises Broken where it can't be kept."""
    if data is None:
        return hashlib.sha256(b"").hexdigest()[:16]
    try:
        return hashlib.sha256(_kept(data / NAME)).hexdigest()[:16]
    except OSError as error:
        raise Broken(f"{data / NAME} can't be kept: {error.strerror}") from error


def _kept(path: Path) -> bytes:
    with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
        return file.read(_LONGEST)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    try:
        draft.write_text(f"{secrets.token_hex(16)}\n")
        with contextlib.suppress(FileExistsError):  # somebody was quicker
            os.link(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    return path.read_bytes()
