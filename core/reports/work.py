"""What an agent tells and hands over while it works."""

from __future__ import annotations

import asyncio
import hashlib
from functools import partial

from core.artifacts import LARGEST, RAW, Staged, check_name
from core.errors import Refused, Unclear
from core.handed import MOST, OUTCOME, place
from core.house import House
from core.model import Actor, Attempt, Session
from core.reports.outcomes import outcome_json
from core.reports.speaking import TooOften, at_work, emit, one_line
from core.store import doors
from core.store.database import Tx

MOST_PROGRESS, PROGRESS_SPAN = 10, 10_000
"""So often is progress taken in so many milliseconds."""
LARGEST_ALL, MOST_VERSIONS = 512 << 20, 1000
"""Bytes and versions of artifacts that an agent may write to one task."""


def progress(tx: Tx, house: House, attempt: Attempt, text: str) -> None:
    """A word on how it goes: one line. Raises TooOften, Unclear or Over."""
    session, _ = at_work(tx, attempt)
    line = one_line(house.redact(text), 200)
    if not line:
        raise Unclear("Say in a line how it goes: the text is empty.")
    said = doors.asked_lately(tx, session.task_id, tx.now - PROGRESS_SPAN, 3 * MOST_PROGRESS)
    if said >= MOST_PROGRESS:
        raise TooOften(
            f"That is too often: {MOST_PROGRESS} reports of progress fit in "
            f"{PROGRESS_SPAN // 1000} seconds."
        )
    tx.run("UPDATE sessions SET last_activity_at = ? WHERE id = ?", (tx.now, session.id))
    emit(tx, session, "task.progress", line)


async def artifact(house: House, attempt: Attempt, name: str, data: bytes) -> int:
    """Keep it as a version by this agent, unless it is the newest already; returns the version.
    `outcome.json` is no artifact but the outcome (then 0). The step's folder holds it too: what
    a step must write is there. Raises Unclear, Refused, TooOften or Over."""
    write = house.store.write
    if check_name(name) == OUTCOME:
        return await write(partial(_outcome, house=house, attempt=attempt, data=data))
    if len(data) > LARGEST:
        raise Refused(f"{name} has more than {LARGEST >> 20} MB.")
    digest = await asyncio.to_thread(lambda: hashlib.sha256(data).hexdigest())
    known = partial(_known, attempt=attempt, name=name, digest=digest, size=len(data))
    session, version = await write(known)
    await asyncio.to_thread(place, house.session_folder(session.id), name, data)
    if version is not None:
        return version
    staged = await asyncio.to_thread(house.artifacts.stage, data)
    try:
        return await write(partial(_keep, house=house, attempt=attempt, name=name, staged=staged))
    finally:
        await asyncio.to_thread(staged.drop)


def _outcome(tx: Tx, house: House, attempt: Attempt, data: bytes) -> int:
    session, iteration = at_work(tx, attempt)
    outcome_json(tx, house, session, iteration, data)
    return 0


def _keep(tx: Tx, house: House, attempt: Attempt, name: str, staged: Staged) -> int:
    """No more than it takes: all others wait for the one writer meanwhile."""
    session, version = _known(tx, attempt, name, staged.sha256, staged.size)
    if version is not None:
        return version
    return house.artifacts.keep(tx, session.task_id, name, staged, _author(session))


def _known(
    tx: Tx, attempt: Attempt, name: str, digest: str, size: int
) -> tuple[Session, int | None]:
    """Whose it is, and the version that says the same already. Raises as `artifact`."""
    session, _ = at_work(tx, attempt)
    if name == RAW:
        raise Refused(f"{RAW} is the task as it was given: write under another name.")
    known = doors.newest(tx, session.task_id, name)
    if known is not None and known[1] == digest:
        return session, known[0]
    _check_room(doors.written(tx, session.task_id, name, _author(session).key), size)
    return session, None


def _check_room(so_far: doors.Written, size: int) -> None:
    """Raises Refused where an agent has written enough to one task."""
    if so_far.names >= MOST and not so_far.there:
        raise Refused(f"You have written {MOST} artifacts to this task: no more fit.")
    if so_far.versions >= MOST_VERSIONS:
        raise Refused(f"You have written {MOST_VERSIONS} versions to this task: no more fit.")
    if so_far.size + size > LARGEST_ALL:
        raise Refused(f"You have written {LARGEST_ALL >> 20} MB to this task: no more fit.")


def _author(session: Session) -> Actor:
    return Actor("agent", session.agent, session.agent)
