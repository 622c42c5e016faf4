"""What a worktree's branch and folder may be called. Pure."""

from __future__ import annotations

import os
import re
from pathlib import Path

from core.errors import Unclear

OWN = "bullpen/"
"""Branches below this belong to tasks: Bullpen names them itself."""
_SLUG, _LONGEST = 40, 200
# Narrower than `git check-ref-format --branch`: what passes here passes there.
_PART = re.compile(r"[A-Za-z0-9_+@-][A-Za-z0-9._+@-]*")
_FOLDER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+@-]{0,99}")


def slug(title: str) -> str:
    """A title as part of a name: at most 40 characters, empty where nothing is left."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:_SLUG].strip("-")


def branch_of(agent: str, task: str | None, title: str) -> str:
    """`agent/coder-1/TASK-042-speed-up-the-import`. Raises Unclear where nothing names it."""
    words = "-".join(filter(None, (task, slug(title))))
    if not words:
        raise Unclear("What is it for? Say --task 42, --title WORDS or --branch NAME.")
    return check_branch(f"agent/{agent}/{words}")


def folder_of(agent: str, task: str | None, title: str, branch: str) -> str:
    """`coder-1-speed-up-the-import`; without a title by the task, else by the branch."""
    words = slug(title) or (task or "") or branch.rpartition("/")[2]
    return f"{agent}-{words}"


def check_branch(name: str) -> str:
    """Raises Unclear, saying what is wrong, for what can't be a branch's name."""
    parts = name.split("/")
    if len(name) > _LONGEST:
        raise _no_branch(name, f"at most {_LONGEST} characters")
    if name.startswith("-"):
        raise _no_branch(name, "it can't begin with a dash")
    if not all(map(_PART.fullmatch, parts)):
        raise _no_branch(name, "letters, digits, `.`, `_`, `+`, `@` and `-`, with `/` between")
    if ".." in name or any(part.endswith((".", ".lock")) for part in parts):
        raise _no_branch(name, "no `..` in it, and no part that ends in `.` or `.lock`")
    if name in ("@", "HEAD") or parts[0] == "refs":
        raise _no_branch(name, "git uses that name itself")
    return name


def check_path(root: Path, said: str) -> Path:
    """The folder that is meant: one directly below `root`, said by its name, from the data
    folder on (`worktrees/NAME`) or in full. Raises Unclear."""
    inside = said.strip().rstrip("/")
    for prefix in (f"{root}/", f"{root.name}/", f".{root.name}/"):
        inside = inside.removeprefix(prefix)
    if not _FOLDER.fullmatch(inside) or inside.endswith(".lock"):
        raise Unclear(
            f"`{said[:80]}` can't be a worktree's path: a name of letters, digits, `.`, `_` and "
            f"`-`, for a folder below {root}."
        )
    return root / inside


def meant(data: Path, said: str) -> str:
    """The absolute path that is meant by a full one, or by one from the data folder on."""
    return os.path.normpath(data / said.strip())


def _no_branch(name: str, why: str) -> Unclear:
    return Unclear(f"`{name[:80]}` can't be a branch's name: {why}.")
