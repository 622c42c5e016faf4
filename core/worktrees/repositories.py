"""The bot's own bare repositories, one for each configured one, and all that goes in or out."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from core.errors import Broken, Refused, Unclear
from core.git import GitFailed, change, default_branch, diff, git, guarded, mirror
from core.git.source import look, take_branch
from core.model import Change, Repo
from core.worktrees import folder as workspaces
from core.worktrees.naming import check_branch
from core.worktrees.reading import read_head

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
_SHA = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_ZERO = "0" * 40
# The store we hand to git for an agent's objects is configured by us alone, and helper
# files that could lie about the objects beside them are not read.
_COUNTER = """\
[core]
\trepositoryformatversion = 0
\tbare = true
\tcommitGraph = false
\tmultiPackIndex = false
[pack]
\tuseBitmaps = false
"""


class Repositories:
    """The bare repositories below one folder: `<root>/<repository>.git`."""

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()

    def path(self, repo: Repo) -> Path:
        """Where the bare repository lies. Sandboxes that hide the host's files must show
        its `objects` folder, read-only, at the same path. Raises Unclear for a bad name."""
        return self._root / f"{_checked(_NAME, repo.name)}.git"

    async def ensure(self, repo: Repo) -> Path:
        """The bare repository's path, made when it isn't there.

        Raises Unclear when the source is no repository or has no commit, Broken when it
        can't be reached."""
        bare = self.path(repo)
        async with guarded(bare):
            if not bare.is_dir():
                await look(repo)
                await self._make(bare)
        return bare

    async def sync(self, repo: Repo) -> str:
        """Take in the source's default branch; returns its commit. Cheap when nothing moved."""
        return await mirror(repo, await self.ensure(repo))

    def default_branch(self, repo: Repo) -> str:
        """The branch that tasks merge into (after the first `sync`)."""
        return default_branch(repo, self.path(repo))

    async def head(self, repo: Repo, task_branch: str) -> str | None:
        """The task branch's commit; None when there is no such branch yet."""
        name = f"refs/heads/{_branch(task_branch)}"
        try:
            return await git("rev-parse", "--verify", "-q", name, git_dir=self.path(repo))
        except GitFailed as error:
            if error.status == 1:
                return None
            raise

    async def move(self, repo: Repo, task_branch: str, commit: str) -> None:
        """Set the task branch to a commit that the bare repository holds."""
        name = f"refs/heads/{self._own_branch(repo, task_branch)}"
        async with guarded(self.path(repo)):
            await git("update-ref", name, commit, git_dir=self.path(repo))

    async def find(self, repo: Repo, branch: str) -> tuple[str, bool] | None:
        """The commit of a branch, and whether the bare repository has it itself (else the source
        has, and it was taken in); None where there is no such branch. Raises Unclear, Broken."""
        held = await self.head(repo, branch)
        if held is not None:
            return held, True
        found = await take_branch(repo, await self.ensure(repo), branch)
        return None if found is None else (found, False)

    async def branches(self, repo: Repo) -> list[str]:
        """The branches of the bare repository."""
        said = await git(
            "for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads", git_dir=self.path(repo)
        )
        return said.splitlines()

    async def holds(self, repo: Repo, commit: str) -> bool:
        """Whether a branch of the bare repository leads to that commit."""
        if not _SHA.fullmatch(commit):
            return False
        try:
            said = await git(
                "for-each-ref", "--count=1", f"--contains={commit}", git_dir=self.path(repo)
            )
        except GitFailed:  # it has no such commit
            return False
        return bool(said)

    async def is_merged(self, repo: Repo, branch: str) -> bool:
        """Whether all of a branch is in the default branch, as last synced; one that is gone
        is."""
        bare, head = self.path(repo), await self.head(repo, branch)
        if head is None:
            return True
        onto = f"refs/heads/{default_branch(repo, bare)}"
        return await _is_ancestor(bare, head, onto)

    async def drop(self, repo: Repo, branch: str) -> None:
        """Delete a branch of the bare repository; one that is gone is no error."""
        async with guarded(self.path(repo)):
            name = f"refs/heads/{self._own_branch(repo, branch)}"
            await git("update-ref", "-d", name, git_dir=self.path(repo))

    def _own_branch(self, repo: Repo, branch: str) -> str:
        """The default branch is the source's: nothing of an agent's ever goes there directly."""
        if branch == default_branch(repo, self.path(repo)):
            raise Refused(f"`{branch}` is the branch that work is merged into: take another.")
        return _branch(branch)

    async def make_workspace(
        self,
        repo: Repo,
        task_branch: str,
        folder: Path,
        start_commit: str,
        *,
        author: str = "Bullpen agent",
        email: str = "agent@bullpen.invalid",
        exclude: Sequence[str] = (),
    ) -> str:
        """Make a clone in `folder` (parents too), on the task branch; returns its commit.

        A task branch that exists wins over `start_commit`. Doing it again after a crash
        finishes it; a finished workspace is left alone. `author` signs the agent's commits;
        `exclude` are patterns of files that never belong to the work. Raises Broken.
        """
        head = await self._begin(repo, task_branch, start_commit)
        blueprint = await self._blueprint(repo, task_branch, head)
        await _lay_out(
            replace(blueprint, author=author, email=email, exclude=tuple(exclude)), folder
        )
        return head

    async def check_out(self, repo: Repo, task_branch: str, commit: str, folder: Path) -> None:
        """Lay out any commit of the bare repository in `folder` as a workspace would be, on a
        branch of that name: nothing but what is committed is in it. Raises Broken."""
        _branch(task_branch)
        await _lay_out(await self._blueprint(repo, task_branch, commit), folder)

    async def collect(
        self, repo: Repo, task_branch: str, workspace: Path, session_id: str, base: str
    ) -> Change:
        """Take in the commits at the workspace's HEAD, and move the task branch there.

        HEAD counts, not a branch by name: an agent that switched, renamed or left its
        branch has still shown there what its work is. `base` is the commit the session
        began at; the change is told against the default branch. Raises Refused when the
        work shares no history with `base`, Broken when the workspace can't be read; the
        task branch has then not moved.
        """
        bare = self.path(repo)
        self._own_branch(repo, task_branch)
        head = await asyncio.to_thread(read_head, workspace.absolute(), bare / "objects")
        async with guarded(bare):
            if head != await self.head(repo, task_branch):
                await self._take_in(bare, workspace.absolute(), session_id, head)
                await _related(bare, base, head)
                await git("update-ref", f"refs/heads/{task_branch}", head, git_dir=bare)
        return await self.change(repo, head)

    async def change(self, repo: Repo, head: str) -> Change:
        """What a commit brings to the default branch, as last synced."""
        bare = self.path(repo)
        return await change(bare, f"refs/heads/{default_branch(repo, bare)}", head)

    async def diff(self, repo: Repo, base: str, head: str, limit: int = 1 << 20) -> str:
        """The text between two commits, cut after about `limit` bytes. Untrusted."""
        return await diff(self.path(repo), base, head, limit)

    async def _blueprint(self, repo: Repo, task_branch: str, head: str) -> workspaces.Blueprint:
        bare = self.path(repo)
        default = default_branch(repo, bare)
        origin = await git("rev-parse", f"refs/heads/{default}", git_dir=bare)
        return workspaces.Blueprint(bare, task_branch, head, default, origin)

    async def _make(self, bare: Path) -> None:
        draft = bare.with_name(f".{bare.name}.new")
        try:
            shutil.rmtree(draft, ignore_errors=True)
            self._root.mkdir(parents=True, exist_ok=True)
            await git("init", "--bare", "--quiet", "--template=", "--", str(draft))
            os.rename(draft, bare)
        except OSError as error:
            raise Broken(f"{bare} can't be made: {error.strerror}.") from error

    async def _begin(self, repo: Repo, task_branch: str, start: str) -> str:
        self._own_branch(repo, task_branch)
        async with guarded(self.path(repo)):
            head = await self.head(repo, task_branch)
            if head is None:
                head = await git("rev-parse", "--verify", f"{start}^{{commit}}",
                                 git_dir=self.path(repo))  # fmt: skip
                name = f"refs/heads/{task_branch}"
                await git("update-ref", name, head, _ZERO, git_dir=self.path(repo))
        return head

    async def _take_in(self, bare: Path, workspace: Path, session_id: str, head: str) -> None:
        incoming = f"refs/bullpen/incoming/{_checked(_NAME, session_id)}"
        with _counter(self._root, bare, workspace, session_id, head) as counter:
            await git(
                "fetch", "--no-tags", "--no-write-fetch-head", "--quiet", str(counter),
                f"+refs/heads/collected:{incoming}", git_dir=bare, timeout=300,
                options=("fetch.fsckObjects=true",),
            )  # fmt: skip


async def _lay_out(blueprint: workspaces.Blueprint, folder: Path) -> None:
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Broken(f"{folder.parent} can't be made: {error.strerror}.") from error
    await workspaces.make(blueprint, folder.absolute())


@contextmanager
def _counter(root: Path, bare: Path, workspace: Path, name: str, head: str) -> Iterator[Path]:
    """A repository of ours whose one branch is `head` and whose objects are the workspace's.

    Fetching from the workspace itself would run git under the agent's configuration; over
    this counter only its objects pass, and those are checked on the way in.
    """
    counter = root / f".incoming-{name}.git"
    shutil.rmtree(counter, ignore_errors=True)
    files = {
        "HEAD": "ref: refs/heads/collected\n",
        "config": _COUNTER,
        "refs/heads/collected": f"{head}\n",
        "objects/info/alternates": f"{workspace}/.git/objects\n",
    }
    try:
        for path, text in files.items():
            (counter / path).parent.mkdir(parents=True, exist_ok=True)
            (counter / path).write_text(text, encoding="utf-8")
        if (bare / "shallow").exists():
            shutil.copyfile(bare / "shallow", counter / "shallow")
        yield counter
    finally:
        shutil.rmtree(counter, ignore_errors=True)


async def _is_ancestor(bare: Path, one: str, other: str) -> bool:
    try:
        await git("merge-base", "--is-ancestor", one, other, git_dir=bare)
    except GitFailed as error:
        if error.status != 1:
            raise
        return False
    return True


async def _related(bare: Path, base: str, head: str) -> None:
    try:
        await git("merge-base", base, head, git_dir=bare)
    except GitFailed as error:
        if error.status != 1:
            raise
        raise Refused(
            "The work shares no history with where it began: nothing was taken."
        ) from error


def _checked(pattern: re.Pattern[str], name: str) -> str:
    if not pattern.fullmatch(name) or ".." in name or name.endswith((".", ".lock")):
        raise Unclear(f"`{name}` is no safe name: use letters, digits, `.`, `_` and `-`.")
    return name


def _branch(name: str) -> str:
    try:
        return check_branch(name)
    except Unclear:
        raise Unclear(f"`{name}` is no safe name for a branch.") from None
