"""Commands for runs: many tasks at once, in waves."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from core import cards, queue, runs, views
from core.commands import amounts
from core.commands.desk import Act, Desk
from core.commands.grammar import Command, Form, Option, task_id
from core.commands.reply import Button, Reply, Table
from core.commands.words import money, number, run_id
from core.errors import Unclear
from core.model import Role, Run, RunState, TaskState, WaveState, task_ref
from core.planning import forecast
from core.store import clashes, run_rows
from core.store import runs as stored
from core.store.database import Tx

SHOWN = 8
"""Waves and tasks that a message names before it counts the rest."""
_TASK = re.compile(r"(?i)(?:task-?)?#?\d+")


# -- beginning one -----------------------------------------------------------------------------


async def go(desk: Desk, command: Command) -> Reply | Act:
    """Run a lane, a list of tasks, or all, in waves; with --dry only say how it would go."""
    wanted = _wanted(command)
    said = command.options.get("budget")
    budget = amounts.budget(said) if said is not None else (None, None)
    title = command.options.get("title")
    if "dry" in command.options:
        plan = await desk.house.store.write(lambda tx: runs.plan(tx, desk.house, wanted))
        return _preview(plan, command, title or plan.title)

    def act(tx: Tx) -> Reply:
        plan = runs.plan(tx, desk.house, wanted)
        run = runs.begin(tx, plan, desk.actor, title, budget)
        run_rows.follow(tx, run.id, desk.place.platform, desk.place.chat, desk.place.message)
        reply = _begun(tx, desk, run, plan, budget)
        if not queue.load(tx, desk.house.policy).paused:
            return reply
        waits = "The queue is paused: nothing begins before /resume."
        return replace(reply, lines=(*reply.lines, waits))

    return act


def _wanted(command: Command) -> runs.Wanted:
    """`12,13,14` (spaces too), or a lane's name (`--lane 12` too); `--all` stands alone."""
    parts = [part for word in command.words for part in word.split(",") if part]
    lane, every = command.options.get("lane"), "all" in command.options
    if bool(parts) + (lane is not None) + every > 1:
        raise Unclear("One of them: /go LANE, /go --lane LANE, /go 12,13,14 or /go --all.")
    if every or lane is not None:
        return runs.Wanted(lane=lane)
    if not parts:
        raise Unclear("Run what? /go LANE, /go 12,13,14 or /go --all; --dry shows it first.")
    if all(_TASK.fullmatch(part) for part in parts):
        return runs.Wanted(ids=tuple(dict.fromkeys(task_id(part) for part in parts)))
    return runs.Wanted(lane=" ".join(command.words))


def _begun(
    tx: Tx, desk: Desk, run: Run, plan: runs.Plan, budget: tuple[int | None, float | None]
) -> Reply:
    """A live message follows, with the buttons, where messages can be edited."""
    size = runs.size_words(plan.total, len(plan.waves))
    lines = [*_left_out(plan), *_clashes(plan, "waits for", 2)]
    if any(budget):
        lines.append(f"Budget: {money(*budget)}.")
    if plan.forecast is None:
        lines.append(_estimate(plan))
    found = plan.forecast
    about = f" · {forecast.span(found.low, found.high)}" if found is not None else ""
    return Reply(
        f"{run.ref} · {run.title} · {size}{about}",
        tuple(lines),
        buttons=cards.run_buttons(tx, run) if desk.place.platform == "console" else (),
    )


def _preview(plan: runs.Plan, command: Command, title: str) -> Reply:
    """What would happen, wave by wave; nothing has."""
    lines = [f"Wave {n}: {_named(wave)}" for n, wave in enumerate(plan.waves[:SHOWN], 1)]
    if len(plan.waves) > SHOWN:
        last = len(plan.waves)
        lines.append(f"… and so on, to wave {last}: {_named(plan.waves[-1])}")
    lines += [*_clashes(plan, "after", SHOWN), *_left_out(plan), _estimate(plan)]
    rest = [f'--{key} "{value}"' for key, value in command.options.items() if key in _KEPT]
    begin = " ".join(
        ["go", *command.words, *(["--all"] if "all" in command.options else []), *rest]
    )
    return Reply(
        f"{title}: {runs.size_words(plan.total, len(plan.waves))}. Nothing has begun.",
        tuple(lines),
        buttons=(Button("Begin", begin, "primary"),),
    )


_KEPT = ("lane", "title", "budget")


def _named(wave: Sequence[int], shown: int = SHOWN) -> str:
    """`TASK-003, TASK-004 (+8)`."""
    names = ", ".join(task_ref(task) for task in wave[:shown])
    return names + (f" (+{len(wave) - shown})" if len(wave) > shown else "")


def _clashes(plan: runs.Plan, verb: str, shown: int) -> list[str]:
    lines = [
        clashes.words(task, clash, verb) + (" (learnt)" if {task, clash.by} & plan.learnt else "")
        for task, clash in list(plan.clashes.items())[:shown]
    ]
    more = len(plan.clashes) - shown
    return [*lines, f"{more} more wait for files."] if more > 0 else lines


def _left_out(plan: runs.Plan) -> list[str]:
    more = len(plan.left_out) - 3
    return [*plan.left_out[:3], *([f"{more} more are left out."] if more > 0 else [])]


def _estimate(plan: runs.Plan) -> str:
    words = forecast.words(plan.forecast)
    return f"{words[0].upper()}{words[1:]}."


# -- looking -----------------------------------------------------------------------------------


async def list_(desk: Desk, command: Command) -> Reply:
    """Runs, the open ones first."""
    size = number(command.options.get("n", "10"), "-n")
    page = number(command.options.get("page", "1"), "--page")
    slots = await desk.house.store.write(lambda tx: runs.slots(tx, desk.house))
    offset = (page - 1) * size
    found = await desk.house.store.view(lambda db: views.runs(db, size, offset, slots))
    if not found.items:
        return Reply("No run yet. Begin one: /go LANE, /go 12,13,14 or /go --all")
    rows = tuple(
        (row.run.ref, row.run.state.value, f"{row.run.done}/{row.run.total}", row.run.title)
        for row in found.items
    )
    buttons = tuple(Button(f"Show {row.run.ref}", f"run {row.run.id}") for row in found.items[:2])
    more = (Button(f"{found.more} more", f"runs -n {size} --page {page + 1}"),)
    return Reply(
        cards.counted(found.total, "run"),
        table=Table(("run", "state", "done", "what"), rows),
        buttons=(*buttons, *(more if found.more else ())),
    )


async def show(desk: Desk, command: Command) -> Reply:
    """One run: its waves, what holds it, its longest chain, and how long it may take."""
    wanted = _run_id(command)
    run = await desk.house.store.write(lambda tx: stored.get(tx, wanted))
    slots, holds, progress, buttons = await desk.house.store.write(
        lambda tx: (
            (slots := runs.slots(tx, desk.house)),
            cards.holds(tx, run),
            cards.progress(tx, run, slots),
            cards.run_buttons(tx, run),
        )
    )
    page = await desk.house.store.view(lambda db: views.run_page(db, wanted, slots))
    if page is None:
        raise Unclear(f"No run {wanted}. /runs lists them.")
    lines = [progress, *holds, *_waves(page)]
    if len(page.critical) > 1:
        left = " left" if run.ended_at is None else ""
        lines.append(f"Longest chain{left}: {_chain(page.critical)}")
    if run.state is RunState.RUNNING:
        words = forecast.words(page.forecast)
        lines.append(f"{words[0].upper()}{words[1:]}.")
    return Reply(
        f"{run.ref} · {run.title} · {run.state.value}",
        tuple(lines),
        buttons=tuple(button for button in buttons if button.label != "Show"),
    )


def _waves(page: views.RunPage) -> list[str]:
    """Those around the one under way; the rest is counted."""
    first = max(0, min(page.run.wave - 2, len(page.waves) - SHOWN))
    shown = page.waves[first : first + SHOWN]
    before = [f"{cards.counted(first, 'wave')} before that"] if first else []
    after = len(page.waves) - first - len(shown)
    return [*before, *map(_wave, shown), *([f"{after} more to come"] if after else [])]


def _wave(part: views.WavePart) -> str:
    """`Wave 3 (running): 2 of 8 over · in work TASK-012, TASK-013 · held TASK-014`."""
    wave = part.wave
    words = [
        f"Wave {wave.number} ({wave.state.value}): {wave.total - wave.open} of {wave.total} over"
    ]
    if wave.state is WaveState.PENDING:
        return f"Wave {wave.number}: {_named([task.id for task in part.tasks], 4)}"
    groups: dict[str, list[int]] = {}
    for task in part.tasks:
        name = _standing(task)
        if name:
            groups.setdefault(name, []).append(task.id)
    words += [f"{name} {_named(ids, 4)}" for name, ids in groups.items()]
    return " · ".join(words)


def _standing(task: views.RunTask) -> str:
    if task.held == "collision":
        return "waits for files"
    if task.outcome in ("failed", "cancelled", "returned"):
        return task.outcome
    if task.state in (TaskState.PLANNING, TaskState.IN_FLIGHT):
        return "in work"
    if task.state is TaskState.READY:
        return {None: "next", "aside": "put aside"}.get(task.held, "")
    return {
        TaskState.REVIEW: "for you",
        TaskState.BLOCKED: "blocked",
        TaskState.INBOX: "in the inbox",
    }.get(task.state, "")


def _chain(tasks: Sequence[int]) -> str:
    names = [task_ref(task) for task in tasks]
    if len(names) > SHOWN:
        names = [*names[:4], f"{len(names) - 6} more", *names[-2:]]
    return " → ".join(names)


# -- ending one --------------------------------------------------------------------------------


async def stop(desk: Desk, command: Command) -> Reply | Act:
    """End a run; asks once. What runs finishes, what never began goes back to the inbox."""
    wanted = _run_id(command)
    if command.words[1:] != ("yes",):
        run = await desk.house.store.write(lambda tx: stored.open_run(tx, wanted))
        return Reply(
            f"Stop {run.ref}, {run.title}? {run.done} of {run.total} are done. What runs "
            "finishes; what has not begun goes back to the inbox.",
            buttons=(Button(f"Stop {run.ref}", f"stop {run.id} yes", "danger"),),
        )

    def act(tx: Tx) -> Reply:
        run = runs.stop(tx, stored.open_run(tx, wanted), desk.actor)
        returned = tx.value(
            "SELECT count(*) FROM run_tasks WHERE run_id = ? AND outcome = 'returned'", (run.id,)
        )
        back = f" {cards.counted(returned, 'task')} went back to the inbox." if returned else ""
        again = (Button("Go again", f'go --lane "{run.lane}"'),) if run.lane and returned else ()
        return Reply(f"{run.ref} is stopped.{back}", buttons=again)

    return act


def _run_id(command: Command) -> int:
    if not command.words:
        raise Unclear(f"Which run? /{command.name} 7; /runs lists them.")
    return run_id(command.words[0])


_GO = (
    Option("all", value=False, help="every open task"),
    Option("lane", help="a lane's name, where it looks like a task's number"),
    Option("dry", value=False, help="only show how it would go"),
    Option("budget", help="what it may cost: 5usd, 200k, or both"),
    Option("title", help="what to call it"),
)
_PAGE = (Option("n", short="n", help="how many"), Option("page", help="which of them: 2"))
_O = Role.OPERATOR

TABLE: list[tuple[Form, object]] = [
    (
        Form(
            "go",
            "/go LANE or 12,13,14 or --all [--dry]",
            _O,
            "run tasks in waves; what is added to the lane later doesn't join",
            _GO,
            group="work",
        ),
        go,
    ),
    (Form("runs", "/runs", Role.VIEWER, "the runs, open ones first", _PAGE), list_),
    (Form("run", "/run 7", Role.VIEWER, "one run: its waves, and what holds it", words=1), show),
    (
        Form("stop", "/stop RUN-7 (asks once)", _O, "end a run", group="work", words=1, asks=True),
        stop,
    ),
]
