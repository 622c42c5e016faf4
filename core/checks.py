"""Commands of ours inside a session's sandbox: which ones judge a step, and what came of them."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from core.counting import Counts, count
from core.house import House
from core.model import Check, Session, Step, Task
from core.ports import Ran, Sandbox
from core.sessions import errands
from core.sessions.errands import Errand, Place
from core.worktrees.folder import delete

LINES, CHARACTERS = 20, 4000
"""How much of what a check printed is kept: its end."""
ARTIFACT = "artifact "
"""With this word begins the check whether an artifact was written: no command is run for it."""


@dataclass(frozen=True, slots=True)
class Command:
    """A command line; `criterion` is the position of the acceptance criterion it checks."""

    line: str
    criterion: int | None = None


def fault(check: Check) -> str:
    """In a few words what is wrong with the work."""
    if check.command.startswith(ARTIFACT) and check.criterion is None:
        return check.said
    return f"`{check.command}` failed"


async def wanted(house: House, task: Task, step: Step) -> list[Command]:
    """What judges that step: its own command, the repository's, and those of the criteria."""
    criteria = await house.store.read(
        "SELECT position, command FROM criteria WHERE task_id = ? AND command IS NOT NULL "
        "ORDER BY position",
        (task.id,),
    )
    configured = (step.command, house.repo(task.repo).check if step.checked else None)
    return [
        *(Command(line) for line in configured if line),
        *(Command(row["command"], row["position"]) for row in criteria),
    ]


async def run(
    house: House, session: Session, commands: Sequence[Command], place: Place | None = None
) -> list[Check]:
    """Run them one after the other, in the session's workspace or in another place."""
    return [await _run(house, session, command, place) for command in commands]


async def _run(house: House, session: Session, command: Command, place: Place | None) -> Check:
    began = house.clock.monotonic()
    ran = await inside(house, session, ("sh", "-c", command.line), place)
    took = house.clock.monotonic() - began
    said = "\n".join(house.redact(ran.output).strip().splitlines()[-LINES:])[-CHARACTERS:]
    if ran.end.status != 0:
        said = f"{said}\n({ran.end.reason or f'exit status {ran.end.status}'})".strip()
    counts = await asyncio.to_thread(count, ran.output) or Counts()
    return Check(
        command=command.line,
        passed=ran.end.status == 0,
        said=said,
        criterion=command.criterion,
        tests_passed=counts.passed,
        tests_failed=counts.failed,
        tests_skipped=counts.skipped,
        duration_ms=round(took * 1000),
    )


async def inside(
    house: House, session: Session, argv: Sequence[str], place: Place | None = None
) -> Ran:
    """A command of ours in the session's own sandbox, alone in there."""
    checks = house.session_folder(session.id) / "checks"
    await _end_earlier(house.sandboxes[session.sandbox], checks)
    policy = house.policy
    folder = checks / secrets.token_hex(6)
    errand = Errand(argv, folder, policy.check_time, policy.output_limit, place)
    return await errands.run(house, session, errand)


async def _end_earlier(sandbox: Sandbox, checks: Path) -> None:
    """A bot that was killed has left the command running that it waited for."""
    for folder in checks.glob("*"):
        handle = await sandbox.find(folder)
        if handle is not None:
            await sandbox.stop(folder, handle, force=True)
        with suppress(OSError):  # a check may have nested folders in there, as an agent may
            await asyncio.to_thread(delete, folder)


async def end_earlier(house: House, session: Session) -> None:
    """Before its working folder is made anew: nothing of ours may still run in there."""
    checks = house.session_folder(session.id) / "checks"
    await _end_earlier(house.sandboxes[session.sandbox], checks)
