"""A look into the workspaces of agents that work in the same repository at the same time."""

from __future__ import annotations

import secrets
import shutil

from core import overlaps
from core.errors import BullpenError
from core.house import House
from core.model import Session, SessionState, Task
from core.sessions import errands
from core.sessions.errands import Errand
from core.store import sessions, tasks
from core.store.database import Tx
from core.worktrees import read_survey, survey_script

PATIENCE = 30.0
"""Seconds that a look may take."""


async def survey(house: House, session_id: str) -> None:
    """List what the session has changed so far, by a script inside its sandbox; whatever it
    says is an agent's word. A look that fails tells nothing, and is tried at the next tick."""
    session, task = await house.store.write(lambda tx: _load(tx, session_id))
    if session.state is not SessionState.RUNNING:
        return
    if not house.sandboxes[session.sandbox].shares_folder:  # its work is seen when it comes home
        return
    folder = house.session_folder(session.id) / "survey" / secrets.token_hex(6)
    argv = survey_script(task.base_commit or "")
    try:
        ran = await errands.run(house, session, Errand(argv, folder, PATIENCE, 8 << 20))
    except BullpenError:
        return
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if ran.end.status == 0:
        names = read_survey(ran.output, overlaps.MOST, overlaps.LONGEST)
        await house.store.write(lambda tx: _take_in(tx, session_id, names))


def _load(tx: Tx, session_id: str) -> tuple[Session, Task]:
    session = sessions.get(tx, session_id)
    return session, tasks.get(tx, session.task_id)


def _take_in(tx: Tx, session_id: str, names: tuple[str, ...]) -> None:
    session, task = _load(tx, session_id)
    if session.state in (SessionState.RUNNING, SessionState.SUSPENDED):
        overlaps.seen(tx, task, names)
