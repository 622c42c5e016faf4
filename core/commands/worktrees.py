"""Commands about worktrees: look at them, make one by hand, remove one."""

from __future__ import annotations

import os

from core import cards
from core.commands import words
from core.commands.desk import Act, Desk
from core.commands.grammar import Command, Form, Option, task_id
from core.commands.lists import more, shown, span
from core.commands.options import PAGE
from core.commands.reply import Button, Reply, Table
from core.errors import Refused, Unclear
from core.model import Role, WorktreeState, task_ref
from core.store import tasks
from core.store.database import Tx
from core.worktrees import listing, making, removing
from core.worktrees.listing import Info

_USAGE = "/worktree PATH, /worktree new --agent NAME --task 42, or /worktree remove PATH"
_NEW = ("agent", "task", "title", "branch", "path", "base", "repo")
_REMOVE = ("force", "delete-branch")


async def worktrees(desk: Desk, command: Command) -> Reply:
    """All that there are, ten at a time."""
    size, offset = span(command)
    found = await listing.list_all(desk.house, size, offset)
    rows = tuple((one.relative_path, one.branch, _state(one), _whose(one)) for one in found.items)
    return Reply(
        shown(cards.counted(found.total, "worktree"), found),
        table=Table(("path", "branch", "state", "whose"), rows) if rows else None,
        buttons=more(command, found, size),
    )


async def worktree(desk: Desk, command: Command) -> Reply | Act:
    """One of them; or a new one, or one less (operator)."""
    if not command.words:
        raise Unclear(f"Which? {_USAGE}; /worktrees lists them.")
    verb, *rest = command.words
    if verb not in ("new", "remove"):
        _only(command, ())
        if rest:
            raise Unclear(f"One path. {_USAGE}")
        return await _show(desk, verb)
    if desk.role < Role.OPERATOR:
        raise Refused(
            f"/worktree {verb} is for people with the role operator; "
            f"yours is {desk.role.name.lower()}."
        )
    if verb == "new":
        return await _new(desk, command, rest)
    return await _remove(desk, command, rest)


# -- look ----------------------------------------------------------------------------------


async def _show(desk: Desk, path: str) -> Reply:
    one = await listing.read(desk.house, path)
    now, zone = desk.house.store.now(), desk.house.policy.timezone
    fields = [
        ("branch", one.branch),
        ("at", one.head[:12]),
        ("state", _state(one)),
        ("its folder", "" if _is_there(one) else "is gone: /worktree remove takes it off the list"),
        ("repo", one.repo),
        ("agent", one.agent or ""),
        ("task", task_ref(one.task) if one.task else ""),
        ("session", one.session or ""),
        ("made", words.clock(one.created, now, zone) if one.created else ""),
        ("kept", one.kept or ""),
        ("in full", one.path),
    ]
    removable = not one.is_main and one.session is None
    return Reply(
        one.relative_path,
        fields=tuple((name, value) for name, value in fields if value),
        buttons=(Button("Remove", f"worktree remove {one.relative_path}", "danger"),)
        if removable
        else (),
    )


def _state(one: Info) -> str:
    if one.is_main:
        return "your checkout"
    return one.state.value + ("" if _is_there(one) else ", its folder is gone")


def _is_there(one: Info) -> bool:
    """Whether one that somebody asked for has its folder still: a person may have deleted it."""
    return not (one.by_hand and one.state is WorktreeState.ACTIVE) or os.path.isdir(one.path)


def _whose(one: Info) -> str:
    return " · ".join(filter(None, (task_ref(one.task) if one.task else "", one.agent or "")))


# -- make and remove -----------------------------------------------------------------------


async def _new(desk: Desk, command: Command, rest: list[str]) -> Act:
    _only(command, _NEW)
    if rest:
        raise Unclear(f"What is `{rest[0][:40]}`? Say --branch NAME, --path NAME or --title WORDS.")
    planned = await making.plan(desk.house, await _wanted(desk, command))
    order = making.order(planned, desk.actor)

    def act(tx: Tx) -> Reply:
        made = order(tx)
        path = f"worktrees/{planned.path.name}"
        kind = "a new branch" if planned.branch_created else "a branch that was there"
        return Reply(
            f"{path} is being made on {made.branch}, {kind}.",
            (f"It begins at {made.base[:12]}. In full: {made.path}",),
            buttons=(Button("Show it", f"worktree {path}"),),
        )

    return act


async def _wanted(desk: Desk, command: Command) -> making.Wanted:
    said = dict(command.options)
    number = task_id(said["task"]) if "task" in said else None
    agent = said.get("agent")
    if agent is None and number is not None:
        wanted = number
        agent = (await desk.house.store.write(lambda tx: tasks.get(tx, wanted))).assignee
    if agent is None:
        names = ", ".join(sorted(desk.house.agents)[:8])
        raise Unclear(f"For which agent? Say --agent NAME. There are: {names}.")
    return making.Wanted(
        agent,
        number,
        title=said.get("title"),
        branch=said.get("branch"),
        path=said.get("path"),
        base=said.get("base"),
        repo=said.get("repo"),
    )


async def _remove(desk: Desk, command: Command, rest: list[str]) -> Act:
    _only(command, _REMOVE)
    if len(rest) != 1:
        raise Unclear("Which one? /worktree remove PATH; /worktrees lists them.")
    drop = "delete-branch" in command.options
    removal = await removing.look(
        desk.house, rest[0], force="force" in command.options, delete_branch=drop
    )
    order = removing.order(removal)

    def act(tx: Tx) -> Reply:
        order(tx)
        words = f"{removal.row.path} is removed"
        branch = removal.row.branch
        stays = f"Its branch {branch} stays." if branch and not drop else ""
        lines = (stays, *_waiting_for(tx, removal.row.number))
        return Reply(
            f"{words}, and its branch {branch}." if drop else f"{words}.",
            tuple(filter(None, lines)),
        )

    return act


def _waiting_for(tx: Tx, number: int) -> tuple[str, ...]:
    """A word for each task that was to be done in it."""
    found = tx.all(
        "SELECT id FROM tasks WHERE borrows = ? AND ended_at IS NULL ORDER BY id LIMIT 5", (number,)
    )
    return tuple(
        f"{task_ref(row['id'])} was to be done in it: /cancel {row['id']} ends it." for row in found
    )


def _only(command: Command, known: tuple[str, ...]) -> None:
    """An option of another use of this verb is not passed over in silence."""
    for name in command.options:
        if name not in known:
            verb = " ".join(("/worktree", *command.words[:1]))
            raise Unclear(f"{verb} has no option --{name}. Say {_USAGE}")


TABLE: list[tuple[Form, object]] = [
    (
        Form("worktrees", "/worktrees [--page 2]", Role.VIEWER, "where agents work", PAGE, words=0),
        worktrees,
    ),
    (
        Form(
            "worktree",
            _USAGE,
            Role.VIEWER,
            "one worktree; a new one, or one less",
            (
                Option("agent", help="whose it is: an agent's name"),
                Option("task", help="what it is for: 42"),
                Option("title", help="words that name branch and folder"),
                Option("branch", help="a branch's name of your own"),
                Option("path", help="a folder's name, below worktrees/ of the data folder"),
                Option("base", help="the branch that it begins at"),
                Option("repo", help="a repository's name"),
                Option("force", value=False, help="give up what is not committed or taken in"),
                Option("delete-branch", value=False, help="its branch goes with it"),
            ),
            words=2,
        ),
        worktree,
    ),
]
