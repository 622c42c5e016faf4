"""Where changes go: the Forge port, and what crosses it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from core.model import Repo

NOWHERE = "0" * 40
"""A commit that no branch stands at."""


@dataclass(frozen=True, slots=True)
class MergeOrder:
    """A change to merge: commit `head` of `git_dir` (the bot's bare repository), approved
    with patch id `patch_id`, onto `repo`'s default branch.

    `onto`: the commit of that branch with which the change was checked; None: it may stand
    anywhere. `at`: when it was approved, ms since the epoch: the merge commit's date, so that
    the same order on the same branch makes the same commit; None: now."""

    repo: Repo
    git_dir: Path
    head: str
    patch_id: str
    message: str
    author: str
    onto: str | None = None
    at: int | None = None


@dataclass(frozen=True, slots=True)
class Merged:
    """`outcome`: `pr.merged` (with `commit`), `moved` (it could be merged, but the branch is no
    longer at `onto`: check it there first), `merge.conflict` (with `files`), `stale` (the
    patch is no longer the approved one: `patch_id` is the new one) or `refused` (the
    approval stays valid; `detail` is one line that says what to do).

    With `moved` and `stale`, `git_dir` holds what would be merged: `base`..`commit` is the
    change of `patch_id`, `base` being the branch as it stands (and `commit` too when nothing
    is left)."""

    outcome: str
    commit: str | None = None
    patch_id: str | None = None
    detail: str = ""
    files: tuple[str, ...] = ()
    base: str | None = None


class Forge(Protocol):
    name: str

    async def sync(self, repo: Repo, git_dir: Path) -> str:
        """Fetch the default branch into `git_dir`; returns its commit. Raises Broken."""

    async def merge(self, order: MergeOrder) -> Merged:
        """Merge it, unless the branch has left `onto`: then nothing is pushed, and the answer
        is `moved`. Doing the same order again after a crash gives the same answer."""
