"""A person's repository, an agent's workspace, and plain git to act in both."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from core.model import Change, Repo
from core.worktrees import Repositories

BRANCH = "bullpen/TASK-001"
SESSION = "coding-7f3a91c2"


def run_git(folder: Path, *args: str, check: bool = True) -> str:
    """Git as a person at this folder would run it (with the folder's own configuration)."""
    env = {
        "PATH": os.environ["PATH"],
        "HOME": "/nonexistent",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_AUTHOR_NAME": "Ada",
        "GIT_AUTHOR_EMAIL": "ada@example.org",
        "GIT_COMMITTER_NAME": "Ada",
        "GIT_COMMITTER_EMAIL": "ada@example.org",
    }
    done = subprocess.run(
        ["git", *args],
        cwd=folder,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
    )
    said = done.stdout.decode("utf-8", "replace")
    assert done.returncode == 0 or not check, said + done.stderr.decode("utf-8", "replace")
    return said.rstrip("\n")


def commit(folder: Path, files: dict[str, str | bytes], message: str = "work") -> str:
    """Write these files, commit everything, and return the commit."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    run_git(folder, "add", "--all")
    run_git(folder, "commit", "--quiet", "--allow-empty", "-m", message)
    return run_git(folder, "rev-parse", "HEAD")


def new_repository(folder: Path, files: dict[str, str | bytes] | None = None) -> str:
    """A person's repository with one commit on `main`; returns the commit."""
    folder.mkdir(parents=True)
    run_git(folder, "init", "--quiet", "--initial-branch=main")
    return commit(folder, files or {"notes.txt": numbered()}, "first")


def numbered(changed: dict[int, str] | None = None) -> str:
    """Thirty lines, some of them changed."""
    return "".join(f"{(changed or {}).get(n, f'line {n}')}\n" for n in range(1, 31))


@dataclass(slots=True)
class World:
    """One repository, Bullpen's bare copy of it, and a workspace on a task branch."""

    home: Path
    repo: Repo
    repositories: Repositories
    workspace: Path
    start: str

    @property
    def theirs(self) -> Path:
        return self.home / "theirs"

    @property
    def bare(self) -> Path:
        return self.repositories.path(self.repo)

    async def collect(self) -> Change:
        return await self.repositories.collect(
            self.repo, BRANCH, self.workspace, SESSION, self.start
        )


async def make_world(home: Path, files: dict[str, str | bytes] | None = None) -> World:
    """The usual beginning: a repository of one commit, and a fresh workspace of it."""
    new_repository(home / "theirs", files)
    repo = Repo("demo", str(home / "theirs"))
    repositories = Repositories(home / "repos")
    start = await repositories.sync(repo)
    workspace = home / "sessions" / SESSION / "workspace"
    await repositories.make_workspace(repo, BRANCH, workspace, start)
    return World(home, repo, repositories, workspace, start)
