"""May a session begin in a worktree that was made by hand?"""

from __future__ import annotations

from core.errors import Refused
from core.house import House
from core.model import Agent
from core.views import WorktreeRow
from core.worktrees import nested, read_inspection
from core.worktrees.removing import check_free, look_inside


async def check_lendable(house: House, row: WorktreeRow) -> None:
    """Raises Refused, with the reason in one line, where somebody works in it or has left work in
    it that no commit holds: the session's first would be taken for it."""
    await house.store.write(lambda tx: check_free(tx, row))
    ran = await look_inside(house, row)
    said = read_inspection(ran.output).status.split("\n")
    if ran.end.status != 0:
        raise Refused(f"{row.path} can't be looked into: nobody can begin in it.")
    apart, _ = nested.obstacle(said, (), house.redact)
    if apart:
        raise Refused(f"{row.path} holds {apart}: take that out of there first.")
    if any(line.strip() and not line.startswith(("stray ", "link ")) for line in said):
        raise Refused(f"{row.path} has work that is not committed: commit it there first.")


def check_place(house: House, agent: Agent) -> None:
    """Raises Refused for one that works in a place which shares no folder: its work would be
    brought home by our own git, in a folder whose git an agent may have set up."""
    sandbox = house.sandboxes.get(house.place(agent))
    if sandbox is not None and not sandbox.shares_folder:
        raise Refused(
            f"{agent.name} works in {sandbox.name}, elsewhere: "
            "a worktree made by hand can't be lent to it."
        )
