r"""Repositories inside of a workspace. Of such a one git commits a commit's bare name at most (a
link), so what it holds is no part of the work, and is nowhere but in its folder.

The scripts run in the session's sandbox. A name is an agent's: newlines in it become `?`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from core.git import git

MOST, LONGEST = 20, 200
"""Names that are told of one change, and characters of one."""
_NAMED, _WIDE = 3, 60
_LINK = "160000"
_SHA = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")

# Where there is no link at all, which is seen at once, nothing is gone through.
_LINKS = r"""
able() { command -v find >/dev/null && command -v xargs >/dev/null; }
export LC_ALL=C GIT_LITERAL_PATHSPECS=1
entries() { ! git ls-files -s | grep -q '^160000 ' || git ls-files -s -z; }
tell_apart() {
  git ls-files --others --exclude-standard -z | tr '\n\0' '?\n' |
    sed -n 's|^\(.*\)/$|apart \1|p' | head -n 100
}
"""
LEAVE_OUT = (
    _LINKS
    + r"""
leave_out() {
  able || return 0
  entries | xargs -0 sh -c '
    one=$1 other=$2
    shift 2
    tab=$(printf "\t")
    was() {
      seen=$(git ls-tree "$1" -- "$path") || return 0
      case "$seen" in "160000 "*) return 0 ;; esac
      return 1
    }
    named() {
      [ -f .gitmodules ] && [ ! -L .gitmodules ] || return 1
      git config -z --file .gitmodules --get-regexp "^submodule\..*\.path\$" |
        tr "\n\0" "\t\n" | cut -f2- | grep -Fqx -- "$path"
    }
    for entry do
      case "$entry" in "160000 "*) ;; *) continue ;; esac
      path=${entry#*"$tab"}
      was "${one:-HEAD}" || { [ -n "$other" ] && was "$other"; } || named ||
        git -c core.fsmonitor=false update-index --force-remove -- "$path" </dev/null
    done' leave "$1" "$2"
}
"""
)
"""`leave_out ONE OTHER`: takes out of the index every link that neither of those commits has
(without the first: HEAD) and .gitmodules doesn't name. `tell_apart`: a line `apart NAME` for each
repository that git leaves out."""

LOOK_APART = (
    _LINKS
    + r"""
say='say() { printf "%s %s\n" "$1" "$(printf %s "$2" | tr "\n" "?")"; }
tab=$(printf "\t")
own() { GIT_DIR="$dir" git "$@"; }
pushed() {
  ! own rev-parse -q --verify refs/stash >/dev/null &&
    left=$(own rev-list -n 1 "$@" --branches --not --remotes) && [ -z "$left" ]
}
'
if ! able; then
  tell_apart
  git ls-files -s | sed -n "s/^160000 \([0-9a-f]*\) 0$(printf "\t")\(.*\)/link \1 \2/p"
  exit 0
fi
find . -path ./.git -prune -o -name .git -print0 | xargs -0 sh -c "$say"'
for dir do
  path=${dir%/.git} path=${path#./} commit=none
  GIT_LITERAL_PATHSPECS=0 git check-ignore -q -- "./$path" && continue
  entry=$(git ls-tree HEAD -- "$path")
  case "$entry" in "160000 "*) commit=${entry#* * } commit=${commit%%"$tab"*} ;; esac
  if [ "$(own rev-parse -q --verify HEAD)" = "$commit" ] && pushed "^$commit"; then
    say link "$commit $path"
  else
    say apart "$path"
  fi
done' look || exit 1
[ ! -d "$GIT_DIR/modules" ] || find "$GIT_DIR/modules" -name HEAD -type f -print0 |
  xargs -0 sh -c "$say"'
for file do
  dir=${file%/HEAD}
  [ ! -d "$dir/objects" ] || pushed HEAD || say apart "${dir#"$GIT_DIR/modules/"}"
done' look || exit 1
entries | xargs -0 sh -c "$say"'
for entry do
  case "$entry" in "160000 "*) ;; *) continue ;; esac
  path=${entry#*"$tab"}
  [ -d "./$path" ] && [ ! -L "./$path" ] && [ ! -e "./$path/.git" ] || continue
  inside=$(ls -A "./$path") && [ -z "$inside" ] || say loose "$path"
done' look || exit 1
"""
)
"""Lines `apart NAME` (a repository that may hold what nobody else has), `link COMMIT NAME` (one
that stands at the commit which the work names, and holds no other of its own) and `loose NAME`
(files where a submodule belongs, which git doesn't look at). An image without find or xargs tells
what git alone knows."""


def told(output: str) -> list[str]:
    """The names that `tell_apart` printed, among other words."""
    lines = output.split("\n")
    return [line[6:] for line in lines if line.startswith("apart ")][:100]


def shown(names: Collection[str], redact: Callable[[str], str]) -> tuple[str, ...]:
    """Names as they may be kept and told: secrets out, then cut."""
    first = list(dict.fromkeys(names))[:MOST]
    return tuple(redact(name)[:LONGEST] for name in first)


def obstacle(
    lines: Sequence[str], unheld: Collection[str], redact: Callable[[str], str]
) -> tuple[str, int]:
    """What would be lost, in a few words (empty: nothing), and of how many folders. `unheld`: the
    commits that the work names and Bullpen hasn't got."""
    names = [line[6:] for line in lines if line.startswith("apart ")]
    for line in lines:
        commit, _, name = line.removeprefix("link ").partition(" ")
        if line.startswith("link ") and commit in unheld:
            names.append(name)
    loose = [line[6:] for line in lines if line.startswith("loose ")]
    names = list(dict.fromkeys(names))
    if names:
        what = "a repository of its own" if len(names) == 1 else "repositories of their own"
        return f"{what} in {_listed(names, redact)}", len(names)
    if loose:
        return f"files in {_listed(loose, redact)}, where git looks for a submodule", 0
    return "", 0


def is_told(line: str) -> bool:
    """Whether a line is one of LOOK_APART's."""
    return line.startswith(("apart ", "link ", "loose "))


async def unheld(bare: Path, base: str, head: str) -> dict[str, str]:
    """The links that `head` has and `base` has not, or has otherwise, whose commits the bare
    repository lacks: commit → name. Only objects are read. Raises Broken."""
    said = await git(
        "diff-tree", "-r", "-z", "--raw", "--no-renames", "--no-abbrev", base or await _empty(bare),
        head, git_dir=bare, timeout=300,
    )  # fmt: skip
    words = iter(said.split("\0"))
    found: dict[str, str] = {}
    for about in words:
        name = next(words, "")
        mode, commit = (about.split(" ") + [""] * 4)[1:4:2]
        if mode == _LINK and _SHA.fullmatch(commit):
            found.setdefault(commit, name)
    if not found:
        return {}
    asked = "".join(f"{commit}\n" for commit in found).encode()
    known = await git("cat-file", "--batch-check", git_dir=bare, input=asked)
    held = {line.split(" ")[0] for line in known.splitlines() if not line.endswith(" missing")}
    return {commit: name for commit, name in found.items() if commit not in held}


async def _empty(bare: Path) -> str:
    return await git("mktree", git_dir=bare)


def _listed(names: Sequence[str], redact: Callable[[str], str]) -> str:
    plain = [_plain(redact(name)) for name in names[:_NAMED]]
    more = len(names) - _NAMED
    return ", ".join(plain) + (f" and {more} more" if more > 0 else "")


def _plain(name: str) -> str:
    line = "".join(mark if mark.isprintable() else "\ufffd" for mark in name)
    return line if len(line) <= _WIDE else f"{line[: _WIDE // 2]}…{line[1 - _WIDE // 2 :]}"
