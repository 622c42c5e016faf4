"""Making a worktree by hand: what it is called and where it begins; then, the clone itself.

The row comes first, in `creating`, and says all that is needed: whatever dies after that, the
next tick goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from core.errors import BullpenError, Refused, Unclear
from core.git import guarded
from core.house import House
from core.killpoints import kill_point
from core.model import Actor, Event, Repo, Severity, Task, Worktree, WorktreeState
from core.store import tasks
from core.store import worktrees as rows
from core.store.database import Tx
from core.worktrees.listing import Info, check_enabled, read, root_of
from core.worktrees.naming import OWN, branch_of, check_branch, check_path, folder_of


@dataclass(frozen=True, slots=True)
class Wanted:
    """What somebody asked for; what isn't said follows from the rest. `title`: words that name
    branch and folder instead of the task's title. `base`: the branch it begins at."""

    agent: str
    task: int | None = None
    title: str | None = None
    branch: str | None = None
    path: str | None = None
    base: str | None = None
    repo: str | None = None


@dataclass(frozen=True, slots=True)
class Made:
    """`branch_created`: the branch is new; else it was there and is gone on with."""

    worktree: Info
    branch: str
    path: str
    branch_created: bool


@dataclass(frozen=True, slots=True)
class Planned:
    """What is going to be made, checked as far as it can be before."""

    wanted: Wanted
    repo: Repo
    branch: str
    path: Path
    base: str
    branch_created: bool


async def create(house: House, wanted: Wanted, actor: Actor) -> Made:
    """Make it and wait until it is there. Raises as `plan` does, Refused where the path or the
    branch is taken, Broken where it can't be made."""
    planned = await plan(house, wanted)
    worktree = await house.store.write(order(planned, actor))
    if not await make(house, worktree.id):
        raise Refused(f"The worktree {planned.path} was called off.")
    info = await read(house, str(planned.path))
    return Made(info, planned.branch, str(planned.path), planned.branch_created)


async def plan(house: House, wanted: Wanted) -> Planned:
    """Names and beginning. Raises NoRepository, Unclear for what can't be meant, Refused for
    what is taken on disk, Broken where the source can't be reached."""
    check_enabled(house)
    house.agent(wanted.agent)
    task = await _task(house, wanted)
    repo = house.repo(wanted.repo or (task.repo if task else None))
    ref, title = (task.ref if task else None), wanted.title or (task.title if task else "")
    branch = check_branch(wanted.branch) if wanted.branch else branch_of(wanted.agent, ref, title)
    start = await house.repositories.sync(repo)  # by which the default branch is known, too
    _check_not_kept(house, repo, branch)
    name = wanted.path or folder_of(wanted.agent, ref, title, branch)
    path = check_path(root_of(house), name)
    if path.exists() or path.is_symlink():
        raise Refused(f"There is something at {path} already: say another --path.")
    base, there = await _beginning(house, repo, branch, wanted.base, start)
    return Planned(wanted, repo, branch, path, base, not there)


def order(planned: Planned, actor: Actor) -> Callable[[Tx], Worktree]:
    """The act that orders it; `make`, or the next tick, does it. Raises Refused."""

    def act(tx: Tx) -> Worktree:
        worktree = rows.add(
            tx,
            path=str(planned.path),
            repo=planned.repo.name,
            branch=planned.branch,
            base=planned.base,
            agent=planned.wanted.agent,
            task_id=planned.wanted.task,
            created_by=actor.key,
        )
        tell(tx, worktree, "worktree.ordered", f"A worktree {worktree.path} is being made")
        return worktree

    return act


async def make(house: House, number: int) -> bool:
    """The clone itself; False where nobody waits for it any more. Raises Broken, and then it is
    called off. Doing it again after a crash finishes it."""
    worktree = await house.store.write(lambda tx: rows.get(tx, number))
    async with guarded(Path(worktree.path)):
        return await _make(house, number)


async def _make(house: House, number: int) -> bool:
    worktree = await house.store.write(lambda tx: rows.get(tx, number))
    if worktree.state is not WorktreeState.CREATING:
        return worktree.state is WorktreeState.ACTIVE
    try:
        repo = house.repo(worktree.repo)
        await house.repositories.make_workspace(
            repo, worktree.branch, Path(worktree.path), worktree.base
        )
    except BullpenError as error:
        why = str(error)
        await house.store.write(lambda tx: _called_off(tx, number, why))
        raise
    kill_point("after-workspace")
    await house.store.write(lambda tx: _there(tx, number))
    return True


def tell(
    tx: Tx, worktree: Worktree, kind: str, words: str, severity: Severity = Severity.DEBUG
) -> None:
    tx.emit(Event(kind, words, severity, task_id=worktree.task_id, agent=worktree.agent))


def _there(tx: Tx, number: int) -> None:
    worktree = rows.get(tx, number)
    if worktree.state is WorktreeState.CREATING:
        worktree = rows.move(tx, worktree, WorktreeState.ACTIVE)
        tell(tx, worktree, "worktree.created", f"The worktree {worktree.path} is there")


def _called_off(tx: Tx, number: int, why: str) -> None:
    worktree = rows.get(tx, number)
    if worktree.state is WorktreeState.CREATING:
        worktree = rows.move(tx, worktree, WorktreeState.CLEANING, kept=why)
        words = f"The worktree {worktree.path} can't be made: {why}"
        tell(tx, worktree, "worktree.failed", words, Severity.WARNING)


async def _task(house: House, wanted: Wanted) -> Task | None:
    number = wanted.task
    if number is None:
        return None
    return await house.store.write(lambda tx: tasks.get(tx, number))


def _check_not_kept(house: House, repo: Repo, branch: str) -> None:
    default = house.repositories.default_branch(repo)
    if branch == default:
        raise Refused(f"`{branch}` is the branch that work is merged into: take another.")
    if branch.startswith(f"{default}/") or default.startswith(f"{branch}/"):
        raise Refused(f"A branch `{branch}` can't stand beside `{default}`: take another.")
    if branch.startswith(OWN) or branch == OWN.rstrip("/"):
        raise Unclear(f"Branches below `{OWN}` are those of tasks: take another name.")


async def _beginning(
    house: House, repo: Repo, branch: str, base: str | None, start: str
) -> tuple[str, bool]:
    """The commit that it begins at, and whether the branch is there already."""
    found = await house.repositories.find(repo, branch)
    if found is not None:
        if base is not None:
            raise Refused(f"The branch `{branch}` is there already: leave --base away.")
        return found[0], True
    await _check_room(house, repo, branch)
    if base is None or base == house.repositories.default_branch(repo):
        return start, False
    begun = await house.repositories.find(repo, check_branch(base))
    if begun is None:
        raise Unclear(f"No branch `{base[:80]}` in {repo.name} to begin at.")
    return begun[0], False


async def _check_room(house: House, repo: Repo, branch: str) -> None:
    """Git keeps branches as files: one can't be another's folder."""
    for there in await house.repositories.branches(repo):
        if there.startswith(f"{branch}/") or branch.startswith(f"{there}/"):
            raise Refused(f"A branch `{branch}` can't stand beside `{there}`: take another.")
