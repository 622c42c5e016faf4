"""The local forge: a change is merged by a push into the repository it came from.

The person's repository is trusted: its own hooks and settings apply to that push. The agent's
commits were checked when they were taken in.
"""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

from core.errors import Broken, Unclear
from core.git import EMPTY, GitFailed, git, mirror, patch_id, reach, shown
from core.git.source import local_path
from core.model import Repo
from core.ports import Merged, MergeOrder

_AUTHOR = re.compile(r"\s*([^<>\n]+?)\s*<([^<>\s]+)>\s*")
_TURNED_DOWN = re.compile(r"^!\t\S+\t\[(?:remote )?rejected\] \((.*)\)$", re.MULTILINE)
_MOVED = (
    "fetch first",
    "non-fast-forward",
    "stale info",
    "incorrect old value",
    "failed to update",
)
_CHECKED_OUT = ("Working directory has", "Could not update working tree", "Up-to-date check")
_TRIES = 5


class LocalForge:
    """Merges into the default branch of a path, a file:// URL or a URL one may push to.

    Where that branch is checked out and clean, its files follow.
    """

    name = "local"

    async def sync(self, repo: Repo, git_dir: Path) -> str:
        """Fetch the default branch into `git_dir`; returns its commit. Raises Broken, or
        Unclear when the source is no repository."""
        return await mirror(repo, git_dir)

    async def merge(self, order: MergeOrder) -> Merged:
        """Merge it, onto the branch as it is now, where that is `onto` or `onto` isn't named;
        else only prepare it (`moved`). Again after a crash: the same answer."""
        for _ in range(_TRIES):
            onto = await self.sync(order.repo, order.git_dir)
            done = await _merged_before(order, onto)
            if done is not None:
                return done
            prepared = await _prepare(order, onto)
            if isinstance(prepared, Merged):
                return prepared
            refusal = await _push(order, prepared)
            if refusal is None:
                return Merged("pr.merged", prepared, order.patch_id)
            if not refusal.startswith(_MOVED):
                return Merged("refused", detail=await _told(order.repo, order.git_dir, refusal))
        return Merged("refused", detail=_busy(order.repo))


async def _merged_before(order: MergeOrder, onto: str) -> Merged | None:
    """The answer that was already given, when the branch holds the change."""
    try:
        await git("merge-base", "--is-ancestor", order.head, onto, git_dir=order.git_dir)
    except GitFailed as error:
        if error.status != 1:
            raise
        return None
    line = await git(
        "rev-list", "--parents", "--ancestry-path", "--topo-order", "--reverse",
        f"{order.head}..{onto}", git_dir=order.git_dir,
    )  # fmt: skip
    for commit, *parents in map(str.split, line.splitlines()):
        if len(parents) > 1 and order.head in parents:
            return Merged("pr.merged", commit, order.patch_id)
    return Merged("pr.merged", order.head, order.patch_id)


async def _prepare(order: MergeOrder, onto: str) -> str | Merged:
    """The merge commit, not yet seen by anyone; or why there is none."""
    try:
        said = await git(
            "merge-tree", "--write-tree", "--name-only", "--no-messages", "-z", onto, order.head,
            git_dir=order.git_dir,
        )  # fmt: skip
    except GitFailed as error:
        if error.status != 1:
            raise
        files = tuple(name for name in error.output.split("\0")[1:] if name)
        return Merged("merge.conflict", files=files, detail=_conflict(files))
    tree = said.rstrip("\0").strip()
    now = await patch_id(order.git_dir, onto, tree)
    commit = await _commit(order, onto, tree)
    if now != order.patch_id:
        return Merged(
            "stale", commit if now != EMPTY else onto, now, "The change is not the approved one.",
            base=onto,
        )  # fmt: skip
    if order.onto not in (None, onto):
        return Merged("moved", commit, now, "The branch has moved on.", base=onto)
    return commit


async def _commit(order: MergeOrder, onto: str, tree: str) -> str:
    name, email = _author(order.author)
    return await git(
        "commit-tree", tree, "-p", onto, "-p", order.head, "-F", "-",
        git_dir=order.git_dir,
        input=order.message.encode("utf-8", "replace"),
        env={
            "GIT_AUTHOR_NAME": name,
            "GIT_AUTHOR_EMAIL": email,
            "GIT_COMMITTER_NAME": "Bullpen",
            "GIT_COMMITTER_EMAIL": "bullpen@localhost",
            **await _dates(order, onto),
        },
    )  # fmt: skip


async def _dates(order: MergeOrder, onto: str) -> dict[str, str]:
    """When it was approved; the commit is never older than what it is built on."""
    if order.at is None:
        return {}
    below = await git("show", "-s", "--format=%ct", onto, "--", git_dir=order.git_dir)
    approved = order.at // 1000
    return {
        "GIT_AUTHOR_DATE": f"@{approved} +0000",
        "GIT_COMMITTER_DATE": f"@{max(approved, int(below))} +0000",
    }


async def _push(order: MergeOrder, commit: str) -> str | None:
    """Push it. None when the branch took it, else the other side's reason."""
    address, env = reach(order.repo.source)
    branch = order.repo.branch or await _head_branch(order.git_dir)
    try:
        await git(
            "push", "--porcelain", "--no-verify", *_receiver(order.repo), "--", address,
            f"{commit}:refs/heads/{branch}", git_dir=order.git_dir, env=env, timeout=900,
        )  # fmt: skip
    except GitFailed as error:
        refusal = _TURNED_DOWN.search(error.output)
        if refusal is None:
            raise Broken(f"`{shown(order.repo.source)}`: {shown(str(error))}") from error
        return refusal.group(1)
    return None


async def _head_branch(git_dir: Path) -> str:
    return await git("symbolic-ref", "--short", "HEAD", git_dir=git_dir)


def _receiver(repo: Repo) -> tuple[str, ...]:
    """The receiving side of a push to this machine: the person's own git, as they set it up
    (their filters and excludes decide whether their files are clean), for this once allowed
    to bring the files along."""
    path = local_path(repo.source)
    if path is None:
        return ()
    own = [f"{name}={os.environ[name]}" for name in ("HOME", "USER") if name in os.environ]
    command = [
        "env", "-u", "GIT_CONFIG_GLOBAL", "-u", "GIT_CONFIG_NOSYSTEM", "-u", "GIT_ATTR_NOSYSTEM",
        "-u", "GIT_OPTIONAL_LOCKS", "-u", "GIT_NO_REPLACE_OBJECTS", *own,
        "git", "-c", "safe.directory=*", "-c", "receive.denyCurrentBranch=updateInstead",
        "receive-pack",
    ]  # fmt: skip
    return ("--receive-pack", shlex.join(command))


async def _told(repo: Repo, git_dir: Path, refusal: str) -> str:
    branch = repo.branch or await _head_branch(git_dir)
    where = shown(repo.source)
    if refusal.startswith(_CHECKED_OUT):
        place = await _checked_out(repo, branch)
        return (
            f"{branch} is checked out in {place} with uncommitted changes: "
            "commit or stash them; the approval waits."
        )
    return f"{where} did not take it ({refusal}); the approval waits."


async def _checked_out(repo: Repo, branch: str) -> str:
    """The folder in which the branch is checked out; the source itself when in doubt."""
    path = local_path(repo.source)
    if path is None:
        return shown(repo.source)
    try:
        listed = await git(
            "worktree", "list", "--porcelain", cwd=path, options=("safe.directory=*",)
        )
    except GitFailed:
        return str(path)
    for block in listed.split("\n\n"):
        if f"branch refs/heads/{branch}" in block.splitlines():
            return block.splitlines()[0].removeprefix("worktree ")
    return str(path)


def _author(text: str) -> tuple[str, str]:
    match = _AUTHOR.fullmatch(text)
    if match is None:
        raise Unclear(f"`{text}` is no author: write `Name <email>`.")
    return match.group(1), match.group(2)


def _conflict(files: tuple[str, ...]) -> str:
    return f"The change meets other work in {len(files)} file{'s' if len(files) != 1 else ''}."


def _busy(repo: Repo) -> str:
    return f"{shown(repo.source)} moved on with every try: approve once more when it is quiet."
