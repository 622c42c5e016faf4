"""What lies between two commits: its files, its text, and the id an approval is bound to."""

from __future__ import annotations

import hashlib
import re
from contextlib import aclosing
from pathlib import Path

from core.errors import Refused
from core.git.runner import GitFailed, git, stream
from core.model import Change, FileChange

EMPTY = "empty"
"""The patch id of a change that changes nothing."""

_PLAIN = ("--no-ext-diff", "--no-textconv", "--no-color", "--ignore-submodules=none")
_MARKED = re.compile(
    r"""(?:^|/)(?:
        \.(?:claude|codex|gemini|cursor|aider[^/]*|husky|githooks|circleci|buildkite|devcontainer)
      | \.(?:mcp|claude)\.json | \.cursorrules | (?:AGENTS|CLAUDE|GEMINI)(?:\.local)?\.md
      | \.gitlab-ci\.yml | \.travis\.yml | \.pre-commit-config\.yaml | \.gitattributes
      | \.gitmodules | \.envrc | Jenkinsfile | azure-pipelines\.yml | bitbucket-pipelines\.yml
    )(?:/|$)
    | ^\.(?:github|gitlab|forgejo|gitea)/(?:workflows|actions|copilot-instructions\.md)
    | ^(?:hooks|\.ci|\.vscode)/
    """,
    re.VERBOSE | re.IGNORECASE,
)
_KINDS = {"120000": "link", "160000": "submodule"}


async def change(git_dir: Path, onto: str, head: str) -> Change:
    """The change that `head` brings to the branch or commit `onto`.

    Raises Refused when the two have no common history."""
    try:
        base = await git("merge-base", onto, head, git_dir=git_dir)
    except GitFailed as error:
        if error.status != 1:
            raise
        raise Refused("The work shares no history with the default branch.") from error
    changed = await files(git_dir, base, head)
    identity = await patch_id(git_dir, base, head) if changed else EMPTY
    marked = tuple(one.path for one in changed if _MARKED.search(one.path))
    return Change(base, head, identity, changed, marked)


async def files(git_dir: Path, base: str, head: str) -> tuple[FileChange, ...]:
    """Every file that differs between two commits or trees, a rename as two."""
    said = await git(
        "diff", "--raw", "--numstat", "-z", "--no-renames", "--no-abbrev", *_PLAIN, base, head,
        "--", git_dir=git_dir,
    )  # fmt: skip
    return _parse(said.split("\0"))


async def patch_id(git_dir: Path, base: str, head: str) -> str:
    """A hash of what is changed, wherever in the files it stands now; EMPTY for nothing.

    It holds every changed and surrounding line, white space too (git's own patch-id drops
    it, and white space is code in more than one language), modes, and the ids of binary
    files; not line numbers. So a rebase that meets nothing keeps it.
    """
    digest = _PatchDigest()
    chunks = stream(
        "diff", "-p", "--no-renames", "--full-index", "--unified=3", *_PLAIN,
        "--diff-algorithm=myers", "--no-indent-heuristic", "--src-prefix=a/", "--dst-prefix=b/",
        base, head, "--", git_dir=git_dir,
    )  # fmt: skip
    async with aclosing(chunks):
        async for chunk in chunks:
            digest.feed(chunk)
    return digest.end()


async def diff(git_dir: Path, base: str, head: str, limit: int = 1 << 20) -> str:
    """The change as text, renames found, cut after about `limit` bytes with a last line
    that says so. Binary files are named. Untrusted text."""
    kept = bytearray()
    chunks = stream("diff", "-p", "-M", *_PLAIN, base, head, "--", git_dir=git_dir)
    async with aclosing(chunks):
        async for chunk in chunks:
            kept += chunk
            if len(kept) > limit:
                break
    if len(kept) <= limit:
        return kept.decode("utf-8", "replace")
    whole = kept[: kept.rfind(b"\n", 0, limit) + 1] or kept[:limit] + b"\n"
    return whole.decode("utf-8", "replace") + f"[cut after {len(whole)} bytes]\n"


async def diffstat(git_dir: Path, base: str, head: str, width: int = 72) -> str:
    """`git diff --stat` for people, `width` columns wide. Untrusted text."""
    return await git("diff", f"--stat={width}", "-M", *_PLAIN, base, head, "--", git_dir=git_dir)


class _PatchDigest:
    """Hashes a diff line by line, leaving out what a rebase moves."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._rest = b""
        self._index = b""
        self._any = False

    def feed(self, chunk: bytes) -> None:
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            self._line(line)

    def end(self) -> str:
        if self._rest:
            self._line(self._rest)
        return self._hash.hexdigest()[:40] if self._any else EMPTY

    def _line(self, line: bytes) -> None:
        # Lines of a file begin with a blank, "+", "-" or a backslash: none is taken for these.
        self._any = True
        if line.startswith(b"index "):
            self._index = line  # names the whole file's content, which a rebase may change
            return
        if line.startswith(b"@@ "):
            line = b"@@"
        elif line.startswith(b"Binary files "):
            self._hash.update(self._index + b"\n")
        self._hash.update(line + b"\n")


def _parse(parts: list[str]) -> tuple[FileChange, ...]:
    modes: dict[str, str] = {}
    found: list[FileChange] = []
    words = iter(parts)
    for word in words:
        if word.startswith(":"):
            old, new = word[1:].split(" ")[:2]
            modes[next(words)] = new if new != "000000" else old
        elif word:
            added, removed, path = word.split("\t", 2)
            found.append(_file(path, added, removed, modes.get(path, "")))
    return tuple(found)


def _file(path: str, added: str, removed: str, mode: str) -> FileChange:
    if added == "-":
        return FileChange(path, 0, 0, "binary")
    return FileChange(path, int(added), int(removed), _KINDS.get(mode, "text"))
