"""Worktrees that people asked for: rows, guarded moves, and who works in which.

A session starts in one instead of in a clone of its own: in the transaction that begins the
session, call `borrow(tx, path, session_id)`. Its row then names that path and branch, and is
`active`: nothing is prepared for it any more. From then on the worktree's state goes along with
the session's, and the session's end gives it back; `give_back` is for a session that never
comes to an end.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from core import lifecycle
from core.errors import Refused, Unclear
from core.model import Session, Task, Worktree, WorktreeState
from core.store import rows, sessions, tasks
from core.store.database import Tx

UNSETTLED = """
SELECT id FROM worktrees INDEXED BY worktrees_unsettled WHERE state IN ('creating', 'cleaning')
"""


def add(tx: Tx, **values: Any) -> Worktree:
    """A new one, in `creating`. Raises Refused where its path or its branch is taken."""
    _check_free(tx, values["path"], values["repo"], values["branch"])
    number = tx.insert("worktrees", **values, state=WorktreeState.CREATING.value, created_at=tx.now)
    return get(tx, number)


def get(tx: Tx, number: int) -> Worktree:
    row = tx.one("SELECT * FROM worktrees WHERE id = ?", (number,))
    if row is None:
        raise Refused(f"No worktree number {number}.")
    return rows.worktree(row)


def at(tx: Tx, path: str) -> Worktree | None:
    """The one at that absolute path, unless it is gone."""
    row = tx.one("SELECT * FROM worktrees WHERE path = ? AND state <> 'gone'", (path,))
    return None if row is None else rows.worktree(row)


def move(tx: Tx, worktree: Worktree, to: WorktreeState, **values: Any) -> Worktree:
    """Guarded change of state; raises Refused when the table or the row says no."""
    lifecycle.check(f"The worktree {worktree.path}", worktree.state, to)
    where = {"id": worktree.id, "state": worktree.state.value}
    if not tx.update("worktrees", where, state=to.value, **values):
        raise Refused(f"The worktree {worktree.path} has just changed.")
    return get(tx, worktree.id)


def borrower(tx: Tx, worktree: Worktree) -> Session | None:
    """The session that works in it and has not ended."""
    row = tx.one(
        "SELECT * FROM sessions INDEXED BY sessions_borrowing "
        "WHERE borrowed IS NOT NULL AND borrowed = ? AND state <> 'terminated'",
        (worktree.id,),
    )
    return None if row is None else rows.session(row)


def borrow(tx: Tx, path: str, session_id: str) -> Worktree:
    """The session, which has just begun, works in the worktree at that absolute path. Its task
    is on that worktree's branch from now on. Raises Unclear where there is no such worktree,
    Refused where it is not free, or of another repository or branch than the task."""
    worktree = at(tx, path)
    if worktree is None or worktree.state is WorktreeState.CLEANING:
        number = sessions.get(tx, session_id).task_id
        raise Unclear(
            f"No worktree {path} (any more): /cancel {number} ends the task, /worktrees lists them."
        )
    if worktree.state is not WorktreeState.ACTIVE:
        words = lifecycle.words(worktree.state)
        raise Refused(f"The worktree {path} is {words}: nobody can begin in it.")
    other = borrower(tx, worktree)
    if other is not None:
        raise Refused(f"{other.id} works in {path}: /kill {other.id} first, or take another.")
    session = sessions.get(tx, session_id)
    task = tasks.get(tx, session.task_id)
    _check_fits(worktree, task)
    tx.run(
        "UPDATE tasks SET repo = ?, branch = ?, base_commit = coalesce(base_commit, ?) "
        "WHERE id = ?",
        (worktree.repo, worktree.branch, worktree.base, task.id),
    )
    tx.update(
        "sessions", {"id": session.id}, worktree=worktree.path, branch=worktree.branch,
        borrowed=worktree.id,
    )  # fmt: skip
    sessions.set_worktree(tx, sessions.get(tx, session.id), WorktreeState.ACTIVE)
    return worktree


def give_back(tx: Tx, session_id: str) -> None:
    """Free again, whatever becomes of the session. A second time nothing happens."""
    tx.run(
        "UPDATE worktrees SET state = 'active' WHERE state IN ('suspended', 'merging') "
        "AND id = (SELECT borrowed FROM sessions WHERE id = ?)",
        (session_id,),
    )


def _check_fits(worktree: Worktree, task: Task) -> None:
    if task.repo not in (None, worktree.repo):
        raise Refused(f"{worktree.path} is of {worktree.repo}, {task.ref} of {task.repo}.")
    if task.branch not in (None, worktree.branch):
        raise Refused(f"{worktree.path} is on {worktree.branch}, {task.ref} on {task.branch}.")


# -- what is taken -------------------------------------------------------------------------


def _check_free(tx: Tx, path: str, repo: str, branch: str) -> None:
    if at(tx, path) is not None:
        raise Refused(f"There is a worktree {path} already: /worktree {path} shows it.")
    for taken, where in on_branches(tx, repo):
        if taken == branch:
            raise Refused(f"The branch {branch} is taken: {where} is on it.")
        if taken.startswith(f"{branch}/") or branch.startswith(f"{taken}/"):
            raise Refused(f"A branch {branch} can't stand beside {taken}, which {where} is on.")


def on_branches(tx: Tx, repo: str) -> Sequence[tuple[str, str]]:
    """The branches that somebody is on, each with who or what: worktrees, and tasks that have
    not ended."""
    found = tx.all("SELECT branch, path FROM worktrees WHERE repo = ? AND state <> 'gone'", (repo,))
    active = tx.all(
        "SELECT branch, id FROM tasks WHERE branch IS NOT NULL AND ended_at IS NULL "
        "AND coalesce(repo, ?1) = ?1",
        (repo,),
    )
    own = tx.all(
        "SELECT sessions.branch, sessions.id FROM sessions INDEXED BY sessions_with_worktree "
        "JOIN tasks ON tasks.id = task_id WHERE worktree_state <> 'gone' AND borrowed IS NULL "
        "AND sessions.branch IS NOT NULL AND coalesce(tasks.repo, ?1) = ?1",
        (repo,),
    )
    return [
        *((row[0], row[1]) for row in found),
        *((row[0], f"TASK-{row[1]:03d}") for row in active),
        *((row[0], f"the workspace of {row[1]}") for row in own),
    ]
