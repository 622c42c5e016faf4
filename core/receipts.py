"""What Bullpen itself sees at a commit: its checks, run in a clean checkout of it.

Nothing that an agent has left behind counts there: no file that git doesn't know, no home.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from core import checks
from core.checks import Command
from core.house import House
from core.killpoints import kill_point
from core.model import Change, Session, Task
from core.sessions.errands import Place
from core.store.receipts import NewReceipt
from core.worktrees import remove_workspace


@dataclass(frozen=True, slots=True)
class Built:
    """A commit, and the default branch's commit that it is built on. `change`: between them."""

    commit: str
    base: str
    change: Change


async def see(
    house: House, session: Session, task: Task, built: Built, commands: Sequence[Command]
) -> NewReceipt:
    """Check out that commit beside the session's workspace, run the commands there in its
    sandbox, and remove it. Again after a crash: from the beginning. Raises Broken."""
    began = house.clock.monotonic()
    folder = house.session_folder(session.id) / "receipts"
    await checks.end_earlier(house, session)
    await remove_workspace(folder)
    try:
        place = Place(folder / built.commit, folder / "home")
        repo = house.repo(task.repo)
        await house.repositories.check_out(repo, task.branch or "", built.commit, place.workspace)
        (folder / "home").mkdir(mode=0o700)
        seen = await checks.run(house, session, commands, place)
        kill_point("after-receipt")
    finally:
        await remove_workspace(folder)
    took = house.clock.monotonic() - began
    return NewReceipt(built.commit, built.base, built.change, seen, round(took * 1000))
