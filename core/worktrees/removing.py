"""Removing a worktree, once that loses nothing; or because somebody gives up what is in it.

First it is proven, inside a sandbox, that nothing is unsaved. Then the row says `cleaning`, and
nobody begins in it any more. Whatever dies after that, the next tick goes on.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from core.checks import inside
from core.errors import Broken, BullpenError, Refused
from core.git import guarded
from core.house import BOXED, House
from core.killpoints import kill_point
from core.model import Event, Repo, Session, SessionState, Severity, WorktreeState
from core.places import OPEN
from core.ports import Order, Ran
from core.sessions.surroundings import PASSED, borrowed_objects
from core.store import rows as nouns
from core.store import sessions, tasks
from core.store import worktrees as rows
from core.store.database import Tx
from core.tidying import tidy
from core.views import WorktreeRow
from core.worktrees import inspection_script, read_inspection, remove_workspace, would_lose
from core.worktrees.folder import delete
from core.worktrees.listing import check_enabled, locate, read, root_of
from core.worktrees.making import make, tell

PATIENCE = 60.0
"""Seconds that a look into a worktree may take."""


@dataclass(frozen=True, slots=True)
class Removal:
    """What may be removed, as it was when that was found out."""

    row: WorktreeRow
    repo: Repo
    drop_branch: bool


async def remove(
    house: House, path: str, *, force: bool = False, delete_branch: bool = False
) -> str:
    """Remove it and wait until it is gone; returns its path. Raises as `look` and `order` do,
    Broken where its files can't be deleted."""
    removal = await look(house, path, force=force, delete_branch=delete_branch)
    await house.store.write(order(removal))
    if removal.row.number:
        await finish(house, removal.row.number)
    else:
        await tidy(house, removal.row.session_id or "")
    return removal.row.path


async def look(
    house: House, path: str, *, force: bool = False, delete_branch: bool = False
) -> Removal:
    """Whether it may go. Raises Unclear, NoRepository, and Refused, with the reason in one line,
    for the user's own checkout, for one in use (`force` or not), for unsaved work, and for a
    branch that isn't merged."""
    check_enabled(house)
    info = await read(house, path)
    if info.is_main:
        raise Refused(f"{info.path} is your own checkout: Bullpen only looks at it.")
    row = await locate(house, path)
    repo = house.repo(row.repo)
    await house.store.write(lambda tx: check_free(tx, row))
    if delete_branch:
        await house.store.write(lambda tx: _check_alone(tx, row, repo))
    if not force:
        why = await _obstacle(house, row, repo)
        if why is None and delete_branch and not await _is_merged(house, row, repo):
            why = f"its branch {row.branch} is not merged"
        if why is not None:
            words = why
            await house.store.write(lambda tx: _note(tx, row, words))
            raise Refused(f"{row.path} is kept: {why}. --force gives that up.")
    return Removal(row, repo, delete_branch)


def order(removal: Removal) -> Callable[[Tx], None]:
    """The act that gives it up; `finish`, or the next tick, does it. Raises Refused where
    somebody has begun in it meanwhile."""

    def act(tx: Tx) -> None:
        row, drop = removal.row, int(removal.drop_branch)
        check_free(tx, row)
        if removal.drop_branch:
            _check_alone(tx, row, removal.repo)
        if row.number:
            worktree = rows.get(tx, row.number)
            rows.move(tx, worktree, WorktreeState.CLEANING, kept=None, drop_branch=drop)
            words = f"The worktree {worktree.path} is being removed"
            tell(tx, worktree, "worktree.given_up", words)
            return
        session = sessions.get(tx, row.session_id or "")
        sessions.set_worktree(tx, session, WorktreeState.CLEANING)
        tx.run("UPDATE sessions SET kept = NULL, drop_branch = ? WHERE id = ?", (drop, session.id))
        words = f"The workspace of {session.id} is being removed"
        tx.emit(
            Event(
                "worktree.given_up",
                words,
                Severity.DEBUG,
                task_id=session.task_id,
                session_id=session.id,
            )
        )

    return act


async def settle(house: House, number: int) -> None:
    """What was begun with it is brought to its end: after a crash, or just now. Nothing is
    raised: an event tells what failed."""
    with suppress(BullpenError):
        await make(house, number)
    with suppress(BullpenError):
        await finish(house, number)


async def finish(house: House, number: int) -> None:
    """Its branch where that was asked for, then its files. Raises Broken where they can't be
    deleted: then it is archived. A second time nothing happens."""
    worktree = await house.store.write(lambda tx: rows.get(tx, number))
    async with guarded(Path(worktree.path)):
        await _finish(house, number)


async def _finish(house: House, number: int) -> None:
    worktree = await house.store.write(lambda tx: rows.get(tx, number))
    if worktree.state is not WorktreeState.CLEANING:
        return
    try:
        if worktree.drop_branch:
            await house.repositories.drop(house.repo(worktree.repo), worktree.branch)
        await remove_workspace(Path(worktree.path))
    except BullpenError as error:
        why = str(error)
        await house.store.write(lambda tx: _archived(tx, number, why))
        raise
    kill_point("after-removal")
    await house.store.write(lambda tx: _gone(tx, number))


def _gone(tx: Tx, number: int) -> None:
    worktree = rows.get(tx, number)
    if worktree.state is WorktreeState.CLEANING:
        worktree = rows.move(tx, worktree, WorktreeState.GONE)
        tell(tx, worktree, "worktree.removed", f"The worktree {worktree.path} is gone")


def _archived(tx: Tx, number: int, why: str) -> None:
    worktree = rows.get(tx, number)
    if worktree.state is WorktreeState.CLEANING:
        worktree = rows.move(tx, worktree, WorktreeState.ARCHIVED, kept=why)
        words = f"The worktree {worktree.path} can't be removed: {why}"
        tell(tx, worktree, "worktree.kept", words, Severity.WARNING)


# -- may it go? ----------------------------------------------------------------------------


def check_free(tx: Tx, row: WorktreeRow) -> None:
    state, user = _now(tx, row)
    if user is not None:
        doing = "rests" if user.state is SessionState.SUSPENDED else "works"
        raise Refused(f"{user.id} {doing} in {row.path}: /kill {user.id} first.")
    if state is WorktreeState.CREATING:
        raise Refused(f"{row.path} is just being made: try again in a bit.")
    if state in (WorktreeState.CLEANING, WorktreeState.GONE):
        raise Refused(f"{row.path} is being removed already.")


def _now(tx: Tx, row: WorktreeRow) -> tuple[WorktreeState, Session | None]:
    if row.number:
        worktree = rows.get(tx, row.number)
        return worktree.state, rows.borrower(tx, worktree)
    session = sessions.get(tx, row.session_id or "")
    over = session.state is SessionState.TERMINATED
    return session.worktree_state, None if over else session


def _check_alone(tx: Tx, row: WorktreeRow, repo: Repo) -> None:
    """A branch goes only when nobody else is on it, and no task still needs it."""
    own = f"the workspace of {row.session_id}" if not row.number else row.path
    for branch, where in rows.on_branches(tx, repo.name):
        if branch == row.branch and where != own:
            raise Refused(f"The branch {branch} stays: {where} is on it. Leave --delete-branch.")


async def _is_merged(house: House, row: WorktreeRow, repo: Repo) -> bool:
    await house.repositories.sync(repo)
    return await house.repositories.is_merged(repo, row.branch)


async def _obstacle(house: House, row: WorktreeRow, repo: Repo) -> str | None:
    """What would be lost with it, as its own sandbox says: the bot looks into none of them."""
    if not os.path.lexists(row.path):
        return None
    try:
        ran = await look_inside(house, row)
    except BullpenError as error:
        return str(error).rstrip(".")
    seen = read_inspection(ran.output)
    if ran.end.status != 0:  # what git complains of isn't anybody's work
        return "it can't be looked into"
    saved = seen.head if await house.repositories.holds(repo, seen.head) else ""
    base = await house.store.write(lambda tx: _base(tx, row))
    return await would_lose(house.repositories.path(repo), base, seen, saved, house.redact)


def _base(tx: Tx, row: WorktreeRow) -> str | None:
    if row.number:
        return rows.get(tx, row.number).base
    return tasks.get(tx, row.task_id).base_commit if row.task_id else None


async def look_inside(house: House, row: WorktreeRow) -> Ran:
    session = await house.store.write(lambda tx: _last_user(tx, row))
    if session is not None:
        return await inside(house, session, inspection_script())
    return await _look_alone(house, row)


def _last_user(tx: Tx, row: WorktreeRow) -> Session | None:
    """Whose sandbox it is: whatever lies in there, it was written from there."""
    if not row.number:
        return sessions.get(tx, row.session_id or "")
    found = tx.one(
        "SELECT * FROM sessions INDEXED BY sessions_borrowing WHERE borrowed IS NOT NULL "
        "AND borrowed = ? ORDER BY created_at DESC LIMIT 1",
        (row.number,),
    )
    return None if found is None else nouns.session(found)


async def _look_alone(house: House, row: WorktreeRow) -> Ran:
    """Nobody has worked in it yet but people."""
    name = _sandbox(house, row)
    checks = root_of(house) / ".checks" / str(row.number)
    folder = checks / secrets.token_hex(6)
    home = folder / "home"
    home.mkdir(parents=True, mode=0o700)
    env = {name: os.environ[name] for name in PASSED if name in os.environ}
    env |= {"HOME": str(home), "GIT_CEILING_DIRECTORIES": str(root_of(house))}
    order = Order(
        session_id=f"worktree-{row.number}",
        number=0,
        workspace=Path(row.path),
        folder=folder / "attempt",
        argv=inspection_script(),
        env=env,
        log_cap=1 << 20,
        output_limit=8 << 20,
        wall_time=PATIENCE,
        grace=1.0,
        writable=(home,),
        readable=borrowed_objects(house, row.repo),
        network="on" if name == OPEN else "off",
    )
    try:
        return await house.sandboxes[name].run(order)
    finally:
        with suppress(OSError):  # others may be looked into at the same time
            delete(checks)
            checks.parent.rmdir()


def _sandbox(house: House, row: WorktreeRow) -> str:
    agent = house.agents.get(row.agent or "")
    names = [agent.sandbox] if agent else []
    for name in (*names, "bubblewrap", "host"):
        sandbox = house.sandboxes.get(name)
        container = agent.container if agent else {}
        if name in BOXED:  # an image is for its agents
            continue
        if sandbox is not None and sandbox.missing(container) is None:
            return name
    raise Broken("no sandbox works here in which it could be looked into")


def _note(tx: Tx, row: WorktreeRow, why: str) -> None:
    """It is listed with the reason; one of a session's own is looked at again when its task is
    done."""
    if row.number:
        tx.run("UPDATE worktrees SET kept = ? WHERE id = ?", (why, row.number))
