"""The files that an agent reads and writes through its client: those of its task alone."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path

from acp import RequestError

MOST = 16 << 20
"""Bytes of a file that is read or written."""


class Files:
    """Reads and writes below `roots`; raises RequestError for all else."""

    def __init__(self, roots: Sequence[Path]) -> None:
        self._roots = [Path(os.path.realpath(root)) for root in roots]

    def place(self, path: str) -> Path:
        """Where that path leads, links followed: inside one of the roots."""
        if not os.path.isabs(path) or "\0" in path:
            raise refused(f"not an absolute path: {path[:200]!r}")
        real = Path(os.path.realpath(path))
        if not any(real.is_relative_to(root) for root in self._roots):
            raise refused(f"outside of the workspace: {path[:500]}")
        return real

    def read(self, path: str, line: int | None = None, limit: int | None = None) -> str:
        """The text, or `limit` lines of it from number `line` (the first is 1)."""
        data = self._bytes(path)
        text = data.decode("utf-8", errors="replace")
        if line is None and limit is None:
            return text
        first = max((line or 1) - 1, 0)
        rows = text.splitlines(keepends=True)
        return "".join(rows[first : None if limit is None else first + limit])

    def write(self, path: str, text: str) -> str:
        """Replace its text; returns what was there before."""
        data = text.encode("utf-8", errors="replace")
        if len(data) > MOST:
            raise refused(f"larger than {MOST >> 20} MB: {path[:500]}")
        real = self.place(path)
        try:
            before = self._bytes(path).decode("utf-8", errors="replace") if real.exists() else ""
            real.parent.mkdir(parents=True, exist_ok=True)
            # The name may have become a link or a pipe since it was looked at.
            flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
            with open(os.open(real, flags, 0o666), "wb") as file:
                _regular(file.fileno(), path)
                file.truncate()
                file.write(data)
        except OSError as error:
            raise refused(f"{error.strerror}: {path[:500]}") from error
        return before

    def _bytes(self, path: str) -> bytes:
        real = self.place(path)
        try:
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
            with open(os.open(real, flags), "rb") as file:
                _regular(file.fileno(), path)
                data = file.read(MOST + 1)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise RequestError.resource_not_found(path) from error
        except OSError as error:
            raise refused(f"{error.strerror}: {path[:500]}") from error
        if len(data) > MOST:
            raise refused(f"larger than {MOST >> 20} MB: {path[:500]}")
        return data


def refused(words: str) -> RequestError:
    """The protocol's error for what is not done here."""
    return RequestError(-32602, words)


def _regular(handle: int, path: str) -> None:
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        raise refused(f"not a regular file: {path[:500]}")
