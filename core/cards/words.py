"""Changes and numbers as a person says them."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from core.model import Change, FileChange

_REASON = 160
"""Characters of a failure's reason in a title."""
_ALIKE = 12
"""Characters of a line from which on it is no chance that it stands in another."""
_PATH = 80
"""Characters of a file's name on a card."""

TOLD = {"told": "elsewhere"}
"""Marks an edit whose news another message brings: a face that can't edit leaves it out."""

PROGRESS = {"told": "progress"}
"""Marks an edit that is progress only: a face that can't edit leaves it out too."""


def changed(change: Change) -> str:
    """`importer.py +26 −9 · test_speed.py +31 −0`, at most five files."""
    if change.empty:
        return "No file was changed."
    words = [_file(file) for file in change.files[:5]]
    more = len(change.files) - 5
    return "📝 " + " · ".join(words) + (f" · and {counted(more, 'more file')}" if more > 0 else "")


def _file(file: FileChange) -> str:
    if file.kind == "submodule":
        return f"{path(file.path)}, a submodule"
    return f"{path(file.path)} +{file.added} −{file.removed}"


def apart(change: Change) -> list[str]:
    """A warning where some of what was made is no part of the change."""
    if not change.apart:
        return []
    more = len(change.apart) - 5
    names = ", ".join(map(path, change.apart[:5])) + (f" and {more} more" if more > 0 else "")
    one = len(change.apart) == 1
    what = "A repository of its own" if one else "Repositories of their own"
    return [f"⚠️ {what}, and no part of the result: {names}"]


def headline(reason: str) -> str:
    """A failure's reason in one line: what stands first in it; of a program's traceback what it
    ends with. Cut between words only, so that no part of a secret is left."""
    whole = reason.strip()
    before, trace, rest = whole.partition("Traceback (most recent call last)")
    lines = [line.strip() for line in before.splitlines() if line.strip()]
    words = lines[0].rstrip(": ") if lines else ""
    ends = [line for line in rest.splitlines()[1:] if line.strip()]
    if trace and ends and not ends[-1][0].isspace():
        words = f"{words}: {ends[-1].strip()}" if words else ends[-1].strip()
    return textwrap.shorten(words, _REASON, placeholder=" …") or "no reason given"


def untold(tail: Sequence[str], told: str) -> list[str]:
    """The lines that say something beside what was told already."""
    flat = " ".join(told.split())

    def known(line: str) -> bool:
        words = " ".join(line.split())
        return words == flat or (min(len(words), len(flat)) >= _ALIKE and _within(words, flat))

    return [line for line in tail if not known(line)]


def _within(one: str, other: str) -> bool:
    return one in other or other in one


def sentence(words: str) -> str:
    """With one full stop at its end, whoever has written the words; `…`, `!` and `?` stay."""
    bare = words.rstrip()
    if bare.endswith(("…", "!", "?")):
        return bare
    return f"{bare.rstrip('.')}."


def path(name: str) -> str:
    """A file's name on one line, whatever an agent put into it; a long one without its middle."""
    shown = "".join(mark if mark.isprintable() else "\ufffd" for mark in name)
    half = _PATH // 2
    return shown if len(shown) <= _PATH else f"{shown[:half]}…{shown[-half + 1 :]}"


def duration(ms: int) -> str:
    """`40 s`, `9 min`, `2 h 5 min`, `3 d`."""
    seconds = max(0, round(ms / 1000))
    if seconds < 90:
        return f"{seconds} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    hours, rest = divmod(minutes, 60)
    return f"{hours} h {rest} min" if hours < 48 else f"{round(hours / 24)} d"


def counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def glance(diff: str) -> list[str]:
    """A diff's lines without git's headers: each file's name, then what changes in it."""
    lines: list[str] = []
    header = False
    for line in diff.splitlines():
        if line.startswith("diff --git "):
            header = True
            lines.append(f"▸ {line.rpartition(' b/')[2]}")
        elif line.startswith(("@@", "Binary files ")):
            header = False
            lines.append(line)
        elif not header:
            lines.append(line)
    return lines
