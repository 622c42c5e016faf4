"""What agents leave as artifacts: taken from a session's folder into the task's, versioned.

Whatever lies there is an agent's: names are allow-listed, no link is followed, nothing but
regular files is read, and not more than is allowed.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from itertools import islice
from pathlib import Path

from core.artifacts import RAW, check_name
from core.checks import ARTIFACT
from core.errors import Unclear
from core.handed import MISSING, MOST, OUTCOME, REFUSED, NotTaken, artifacts_folder, opened, read
from core.house import House
from core.model import Actor, Check, Session, SessionState, Severity, Step, Task, task_ref
from core.store import sessions
from core.store.database import Tx

_SEEN = 1000
"""Names that are looked at."""
_APART = """
SELECT DISTINCT name FROM artifacts
WHERE task_id = ? AND name GLOB 'repository-*' AND created_at >= ?
"""
_KNOWN = """
SELECT sha256 FROM artifacts WHERE task_id = ?1 AND name = ?2 AND version IN (
  SELECT max(version) FROM artifacts WHERE task_id = ?1 AND name = ?2 UNION ALL
  SELECT max(version) FROM artifacts WHERE task_id = ?1 AND name = ?2 AND author = ?3)
"""


async def take_in(house: House, session: Session, task: Task) -> None:
    """A version of whatever is new or has changed; what can't be taken is told, once. A second
    time nothing happens."""
    folder = house.session_folder(session.id)
    names, refused = await asyncio.to_thread(_names, folder)
    for name in names:
        try:
            data = await asyncio.to_thread(read, folder, name)
        except (NotTaken, OSError) as no:
            refused.append(f"{name} ({no})")
            continue
        if not await _is_new(house, session, task, name, data):
            continue
        if name == RAW:
            refused.append(f"{name} (that is the task as it was given)")
        else:
            await house.store.write(
                partial(_keep, house=house, session=session, name=name, data=data)
            )
    if refused:
        await house.store.write(lambda tx: tell(tx, house, session, refused))


async def written(house: House, session: Session, step: Step) -> list[Check]:
    """Whether the artifacts are there that the step must write."""
    folder = house.session_folder(session.id)
    names = dict.fromkeys(filter(None, (step.output, step.artifact)))
    return [await asyncio.to_thread(_is_written, folder, name) for name in names]


async def apart(house: House, session: Session) -> list[str]:
    """Repositories of their own that the carrier has brought, of this iteration: as artifacts."""
    iteration = await house.store.write(lambda tx: sessions.get_iteration(tx, session.id))
    found = await house.store.read(_APART, (session.task_id, iteration.started_at))
    return [row["name"] for row in found]


def _is_written(folder: Path, name: str) -> Check:
    said = ""
    try:
        with artifacts_folder(folder) as inner, opened(inner, name):
            pass
    except NotTaken as no:
        said = f"`{name}` is {no}: write it to the artifacts folder."
    return Check(f"{ARTIFACT}{name}", not said, said)


# -- reading -------------------------------------------------------------------------------


def _names(folder: Path) -> tuple[list[str], list[str]]:
    """The names that may be taken, and what may not, with the reason."""
    try:
        with artifacts_folder(folder) as inner, os.scandir(inner) as entries:
            found = sorted(entry.name for entry in islice(entries, _SEEN))
    except NotTaken as no:
        return [], [] if str(no) == MISSING else [f"the artifacts folder ({no})"]
    good = [name for name in found if name != OUTCOME and _is_good(name)]
    bad = [f"{_shown(name)} (no name for an artifact)" for name in found if not _is_good(name)]
    if len(good) > MOST:
        bad.append(f"all but {MOST} of the files")
    return good[:MOST], bad


def _is_good(name: str) -> bool:
    with suppress(Unclear):
        return bool(check_name(name))
    return False


def _shown(name: str) -> str:
    """A name on one line, whatever is in it."""
    plain = "".join(mark if mark.isprintable() else "\ufffd" for mark in name)
    return plain if len(plain) <= 60 else plain[:59] + "…"


# -- keeping -------------------------------------------------------------------------------


async def _is_new(house: House, session: Session, task: Task, name: str, data: bytes) -> bool:
    """Neither the newest version, nor what this agent wrote last: what a person has edited since
    is not taken back by the agent's file that still lies there."""
    known = await house.store.read(_KNOWN, (task.id, name, _author(session).key))
    return hashlib.sha256(data).hexdigest() not in {row["sha256"] for row in known}


def _author(session: Session) -> Actor:
    return Actor("agent", session.agent, session.agent)


def _keep(tx: Tx, house: House, session: Session, name: str, data: bytes) -> None:
    if sessions.get(tx, session.id).state is SessionState.SUSPENDED:
        house.artifacts.keep(tx, session.task_id, name, data, _author(session))


def tell(tx: Tx, house: House, session: Session, refused: Sequence[str]) -> None:
    """Once, however often the session is judged."""
    more = len(refused) - 5
    listed = ", ".join(refused[:5]) + (f" and {more} more" if more > 0 else "")
    text = house.redact(f"{task_ref(session.task_id)}: not taken as artifacts: {listed}")
    if tx.one(
        "SELECT 1 FROM events WHERE task_id = ? AND type = ? AND session_id = ? AND text = ?",
        (session.task_id, REFUSED, session.id, text),
    ):
        return
    sessions.tell(tx, session, REFUSED, text, Severity.WARNING)
