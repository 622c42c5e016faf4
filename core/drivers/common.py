"""What the drivers of command-line agents share."""

from __future__ import annotations

import shutil
from pathlib import Path

MCP_SERVER = "bullpen"
"""What Bullpen's own MCP server is called in an agent's configuration."""

WAY_BACK = ("BULLPEN_TOKEN", "BULLPEN_API", "BULLPEN_SOCKET")
"""The variables by which that server finds the way back to Bullpen."""

_LONGEST = 100_000
"""Bytes of one argument: Linux takes 128 KiB."""


def argument(words: str) -> str:
    """The words as one argument of a command line: without NUL, and not too long for it."""
    kept = words.replace("\0", "")
    data = kept.encode(errors="replace")
    if len(data) <= _LONGEST:
        return kept
    return data[:_LONGEST].decode(errors="ignore") + "\n… (cut: it is longer than fits here)"


def installed(program: str) -> tuple[Path, ...]:
    """Where a program of this machine lies, with what a link leads to and the package around
    it: shown to a sandbox that hides the rest. Empty where it isn't here."""
    found = shutil.which(program)
    if found is None:
        return ()
    real = Path(found).resolve()
    return tuple(dict.fromkeys((Path(found).absolute(), _package(real))))


def _package(program: Path) -> Path:
    """The npm package that the program is in, with its neighbours; else the program alone."""
    for folder in program.parents:
        if folder.name == "node_modules":
            return folder
    return program
