"""Before the process: the workspace."""

from __future__ import annotations

from pathlib import Path

from core.errors import Broken
from core.house import House
from core.killpoints import kill_point
from core.model import Iteration, Session, Task, WorktreeState
from core.sessions.surroundings import private
from core.store import sessions as rows
from core.store import tasks
from core.store.database import Tx


async def prepare_workspace(house: House, session: Session, task: Task) -> None:
    """The session's clone on the task's branch; its path stays the same for its life. Raises
    Broken where one that was there is gone: what was in it can't be gone on with."""
    if session.worktree_state is not WorktreeState.CREATING:
        if not Path(session.worktree).is_dir():
            raise Broken(f"the workspace {session.worktree} is gone: it can't go on in there")
        return
    private(house.session_folder(session.id))
    repo = house.repo(task.repo)
    start = task.head_commit
    if start is None:
        start = await house.repositories.sync(repo)
    branch = task.branch or f"bullpen/{task.ref}"
    await house.repositories.make_workspace(repo, branch, Path(session.worktree), start)
    kill_point("after-workspace")
    await house.store.write(lambda tx: _workspace_made(tx, session, task.id, branch, start))


def _workspace_made(tx: Tx, session: Session, task_id: int, branch: str, start: str) -> None:
    tx.run(
        "UPDATE tasks SET branch = ?, base_commit = coalesce(base_commit, ?) WHERE id = ?",
        (branch, start, task_id),
    )
    tx.run("UPDATE sessions SET branch = ? WHERE id = ?", (branch, session.id))
    fresh = rows.get(tx, session.id)
    if fresh.worktree_state is WorktreeState.CREATING:
        rows.set_worktree(tx, fresh, WorktreeState.ACTIVE)


def reload(tx: Tx, session_id: str) -> tuple[Session, Iteration, Task]:
    session = rows.get(tx, session_id)
    return session, rows.get_iteration(tx, session_id), tasks.get(tx, session.task_id)
