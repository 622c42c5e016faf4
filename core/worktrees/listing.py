"""What worktrees there are: the user's checkouts, sessions' own, and those made by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from core import views
from core.errors import BullpenError, Refused, Unclear
from core.git.source import checkout
from core.house import House
from core.model import Repo, WorktreeState
from core.views import Page, WorktreeRow
from core.worktrees.naming import meant
from core.worktrees.reading import read_place


class NoRepository(Refused):
    """There is nothing to make a worktree of. `code` is what the HTTP API calls it."""

    code = "WORKTREES_DISABLED"


@dataclass(frozen=True, slots=True)
class Info:
    """One worktree. `path` is absolute, `relative_path` from the data folder on where it lies in
    there. `branch` and `head` are what stands in it now (untrusted, but well-formed), else what
    it was made for. `is_main`: the user's own checkout, which Bullpen only looks at. `session`:
    whose own it is, or who works in it; `by_hand`: somebody asked for it. `created`: ms."""

    path: str
    relative_path: str
    branch: str
    head: str
    is_main: bool
    state: WorktreeState
    repo: str
    agent: str | None = None
    task: int | None = None
    created: int | None = None
    session: str | None = None
    kept: str | None = None
    by_hand: bool = False


async def list_all(house: House, n: int = 1000, offset: int = 0) -> Page[Info]:
    """The user's checkouts first, then those made by hand, then sessions' own, newest first.
    Raises NoRepository."""
    check_enabled(house)
    mains = await _mains(house)
    rest = max(0, offset - len(mains))
    shown = mains[offset : offset + n]
    found = await house.store.view(partial(_page, n=n - len(shown), offset=rest))
    rows = await asyncio.to_thread(lambda: [_info(house, row) for row in found.items])
    return Page((*shown, *rows), len(mains) + found.total, offset)


async def read(house: House, path: str) -> Info:
    """The worktree at a path: a full one, one from the data folder on (`worktrees/NAME`), the
    name of one made by hand, or the session whose it is. Raises Unclear, NoRepository."""
    check_enabled(house)
    for main in await _mains(house):
        if path.strip().rstrip("/") in (main.path, main.relative_path):
            return main
    row = await locate(house, path)
    return await asyncio.to_thread(_info, house, row)


async def locate(house: House, path: str) -> WorktreeRow:
    """The row behind a path, as `read` understands it. Raises Unclear."""
    said = path.strip()
    own = house.session_folder(said) / "workspace" if said else house.data
    for full in (meant(house.data, said), meant(root_of(house), said), str(own)):
        row = await house.store.view(partial(_at, path=full))
        if row is not None:
            return row
    raise Unclear(f"No worktree `{said[:80]}`: /worktrees lists them.")


def root_of(house: House) -> Path:
    """Where those that are made by hand lie."""
    return house.data / "worktrees"


def check_enabled(house: House) -> None:
    if not house.repos:
        raise NoRepository("There is no repository: name one in bullpen.toml, under [repos].")


async def _mains(house: House) -> Sequence[Info]:
    looked = await asyncio.gather(*(_main(house, repo) for repo in house.repos.values()))
    return [main for main in looked if main is not None]


async def _main(house: House, repo: Repo) -> Info | None:
    try:
        found = await checkout(repo)
    except BullpenError:  # it is gone, or can't be read: nothing of ours is there
        return None
    if found is None:
        return None
    path, branch, head = found
    return Info(
        path=str(path),
        relative_path=_relative(house, str(path)),
        branch=branch,
        head=head,
        is_main=True,
        state=WorktreeState.ACTIVE,
        repo=repo.name,
    )


def _info(house: House, row: WorktreeRow) -> Info:
    branch, head = read_place(Path(row.path))
    return Info(
        path=row.path,
        relative_path=_relative(house, row.path),
        branch=branch or row.branch,
        head=head,
        is_main=False,
        state=row.state,
        repo=row.repo or _only(house),
        agent=row.agent,
        task=row.task_id,
        created=row.created_at,
        session=row.session_id,
        kept=row.kept,
        by_hand=row.number > 0,
    )


def _relative(house: House, path: str) -> str:
    inside = Path(path)
    return str(inside.relative_to(house.data)) if inside.is_relative_to(house.data) else path


def _only(house: House) -> str:
    return next(iter(house.repos)) if len(house.repos) == 1 else ""


def _page(db: views.Db, n: int, offset: int) -> Page[WorktreeRow]:
    return views.worktrees(db, max(n, 0), offset)


def _at(db: views.Db, path: str) -> WorktreeRow | None:
    return views.worktree_at(db, path)
