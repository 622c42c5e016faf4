"""What must look into a workspace: small scripts for the session's sandbox, and their answers.

Whatever they print is an agent's word. It is believed only where that can do no harm: a lie
keeps a folder longer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_SHA = re.compile(r"^[0-9a-f]{40}(?:[0-9a-f]{24})?$")

# Git looks for a repository in the folders above, where the workspace has none (any more): that
# would be the user's own, and their unfinished work in it.
_HERE = """
[ -d .git ] && [ ! -L .git ] || { echo "its .git is gone"; exit 1; }
export GIT_DIR="$PWD/.git" GIT_WORK_TREE="$PWD"
"""
_UNLOCK = 'find "$GIT_DIR" -name "*.lock" -type f -exec rm -f {} +'
_LEFTOVER = """
git add -A --ignore-errors
git diff --cached --quiet --no-ext-diff || git commit --quiet --no-verify -m "$1" || exit 1
git rev-parse HEAD
"""
_INSPECT = """
git rev-parse HEAD || exit 1
git status --porcelain --untracked-files=normal --ignore-submodules=none
git for-each-ref --no-merged=HEAD --format="stray %(refname)" refs/heads refs/stash
"""


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a workspace says of itself: its commit, and its lines of unsaved work."""

    head: str
    status: str


def leftover_script(message: str, *, alone: bool = True) -> tuple[str, ...]:
    """The command that commits what an iteration left uncommitted, and prints HEAD.

    `alone`: nothing else runs in the workspace, so that locks of a killed git are stale and
    are removed first. Exit status 0 also when there was nothing to commit.
    """
    script = f"{_HERE}\n{_UNLOCK}\n{_LEFTOVER}" if alone else f"{_HERE}\n{_LEFTOVER}"
    return ("sh", "-c", script, "leftover", message)


def inspection_script() -> tuple[str, ...]:
    """The command whose output `read_inspection` understands."""
    return ("sh", "-c", _HERE + _INSPECT)


def read_inspection(output: str) -> Inspection:
    """The answer of `inspection_script`; where it makes no sense, all of it counts as unsaved."""
    head, _, rest = output.partition("\n")
    if not _SHA.match(head.strip()):
        return Inspection("", output.strip() or "no answer")
    return Inspection(head.strip(), rest.rstrip())


def may_remove(status_output: str, head_in_workspace: str, collected_head: str) -> str | None:
    """None when a workspace may be removed, else one line that says what would be lost.

    `collected_head` is the last commit that was taken in; unknown counts as unsaved.
    """
    lines = [line for line in status_output.splitlines() if line.strip()]
    stray = [line for line in lines if line.startswith("stray ")]
    if len(lines) > len(stray):
        return f"uncommitted changes in {_count(len(lines) - len(stray), 'file')}"
    if stray:
        return f"commits on {_count(len(stray), 'other branch', 'other branches')}"
    if not head_in_workspace or head_in_workspace != collected_head:
        return "commits that were not taken in yet"
    return None


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"
