"""What the drivers of command-line agents share."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.drivers.ending import ending
from core.errors import Unclear
from core.model import AgentEvent
from core.ports import Exit, Verdict

MCP_SERVER = "bullpen"
"""What Bullpen's own MCP server is called in an agent's configuration."""

WAY_BACK = ("BULLPEN_TOKEN", "BULLPEN_API", "BULLPEN_SOCKET")
"""The variables by which that server finds the way back to Bullpen."""

PATIENCE = 7 * 86_400
"""Seconds that a call of Bullpen's own tools may take: a question waits for a person."""

_LONGEST = 100_000
"""Bytes of one argument: Linux takes 128 KiB."""


class Deaf:
    """The part of a driver whose agent takes one prompt, and no word more while it runs."""

    def say(self, text: str) -> bytes | None:
        return None

    def answer(self, request: Mapping[str, Any], allow: bool, text: str) -> bytes | None:
        return None

    def interrupt(self) -> bytes | None:
        return None


def argument(words: str) -> str:
    """The words as one argument of a command line: without NUL, and not too long for it."""
    kept = words.replace("\0", "")
    data = kept.encode(errors="replace")
    if len(data) <= _LONGEST:
        return kept
    return data[:_LONGEST].decode(errors="ignore") + "\n… (cut: it is longer than fits here)"


def further(options: Mapping[str, Any]) -> tuple[str, ...]:
    """The words of `options["args"]`. Raises Unclear where it is no list of words."""
    args = options.get("args", [])
    if isinstance(args, list | tuple) and all(isinstance(word, str) for word in args):
        return tuple(word.replace("\0", "") for word in args)
    raise Unclear('options.args must be a list of words, for instance ["--max-turns", "20"].')


def by_result(last: AgentEvent | None, end: Exit | None) -> Verdict:
    """By the agent's own result: its exit status may say less, or something else."""
    if last is not None:
        ok = bool(last.data.get("ok"))
        reason = None if ok else str(last.data.get("error") or "the agent reported an error")
        return Verdict(ok, reason, last.text or None, lost=bool(last.data.get("lost")))
    if end is None:
        return Verdict(False, "it has not ended yet")
    return Verdict(False, f"ended without a result: {ending(end) or 'exit status 0'}")


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


def own_program(
    options: Mapping[str, Any], module: str, file: Path, read: Path
) -> tuple[tuple[str, ...], tuple[Path, ...]]:
    """The words that start a program of Bullpen's own in the sandbox, and what they read: by
    `options["python"]`, else by the bot's own interpreter. Isolated (-I): a module in the
    workspace must not stand in for one of the interpreter's."""
    if python := options.get("python"):
        found = Path(shutil.which(str(python)) or str(python))
        places = {found.absolute().parent.parent, found.resolve().parent.parent} - {Path("/")}
        return (str(python), "-I", "-m", module), tuple(sorted(places))
    places = {Path(sys.prefix), Path(sys.base_prefix), read}
    return (sys.executable, "-I", str(file)), tuple(sorted(places))


def no_interpreter(options: Mapping[str, Any], library: str, words: str) -> str | None:
    """What such a program lacks on this machine; `words`, where it is that library."""
    if python := options.get("python"):
        found = shutil.which(str(python))
        return None if found else f"There is no Python at {python}: correct options.python"
    return words if importlib.util.find_spec(library) is None else None
