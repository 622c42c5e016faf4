"""Prompt templates by name: the packaged ones, and the user's own over them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path


def load_prompts(folders: Iterable[Path], faults: list[str]) -> dict[str, str]:
    """`prompts/NAME.md` of each folder in turn, later ones over earlier ones."""
    found: dict[str, str] = {}
    for folder in folders:
        for file in sorted((folder / "prompts").glob("*.md")):
            try:
                found[file.stem] = file.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError):
                faults.append(f"prompts/{file.name}: can't be read as UTF-8 text")
    return found
