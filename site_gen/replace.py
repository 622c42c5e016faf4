"""Files that change whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path


class Folder:
    """The site's folder. Counts what it wrote and removed since the last `take`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.written = 0
        self.removed = 0
        self._known: set[Path] = set()

    def put(self, name: str, data: bytes) -> bool:
        """Replace a file unless its bytes are these already. Says whether it wrote."""
        path = self.root / name
        if _content(path) == data:
            return False
        if path.parent not in self._known:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._known.add(path.parent)
        self._replace(path, data)
        self.written += 1
        return True

    def has(self, name: str) -> bool:
        return (self.root / name).exists()

    def stems(self, folder: str) -> set[str]:
        """The names of that folder's pages, without their ending."""
        return {path.stem for path in (self.root / folder).glob("*.html")}

    def read(self, name: str) -> str:
        """What a file says; nothing where it isn't there."""
        return (_content(self.root / name) or b"").decode("utf-8", "replace")

    def drop(self, name: str) -> None:
        """Remove a file if it is there."""
        try:
            (self.root / name).unlink()
        except FileNotFoundError:
            return
        self.removed += 1

    def sweep(self, keep: Callable[[str], bool]) -> None:
        """Remove each page, and each half-written file, that `keep` (its name in the site)
        doesn't know."""
        for path in sorted(self.root.rglob("*")):
            name = path.relative_to(self.root).as_posix()
            ours = path.suffix in (".html", ".tmp")
            if ours and path.is_file() and not keep(name):
                self.drop(name)

    def take(self) -> tuple[int, int]:
        """(written, removed) since the last time."""
        found = self.written, self.removed
        self.written = self.removed = 0
        return found

    def _replace(self, path: Path, data: bytes) -> None:
        temporary = path.with_name(f".{path.name}.tmp")
        try:
            temporary.write_bytes(data)
        except FileNotFoundError:  # somebody removed the folder under us
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(data)
        os.replace(temporary, path)


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
