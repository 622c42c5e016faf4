"""Lists of tasks: cut down, page by page."""

from __future__ import annotations

from typing import Any

from core import cards, views
from core.commands import words
from core.commands.desk import Desk
from core.commands.grammar import Command
from core.commands.reply import Button, Reply, Table
from core.errors import Unclear
from core.model import TaskState, task_ref
from core.store import runs

_WORDS = {TaskState.IN_FLIGHT: "in work"}
_SWITCHES = ("unassigned",)


async def list_(desk: Desk, command: Command) -> Reply:
    """Tasks, ten at a time."""
    cut = _filter(command, desk.house.store.now())
    found = await desk.house.store.view(lambda db: views.list_tasks(db, cut))
    if not found.total:
        await _known(desk, command)
        return Reply(
            "No task fits."
            if command.options or command.words
            else "No task yet. Add one: /add TITLE"
        )
    if not found.items:
        pages = -(-found.total // cut.limit)
        raise Unclear(
            f"There are {cards.counted(found.total, 'such task')}, {cards.counted(pages, 'page')} "
            f"of {cut.limit}: nothing so far on. Say --page {pages}."
        )
    rows = tuple(
        (task_ref(row.id), _WORDS.get(row.state, row.state.value), row.title) for row in found.items
    )
    return Reply(
        shown(cards.counted(found.total, "task"), found),
        buttons=more(command, found, cut.limit),
        table=Table(("task", "state", "title"), rows),
    )


async def _known(desk: Desk, command: Command) -> None:
    """Raises Unclear where an option names what there isn't at all."""
    options, house = command.options, desk.house
    if "agent" in options:
        house.agent(options["agent"])
    if "repo" in options:
        house.repo(options["repo"])
    if run := options.get("run"):
        wanted = words.run_id(run)
        await house.store.write(lambda tx: runs.get(tx, wanted))
    if "lane" in options:
        lanes = await house.store.view(views.lanes)
        if options["lane"] not in lanes:
            there = f"There are: {', '.join(lanes[:8])}." if lanes else "No task has one."
            raise Unclear(f"No lane `{options['lane'][:40]}`. {there}")


def shown(first: str, found: views.Page[Any]) -> str:
    """`57 tasks · 11–20` where not all of them stand there."""
    if len(found.items) == found.total:
        return first
    if not found.items:
        return f"{first}, none of them on this page"
    return f"{first} · {found.offset + 1}–{found.offset + len(found.items)} of {found.total}"


def more(command: Command, found: views.Page[Any], size: int) -> tuple[Button, ...]:
    """A button for what comes after: the same command, further on."""
    if not found.more:
        return ()
    kept = [
        f"--{key}" if key in _SWITCHES else f"-n {value}" if key == "n" else f'--{key} "{value}"'
        for key, value in command.options.items()
        if key not in ("page", "offset")
    ]
    after = found.offset + len(found.items)
    on = f"--page {after // size + 1}" if after % size == 0 else f"--offset {after}"
    line = " ".join([command.name, *command.words, *kept, on])
    return (Button(f"{min(size, found.more)} more", line),)


def span(command: Command) -> tuple[int, int]:
    """How many, and after how many."""
    options = command.options
    size = words.number(options.get("n", "10"), "-n")
    page = words.number(options.get("page", "1"), "--page")
    passed = words.number(options.get("offset", "0"), "--offset", least=0, most=10_000_000)
    return size, (page - 1) * size + passed


def _filter(command: Command, now: int) -> views.Filter:
    options = command.options
    size, offset = span(command)
    run, wave = options.get("run"), options.get("wave")
    level = options.get("priority")
    return views.Filter(
        states=words.states(command.words),
        lane=options.get("lane"),
        agent=options.get("agent"),
        tag=options.get("tag"),
        skill=options.get("skill"),
        repo=options.get("repo"),
        category=options.get("category"),
        by=options.get("by"),
        run=words.run_id(run) if run else None,
        wave=words.number(wave, "--wave") if wave else None,
        text=options.get("text"),
        unassigned="unassigned" in options,
        priority=words.priority(level) if level else None,
        now=now,
        limit=size,
        offset=offset,
    )
