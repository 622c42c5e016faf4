"""A data folder's pages for the tests: what they say, which were written, where they lead."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urldefrag

from site_gen.build import Builder
from site_gen.render import Settings
from tests.fakes.filled import Filled


def builder_of(filled: Filled, **settings: object) -> Builder:
    return Builder(filled.folder, filled.folder / "site", Settings(**settings),  # type: ignore[arg-type]
                   filled.clock.now)


def page(filled: Filled, name: str) -> str:
    return (filled.folder / "site" / name).read_text(encoding="utf-8")


def files(filled: Filled) -> dict[str, tuple[int, int]]:
    """Every file with its inode and time: a replaced file has another inode."""
    root = filled.folder / "site"
    return {path.relative_to(root).as_posix(): (path.stat().st_ino, path.stat().st_mtime_ns)
            for path in root.rglob("*") if path.is_file()}


def replaced(before: dict[str, tuple[int, int]], after: dict[str, tuple[int, int]]) -> set[str]:
    return {name for name, mark in after.items() if before.get(name) != mark}


def contents(root: Path) -> dict[str, str]:
    return {path.relative_to(root).as_posix(): path.read_text(encoding="utf-8")
            for path in root.rglob("*") if path.is_file() and path.name != ".state.json"}


class Links(HTMLParser):
    """What a page points at, and what it must never hold."""

    def __init__(self) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.inline: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for key, value in attrs:
            if key in ("href", "src") and value:
                self.targets.append(value)
            if key == "style" or key.startswith("on"):
                self.inline.append(f"{tag} {key}")
        if tag == "style" or (tag == "script" and not dict(attrs).get("src")):
            self.inline.append(tag)


def assert_sound(root: Path) -> None:
    """Every link leads to a file, and nothing is on a page that its policy forbids."""
    for path in root.rglob("*.html"):
        links = Links()
        links.feed(path.read_text(encoding="utf-8"))
        assert links.inline == []
        assert links.targets
        for target in links.targets:
            name, fragment = urldefrag(target)
            assert not target.startswith(("/", "http", "javascript", "data"))
            assert fragment or (path.parent / name).is_file(), (path, target)
