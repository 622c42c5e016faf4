"""Worktrees: the sessions' own and those that people asked for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from core.model import WorktreeState
from core.views.reading import Db, Page

_COLUMNS = "path, repo, branch, state, agent, task_id, session_id, created_at, kept, number"
_BY_HAND = """
SELECT path, repo, branch, state, agent, task_id,
  (SELECT id FROM sessions INDEXED BY sessions_borrowing WHERE borrowed IS NOT NULL
   AND borrowed = worktrees.id AND state <> 'terminated') AS session_id,
  created_at, kept, worktrees.id AS number
FROM worktrees WHERE state <> 'gone'
"""
_OWN = """
SELECT worktree AS path, tasks.repo AS repo, sessions.branch AS branch, worktree_state AS state,
  agent, task_id, sessions.id AS session_id, sessions.created_at AS created_at,
  sessions.kept AS kept, 0 AS number
FROM sessions INDEXED BY sessions_with_worktree JOIN tasks ON tasks.id = sessions.task_id
WHERE worktree_state <> 'gone' AND borrowed IS NULL
"""


@dataclass(frozen=True, slots=True)
class WorktreeRow:
    """`path` is absolute; `repo` None: the only one. `session_id`: whose own it is, or who works
    in one that a person asked for (`number` is that one's, else 0). `kept`: why it was not
    removed."""

    path: str
    repo: str | None
    branch: str
    state: WorktreeState
    agent: str | None
    task_id: int | None
    session_id: str | None
    created_at: int
    kept: str | None
    number: int


def worktrees(db: Db, n: int = 1000, offset: int = 0) -> Page[WorktreeRow]:
    """All that are not gone: those that people asked for first, then the newest first."""
    total = sum(
        db.execute(f"SELECT count(*) FROM ({part})").fetchone()[0]  # noqa: S608
        for part in (_BY_HAND, _OWN)
    )
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM ({_BY_HAND} UNION ALL {_OWN})"  # noqa: S608
        " ORDER BY number = 0, created_at DESC, path LIMIT ? OFFSET ?",
        (n, offset),
    )
    return Page(tuple(_rows(rows)), total, offset)


def worktree_at(db: Db, path: str) -> WorktreeRow | None:
    """The one at that absolute path, unless it is gone."""
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM ({_BY_HAND} UNION ALL {_OWN}) WHERE path = ?",  # noqa: S608
        (path,),
    )
    return next(_rows(rows), None)


def _rows(found: Any) -> Iterator[WorktreeRow]:
    for path, repo, branch, state, *rest in found:
        yield WorktreeRow(path, repo, branch or "", WorktreeState(state), *rest)
