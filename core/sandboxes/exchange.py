"""Code to a place that shares no folder, and back: a small bare repository for each attempt.

It lies in the attempt's folder as `exchange.git` and is served over HTTP to that attempt alone. It
borrows the objects of the workspace, which in this case no agent should ever have touched: it was
made by the bot, and only what came through here, checked, was ever put into it. All the same, no
git of ours reads the settings in there.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from core.errors import Broken
from core.git import GitFailed, git

NAME = "exchange.git"
CARRIED = "refs/bullpen/carried"
# Nobody is told which other branches the borrowed objects belong to.
_CONFIG = """\
[core]
\trepositoryformatversion = 0
\tbare = true
\talternateRefsCommand = true
[receive]
\tfsckObjects = true
\tdenyDeletes = true
\tdenyNonFastForwards = false
[gc]
\tauto = 0
"""


_OURS = """\
[core]
\trepositoryformatversion = 0
\tfilemode = true
\tbare = false
"""
_LARGEST = 64 << 20


@dataclass(frozen=True, slots=True)
class Code:
    """What travels: the workspace's branch, the commit that it stands at, the default branch
    (empty: it is not known), and the patterns of files that never belong to the work."""

    branch: str
    commit: str
    base: str = ""
    exclude: str = ""


async def make(workspace: Path, folder: Path) -> Code | None:
    """Make `<folder>/exchange.git`; one that is there stays. None where the workspace is no
    repository: then no code travels. Raises Broken."""
    inner = workspace / ".git"
    if inner.is_symlink() or not inner.is_dir():
        return None
    try:
        branch = _text(inner / "HEAD").strip().removeprefix("ref: refs/heads/")
        with _seen_by_us(inner, folder) as ours:
            commit = await git("rev-parse", "--verify", "HEAD", git_dir=ours)
            base, origin = await _default(ours)
        code = Code(branch, commit, base, _text(inner / "info/exclude"))
        if not (folder / NAME).is_dir():
            heads = {base: origin} if base else {}
            await asyncio.to_thread(_lay_out, inner, folder, branch, {**heads, branch: commit})
    except OSError as error:
        raise Broken(f"{folder / NAME} can't be made: {error.strerror}") from error
    return code


async def bring_back(folder: Path, workspace: Path, branch: str) -> None:
    """Put the branch as it was pushed into the workspace, checked on its way. Doing it again
    changes nothing. Raises Broken."""
    if not branch or not (folder / NAME).is_dir():
        return
    inner = workspace / ".git"
    with _seen_by_us(inner, folder) as ours:
        await git(
            "fetch", "--no-tags", "--no-write-fetch-head", "--quiet", str(folder / NAME),
            f"+refs/heads/{branch}:{CARRIED}", git_dir=ours, timeout=900,
            options=("fetch.fsckObjects=true",),
        )  # fmt: skip
        tree = {"GIT_WORK_TREE": str(workspace), "GIT_INDEX_FILE": str(inner / "index")}
        (inner / "index.lock").unlink(missing_ok=True)  # of one that a crash has ended
        await git("reset", "--hard", "--quiet", CARRIED, git_dir=ours, cwd=workspace, env=tree,
                  timeout=900)  # fmt: skip
    await asyncio.to_thread(shutil.rmtree, folder / NAME, True)


@contextmanager
def _seen_by_us(inner: Path, folder: Path) -> Iterator[Path]:
    """A git folder with the workspace's objects and refs, and our settings: its own may say what
    git is to run, wherever an agent has worked in it. Raises Broken."""
    ours = folder / ".ours.git"
    try:
        shutil.rmtree(ours, ignore_errors=True)
        ours.mkdir()
        for name in ("objects", "refs"):
            (ours / name).symlink_to((inner / name).absolute())
        for name in ("HEAD", "packed-refs", "shallow"):
            if os.path.lexists(inner / name):
                (ours / name).write_text(_text(inner / name), encoding="utf-8")
        (ours / "config").write_text(_OURS, encoding="utf-8")
        yield ours
    except OSError as error:
        raise Broken(f"{inner} can't be worked with: {error.strerror}") from error
    finally:
        shutil.rmtree(ours, ignore_errors=True)


def _text(path: Path) -> str:
    """What a plain file says; empty where there is none, or something else."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        facts = os.fstat(fd)
        if not stat.S_ISREG(facts.st_mode):
            return ""
        return os.pread(fd, min(facts.st_size, _LARGEST), 0).decode("utf-8", "replace")
    finally:
        os.close(fd)  # Python's own file does not, where it finds a folder


async def _default(inner: Path) -> tuple[str, str]:
    """The default branch and its commit, as the workspace knows them."""
    name = "refs/remotes/origin/"
    try:
        said = await git("for-each-ref", "--count=1", "--format=%(refname) %(objectname)", name,
                         git_dir=inner)  # fmt: skip
    except GitFailed:
        return "", ""
    ref, _, commit = said.partition(" ")
    return ref.removeprefix(name), commit


def _lay_out(inner: Path, folder: Path, branch: str, heads: dict[str, str]) -> None:
    draft = folder / f".{NAME}.new"
    shutil.rmtree(draft, ignore_errors=True)
    files = {
        "HEAD": f"ref: refs/heads/{branch}\n",
        "config": _CONFIG,
        "objects/info/alternates": f"{inner.absolute() / 'objects'}\n",
        **{f"refs/heads/{name}": f"{commit}\n" for name, commit in heads.items()},
    }
    for name, text in files.items():
        (draft / name).parent.mkdir(parents=True, exist_ok=True)
        (draft / name).write_text(text, encoding="utf-8")
    (draft / "objects/pack").mkdir()
    if (inner / "shallow").exists():
        shutil.copyfile(inner / "shallow", draft / "shallow")
    os.rename(draft, folder / NAME)
