"""What must look into a workspace: small scripts for the session's sandbox, and their answers.

Whatever they print is an agent's word. It is believed only where that can do no harm: a lie
keeps a folder longer.
"""

from __future__ import annotations

import itertools
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
git for-each-ref --no-merged=HEAD --format="stray %(refname)" refs/heads refs/stash
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


def survey_script(base: str) -> tuple[str, ...]:
    """The command that lists what a workspace has changed since the commit `base`, committed
    or not; without a base what is not committed. For `read_survey`."""
    return ("sh", "-c", _HERE + _SURVEY, "survey", base if _SHA.match(base) else "")


def read_survey(output: str, most: int, longest: int) -> tuple[str, ...]:
    """The names that `survey_script` printed: so many at most, none longer than that."""
    names = (line for line in output.split("\n") if 0 < len(line) <= longest)
    return tuple(itertools.islice(dict.fromkeys(names), most))


def may_remove(status_output: str, head_in_workspace: str, collected_head: str) -> str | None:
    """None when a workspace may be removed, else one line that says what would be lost.

    `collected_head` is the last commit that was taken in; unknown counts as unsaved.
    """
    lines = [line for line in status_output.splitlines() if line.strip()]
    stray = [line for line in lines if line.startswith("stray ")]
    hidden = [line for line in lines if line.startswith("hidden ")]
    blind = lines.count("blind")
    if number := len(lines) - len(stray) - len(hidden) - blind:
        return f"uncommitted changes in {_count(number, 'file')}"
    if blind:
        return "git can't look into some of its folders"
    if hidden:
        return f"changes that git was told to pass over in {_count(len(hidden), 'file')}"
    if stray:
        return f"commits on {_count(len(stray), 'other branch', 'other branches')}"
    if not head_in_workspace or head_in_workspace != collected_head:
        return "commits that were not taken in yet"
    return None


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"
