"""Code to a place that shares no folder, and back: a small bare repository for each attempt.

It lies in the attempt's folder as `exchange.git` and is served over HTTP to that attempt alone. It
borrows the objects of the workspace, which in this case no agent has ever touched: it was made
by the bot, and only what came through here, checked, was ever put into it.
"""

from __future__ import annotations

import asyncio
import os
import shutil
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
    if not inner.is_dir():
        return None
    try:
        head = (inner / "HEAD").read_text(encoding="utf-8").strip()
        branch = head.removeprefix("ref: refs/heads/")
        commit = await git("rev-parse", "--verify", "HEAD", git_dir=inner)
        base, origin = await _default(inner)
        exclude = inner / "info/exclude"
        code = Code(branch, commit, base, exclude.read_text("utf-8") if exclude.exists() else "")
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
    await git(
        "fetch", "--no-tags", "--no-write-fetch-head", "--quiet", str(folder / NAME),
        f"+refs/heads/{branch}:{CARRIED}", git_dir=inner, timeout=900,
        options=("fetch.fsckObjects=true",),
    )  # fmt: skip
    tree = {"GIT_WORK_TREE": str(workspace)}
    (inner / "index.lock").unlink(missing_ok=True)  # of one that a crash has ended
    await git("reset", "--hard", "--quiet", CARRIED, git_dir=inner, cwd=workspace, env=tree,
              timeout=900)  # fmt: skip
    await asyncio.to_thread(shutil.rmtree, folder / NAME, True)


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
