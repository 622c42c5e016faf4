"""The repositories people configured: where they are, which branch is theirs, mirroring it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

from core.errors import Broken, Unclear
from core.git.runner import GitFailed, git, guarded
from core.model import Repo

_SCP = re.compile(r"^[^/:]+:")
_USERINFO = re.compile(r"(://)[^/@]*@")
_SHA = re.compile(r"^[0-9a-f]{40}(?:[0-9a-f]{24})?$")
_PASSED_ON = (
    "SSH_AUTH_SOCK",
    *("https_proxy", "http_proxy", "no_proxy", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR"),
)
# A local transport drops `-c` on its way to the other side, so the owner check is
# answered there: whoever configured the path vouches for it.
_LOCAL_UPLOAD = ("--upload-pack", "git -c safe.directory='*' upload-pack")


@dataclass(frozen=True, slots=True)
class _Heads:
    """What a source answered: its own HEAD's branch, and the commits by branch."""

    head: str | None
    commits: Mapping[str, str]


def is_local(source: str) -> bool:
    """Whether the source lies on this machine (a path or a file:// URL)."""
    return local_path(source) is not None


def local_path(source: str) -> Path | None:
    """The folder of a local source; None for a URL of elsewhere."""
    if source.startswith("file://"):
        return Path(unquote(urlsplit(source).path))
    if not source or "://" in source or "::" in source:
        return None
    path = Path(source).expanduser()
    if _SCP.match(source) and not path.exists():
        return None
    return path.resolve()


def reach(source: str) -> tuple[str, Mapping[str, str]]:
    """How git is told of a source: the address, and the environment it needs for it.

    Raises Unclear when it can't be an address at all."""
    path = local_path(source)
    if path is not None:
        return str(path), {}
    if not source or source.startswith("-") or "::" in source or not source.isprintable():
        raise _no_repository(source)
    passed = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return source, {**passed, "GIT_SSH_COMMAND": "ssh -oBatchMode=yes"}


def shown(source: str) -> str:
    """A source as people may see it: without a password in it."""
    return _USERINFO.sub(r"\1", source)


def default_branch(repo: Repo, git_dir: Path) -> str:
    """The branch that tasks merge into: as configured, else as the last `mirror` found it."""
    if repo.branch:
        return repo.branch
    head = (git_dir / "HEAD").read_text(encoding="utf-8").strip()
    return head.removeprefix("ref: refs/heads/")


async def mirror(repo: Repo, git_dir: Path) -> str:
    """Bring the source's default branch into the bare repository; returns its commit.

    Asks first and fetches only what moved. Raises Unclear when the source is no repository
    or lacks the branch, Broken when it can't be reached.
    """
    heads = await _ask(repo)
    branch, commit = _wanted(repo, heads)
    async with guarded(git_dir):
        if not await _holds(git_dir, branch, commit):
            await _fetch(repo, git_dir, branch)
            commit = await git("rev-parse", f"refs/heads/{branch}", git_dir=git_dir)
        if not repo.branch and default_branch(repo, git_dir) != branch:
            await git("symbolic-ref", "HEAD", f"refs/heads/{branch}", git_dir=git_dir)
    return commit


async def look(repo: Repo) -> str:
    """The commit of the source's default branch, asked of the source; as `mirror` raises."""
    return _wanted(repo, await _ask(repo))[1]


async def checkout(repo: Repo) -> tuple[Path, str, str] | None:
    """The person's own checkout where the source is one on this machine: its folder, branch
    and commit (empty: none). None for a bare repository, or one elsewhere."""
    path = local_path(repo.source)
    if path is None or not (path / ".git").exists():
        return None
    heads = await _ask(repo)
    return path, heads.head or "", heads.commits.get("HEAD", "")


async def take_branch(repo: Repo, git_dir: Path, branch: str) -> str | None:
    """The commit of another of the source's branches, taken in; None where it has none of that
    name. It is kept beside the branches of the bare repository: it moves none of them."""
    wanted = replace(repo, branch=branch)
    heads = await _ask(wanted)
    if branch not in heads.commits:
        return None
    async with guarded(git_dir):
        kept = f"refs/bullpen/source/{branch}"
        await _fetch(wanted, git_dir, branch, kept)
        return await git("rev-parse", kept, git_dir=git_dir)


async def _ask(repo: Repo) -> _Heads:
    address, env = reach(repo.source)
    path = local_path(repo.source)
    if path is not None and not path.is_dir():
        raise _no_repository(repo.source)
    names = ["HEAD", f"refs/heads/{repo.branch}"] if repo.branch else ["HEAD"]
    try:
        said = await git(
            "ls-remote", *_upload(path), "--symref", "--", address, *names, env=env, timeout=60
        )
    except GitFailed as error:
        if path is not None:
            raise _no_repository(repo.source) from error
        raise _unreachable(repo, error) from error
    return _heads(said)


def _heads(said: str) -> _Heads:
    head: str | None = None
    commits: dict[str, str] = {}
    for line in said.splitlines():
        value, _, name = line.partition("\t")
        if value.startswith("ref: refs/heads/"):
            head = value.removeprefix("ref: refs/heads/")
        elif name == "HEAD" and _SHA.match(value):
            commits["HEAD"] = value
        elif _SHA.match(value):
            commits[name.removeprefix("refs/heads/")] = value
    return _Heads(head, commits)


def _wanted(repo: Repo, heads: _Heads) -> tuple[str, str]:
    where = shown(repo.source)
    branch = repo.branch or heads.head
    commit = heads.commits.get(repo.branch or "HEAD")
    if branch is None and commit is not None:
        raise Unclear(f"`{where}` is on no branch: set the repository's `branch`.")
    if branch is not None and commit is not None:
        return branch, commit
    if heads.commits:
        raise Unclear(f"`{where}` has no branch `{branch}`: set the repository's `branch`.")
    name = f"`{branch}`" if branch else "the branch"
    raise Unclear(f"`{where}` has no commit on {name} yet: make the first one.")


async def _holds(git_dir: Path, branch: str, commit: str) -> bool:
    try:
        held = await git("rev-parse", "--verify", "-q", f"refs/heads/{branch}", git_dir=git_dir)
    except GitFailed:
        return False
    return held == commit


async def _fetch(repo: Repo, git_dir: Path, branch: str, into: str = "") -> None:
    address, env = reach(repo.source)
    upload = _upload(local_path(repo.source))
    flags = ("--no-tags", "--no-write-fetch-head", "--update-shallow", "--quiet")
    refspec = f"+refs/heads/{branch}:{into or f'refs/heads/{branch}'}"
    try:
        await git(
            "fetch", *upload, *flags, "--", address, refspec, git_dir=git_dir, env=env, timeout=900
        )
    except GitFailed as error:
        raise _unreachable(repo, error) from error


def _upload(path: Path | None) -> Sequence[str]:
    return _LOCAL_UPLOAD if path is not None else ()


def _no_repository(source: str) -> Unclear:
    return Unclear(f"`{shown(source)}` is no git repository: give a path or URL of one.")


def _unreachable(repo: Repo, error: GitFailed) -> Broken:
    return Broken(f"`{shown(repo.source)}` can't be reached: {shown(str(error))}")
