"""What would be lost with a workspace, by its own word and by what Bullpen's repository holds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from core.errors import BullpenError
from core.worktrees import nested
from core.worktrees.scripts import Inspection, may_remove


async def would_lose(
    bare: Path, base: str | None, seen: Inspection, saved: str, redact: Callable[[str], str]
) -> str | None:
    """None: nothing; else one line. `base` is the commit at which the work began: the submodules
    that it names are the user's. `saved` is the last commit that was taken in."""
    unheld: dict[str, str] = {}
    if saved and seen.head == saved and "link " in seen.status:
        try:
            unheld = await nested.unheld(bare, base or "", saved)
        except BullpenError as error:
            return str(error).rstrip(".")
    return may_remove(seen.status, seen.head, saved, unheld, redact)
