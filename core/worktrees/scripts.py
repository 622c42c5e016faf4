"""What must look into a workspace: small scripts for the session's sandbox, and their answers.

Whatever they print is an agent's word. It is believed only where that can do no harm: a lie
keeps a folder longer.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from core.worktrees import nested

_SHA = re.compile(r"^[0-9a-f]{40}(?:[0-9a-f]{24})?$")

# Git looks for a repository in the folders above, where the workspace has none (any more): that
# would be the user's own, and their unfinished work in it.
_HERE = """
[ -d .git ] && [ ! -L .git ] || { echo "its .git is gone"; exit 1; }
export GIT_DIR="$PWD/.git" GIT_WORK_TREE="$PWD"
"""
_UNLOCK = 'find "$GIT_DIR" -name "*.lock" -type f -exec rm -f {} +'
# Out with the links before: where the repository is gone by now, its files are taken.
_LEFTOVER = (
    nested.LEAVE_OUT
    + """
leave_out "$2" "$3"
git -c advice.addEmbeddedRepo=false add -A --ignore-errors
leave_out "$2" "$3"
git diff --cached --quiet --no-ext-diff || git commit --quiet --no-verify -m "$1" || exit 1
git rev-parse HEAD
tell_apart
"""
)
# The index may say "look away" of a file (skip-worktree, assume-unchanged, a monitor's word): such
# files are compared by an index that says nothing of the kind. One that isn't there holds no work.
# What git says beside its answer is nobody's work, but for the folders that it could not look into.
_INSPECT = """
export LC_ALL=C
exec 3>&1 2>/dev/null
look() { git -c core.fsmonitor=false -c core.untrackedCache=false -c core.ignoreStat=false "$@"; }
git rev-parse HEAD || exit 1
said=$({ look status --porcelain --untracked-files=normal --ignore-submodules=none >&3 ||
  echo "git failed"; } 2>&1)
case "$said" in
*"git failed"*) exit 1 ;;
*"could not open directory"*) echo blind ;;
esac
look ls-files -v | grep "^[a-zS] " >/dev/null
case $? in
0)
  export GIT_INDEX_FILE="$GIT_DIR/bullpen-look.$$"
  look read-tree HEAD || exit 1
  look update-index -q --refresh >/dev/null
  hidden=$(look diff-files --diff-filter=d --name-only) || exit 1
  rm -f "$GIT_INDEX_FILE"
  unset GIT_INDEX_FILE
  [ -z "$hidden" ] || printf "%s\\n" "$hidden" | sed "s/^/hidden /" || exit 1
  ;;
1) ;;
*) exit 1 ;;
esac
git for-each-ref --no-merged=HEAD --format="stray %(refname)" refs/heads refs/stash refs/tags
"""
# Beside an agent at work: takes no lock, refreshes no index. A name with a newline is two lies.
_SURVEY = """
export GIT_OPTIONAL_LOCKS=0
{
  [ -z "$1" ] || git diff --no-ext-diff --name-only --no-renames -z "$1" HEAD -- | tr '\\0' '\\n'
  git status --porcelain --no-renames --untracked-files=all -z | tr '\\0' '\\n' | cut -c4-
} | head -c 300000
"""


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a workspace says of itself: its commit, and its lines of unsaved work."""

    head: str
    status: str


def leftover_script(
    message: str, known: tuple[str, str] = ("", ""), *, alone: bool = True
) -> tuple[str, ...]:
    """The command that commits what an iteration left uncommitted, and prints HEAD; then what it
    left out, for `nested.told`.

    `known`: two commits whose own submodules stay (without the first: HEAD). `alone`: nothing
    else runs in the workspace, so that locks of a killed git are stale and are removed first.
    Exit status 0 also when there was nothing to commit.
    """
    script = f"{_HERE}\n{_UNLOCK}\n{_LEFTOVER}" if alone else f"{_HERE}\n{_LEFTOVER}"
    return ("sh", "-c", script, "leftover", message, *(_sha(one) for one in known))


def inspection_script() -> tuple[str, ...]:
    """The command whose output `read_inspection` understands."""
    return ("sh", "-c", _HERE + _INSPECT + nested.LOOK_APART)


def read_inspection(output: str) -> Inspection:
    """The answer of `inspection_script`; where it makes no sense, all of it counts as unsaved."""
    head, _, rest = output.partition("\n")
    if not _SHA.match(head.strip()):
        return Inspection("", output.strip() or "no answer")
    return Inspection(head.strip(), rest.rstrip("\n"))


def survey_script(base: str) -> tuple[str, ...]:
    """The command that lists what a workspace has changed since the commit `base`, committed
    or not; without a base what is not committed. For `read_survey`."""
    return ("sh", "-c", _HERE + _SURVEY, "survey", _sha(base))


def read_survey(output: str, most: int, longest: int) -> tuple[str, ...]:
    """The names that `survey_script` printed: so many at most, none longer than that."""
    names = (line for line in output.split("\n") if 0 < len(line) <= longest)
    return tuple(itertools.islice(dict.fromkeys(names), most))


def may_remove(
    status_output: str,
    head_in_workspace: str,
    collected_head: str,
    unheld: Collection[str] = (),
    redact: Callable[[str], str] = str,
) -> str | None:
    """None when a workspace may be removed, else one line that says what would be lost.

    `collected_head` is the last commit that was taken in; unknown counts as unsaved. `unheld` are
    the commits of other repositories that the work names and Bullpen lacks.
    """
    lines = [line for line in status_output.split("\n") if line.strip()]
    apart, folders = nested.obstacle(lines, unheld, redact)
    left = [line for line in lines if not nested.is_told(line)]
    taken = bool(head_in_workspace) and head_in_workspace == collected_head
    return " and ".join(filter(None, (_unsaved(left, folders, taken), apart))) or None


def _unsaved(lines: Sequence[str], apart: int, taken: bool) -> str | None:
    """`apart`: so many of the files are folders that are spoken of already."""
    stray = [line for line in lines if line.startswith("stray ")]
    hidden = [line for line in lines if line.startswith("hidden ")]
    blind = lines.count("blind")
    number = len(lines) - len(stray) - len(hidden) - blind
    if number > apart:
        return f"uncommitted changes in {_count(number, 'file')}"
    if blind:
        return "git can't look into some of its folders"
    if hidden:
        return f"changes that git was told to pass over in {_count(len(hidden), 'file')}"
    if stray:
        tags = any(line.startswith("stray refs/tags/") for line in stray)
        one, many = ("tag", "branches or tags") if tags else ("branch", "branches")
        return f"commits on {_count(len(stray), f'other {one}', f'other {many}')}"
    return None if taken else "commits that were not taken in yet"


def _sha(said: str) -> str:
    return said if _SHA.match(said) else ""


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"
