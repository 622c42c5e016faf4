"""Workspaces of done work are removed once that is proven to lose nothing; else kept."""

from __future__ import annotations

from pathlib import Path

from core.checks import inside
from core.errors import Broken, BullpenError, Unreachable
from core.git import guarded
from core.house import House
from core.killpoints import kill_point
from core.model import Session, Task, WorktreeState
from core.sessions.starting import reload
from core.store import sessions
from core.store.database import Tx
from core.worktrees import inspection_script, read_inspection, remove_workspace, would_lose


async def tidy(house: House, session_id: str) -> None:
    """Remove the workspace of an ended session, or note why it stays. One that was given up
    goes as it is, and its branch with it where that was asked for."""
    session = await house.store.write(lambda tx: sessions.get(tx, session_id))
    async with guarded(Path(session.worktree)):
        await _tidy(house, session_id)


async def _tidy(house: House, session_id: str) -> None:
    session, _, task = await house.store.write(lambda tx: reload(tx, session_id))
    if session.borrowed is not None or session.worktree_state is WorktreeState.GONE:
        return
    if session.drop_branch and session.branch:
        await house.repositories.drop(house.repo(task.repo), session.branch)
    if not Path(session.worktree).is_dir():
        await house.store.write(lambda tx: _to(tx, session_id, WorktreeState.GONE))
        return
    why = None
    if session.worktree_state is WorktreeState.ARCHIVED:
        why = await _obstacle(house, session, task)
    if why is not None:
        await house.store.write(lambda tx: _kept(tx, session_id, why))
        return
    await house.store.write(lambda tx: _to(tx, session_id, WorktreeState.CLEANING))
    try:
        await remove_workspace(Path(session.worktree))
    except Broken as error:
        words = str(error)
        await house.store.write(lambda tx: _kept(tx, session_id, words))
        raise
    kill_point("after-removal")
    await house.store.write(lambda tx: _to(tx, session_id, WorktreeState.GONE))


async def _obstacle(house: House, session: Session, task: Task) -> str | None:
    try:
        ran = await inside(house, session, inspection_script())
    except Unreachable:
        raise
    except BullpenError as error:
        return str(error)
    if ran.end.status != 0:  # what git complains of isn't anybody's work
        return "it can't be looked into"
    seen = read_inspection(ran.output)
    saved = task.head_commit or task.base_commit or ""
    if seen.head != saved and await house.repositories.holds(house.repo(task.repo), seen.head):
        saved = seen.head  # another session has brought the task further, or the branch has moved
    bare = house.repositories.path(house.repo(task.repo))
    return await would_lose(bare, task.base_commit, seen, saved, house.redact)


def _to(tx: Tx, session_id: str, state: WorktreeState) -> None:
    session = sessions.get(tx, session_id)
    if session.worktree_state is WorktreeState.ARCHIVED and state is WorktreeState.GONE:
        session = sessions.set_worktree(tx, session, WorktreeState.CLEANING)
    sessions.set_worktree(tx, session, state)


def _kept(tx: Tx, session_id: str, why: str) -> None:
    session = sessions.get(tx, session_id)
    if session.worktree_state is WorktreeState.CLEANING:
        session = sessions.set_worktree(tx, session, WorktreeState.ARCHIVED)
    sessions.tell(tx, session, "worktree.kept", f"The workspace of {session.id} is kept: {why}")
    tx.run("UPDATE sessions SET kept = ? WHERE id = ?", (why, session_id))
