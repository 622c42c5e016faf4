"""A run's live message, and the messages of its waves, its pauses and its end."""

from __future__ import annotations

from core.cards.words import PROGRESS, TOLD, counted, duration
from core.commands.reply import Button, Reply
from core.model import Event, Run, RunState, Task, TaskState, task_ref
from core.planning.forecast import span
from core.store import clashes, rows, run_facts, runs, tasks
from core.store.database import Tx

MARKS = {
    RunState.PLANNED: "🕒",
    RunState.RUNNING: "🚦",
    RunState.PAUSED: "⏸",
    RunState.COMPLETED: "🏁",
    RunState.FAILED: "❌",
    RunState.CANCELLED: "🚫",
}
SHOWN = 4
"""How many tasks a line names before it counts the rest."""


def run_key(run_id: int) -> str:
    return f"run:{run_id}"


def run_card(tx: Tx, run: Run, slots: int) -> Reply:
    """The message that is edited in place while the run goes on. `slots`: how many tasks go at
    once. Progress is no news where it can't be edited: waves, failures and the end are told."""
    return Reply(
        title=f"{MARKS[run.state]} {run.ref} · {run.title} · {_where(run)}",
        lines=tuple(line for line in (progress(tx, run, slots), *holds(tx, run)) if line),
        buttons=run_buttons(tx, run),
        key=run_key(run.id),
        silent=True,
        extra=TOLD if run.ended_at is not None else PROGRESS if run.done or run.failed else {},
    )


def _where(run: Run) -> str:
    if run.state is RunState.RUNNING:
        return f"wave {run.wave} of {run.waves}"
    if run.state is RunState.PAUSED:
        return f"paused in wave {run.wave} of {run.waves}"
    return {RunState.CANCELLED: "stopped", RunState.COMPLETED: "done"}.get(run.state, run.state)


def progress(tx: Tx, run: Run, slots: int) -> str:
    """`18 of 40 done · 5 in work · 1 failed · about 25–40 min`."""
    words = [f"{run.done} of {run.total} done"]
    if run.ended_at is None:
        words += _under_way(tx, run)
    words += run_facts.lost(tx.all, run)
    if run.state is RunState.RUNNING:
        found = run_facts.outlook(tx.all, run, slots)
        words += [span(found.low, found.high)] if found is not None else []
    if run.ended_at is not None:
        words += _spent(run)
    return " · ".join(words)


def _under_way(tx: Tx, run: Run) -> list[str]:
    """`5 in work · 1 waits for you`."""
    at_work = len(run_facts.in_work(tx.all, run.id))
    waiting = int(
        tx.value(
            "SELECT count(DISTINCT gates.task_id) FROM gates JOIN tasks ON tasks.id = gates.task_id"
            " WHERE gates.state = 'open' AND tasks.run_id = ?",
            (run.id,),
        )
    )
    words = [f"{at_work - waiting} in work"] if at_work > waiting else []
    return words + ([f"{waiting} wait{'s' if waiting == 1 else ''} for you"] if waiting else [])


def holds(tx: Tx, run: Run) -> list[str]:
    """What it waits for: a repair, a person, another task's files."""
    if run.ended_at is not None:
        return []
    lines = []
    failed = tasks.find(tx, run.because) if run.because is not None else None
    if failed is not None:
        lines.append(runs.standing_words(tx, run, failed))
    if run.paused_by is not None:
        lines.append(f"A person has paused it: /resume {run.ref}")
    held = [
        rows.task(row)
        for row in tx.all(
            "SELECT * FROM tasks INDEXED BY tasks_of_run WHERE run_id IS NOT NULL AND run_id = ?"
            " AND wave <= ? AND held = 'collision' ORDER BY id",
            (run.id, run.wave),
        )
    ]
    lines += [_waits(tx, task, run) for task in held[:2]]
    if len(held) > 2:
        lines.append(f"{counted(len(held) - 2, 'more task')} waiting for files")
    return lines + _untaken(tx, run)


def _untaken(tx: Tx, run: Run) -> list[str]:
    """What could begin, if there were somebody for it: the first of each kind, and why."""
    found = tx.all(
        "SELECT demands.said, min(tasks.id) AS first, count(*) - 1 AS more"
        " FROM tasks INDEXED BY tasks_of_run JOIN demands ON demands.id = tasks.demand"
        " WHERE run_id IS NOT NULL AND run_id = ? AND state = 'ready' AND held IS NULL"
        " AND demands.said IS NOT NULL GROUP BY demands.said ORDER BY first LIMIT 2",
        (run.id,),
    )
    lines = []
    for row in found:
        who = task_ref(row["first"])
        who += f" and {row['more']} more wait" if row["more"] else " waits"
        why = row["said"]
        lines.append(f"{who}: nobody here can take it. {why[0].upper()}{why[1:]}.")
    return lines


def _waits(tx: Tx, task: Task, run: Run) -> str:
    found = clashes.clash(tx, task, run.wave)
    if found is not None:
        return clashes.words(task.id, found)
    return f"{task.ref} waits for {task_ref(task.held_by or 0)}"


def run_buttons(tx: Tx, run: Run) -> tuple[Button, ...]:
    show = Button("Show", f"run {run.id}")
    if run.ended_at is not None:
        return (show,)
    stop = Button("Stop…", f"stop {run.id}", "danger")
    standing = _ways_out(tx, run.because)
    if standing:  # before that it can't be resumed
        return (*standing, show, stop)
    if run.paused_by is None and run.because is None:
        return (show, Button("Pause", f"pause {run.ref}"), stop)
    return (show, Button("Resume", f"resume {run.ref}", "primary"), stop)


def _ways_out(tx: Tx, task_id: int | None) -> tuple[Button, ...]:
    """What helps where a failed, or a cancelled, task stands in the way."""
    task = tasks.find(tx, task_id) if task_id is not None else None
    if task is None or task.state not in (TaskState.FAILED, TaskState.CANCELLED):
        return ()
    verb = "Retry" if task.state is TaskState.FAILED else "Reopen"
    return (Button(f"{verb} {task.id}", f"{verb.lower()} {task.id}", "primary"),)


# -- single messages ---------------------------------------------------------------------------


def wave_card(tx: Tx, run: Run, event: Event) -> Reply:
    """A finished wave is one message, not twelve."""
    number = int(event.payload["wave"])
    found = {
        row["outcome"]: row["n"]
        for row in tx.all(
            "SELECT outcome, count(*) AS n FROM run_tasks WHERE run_id = ? AND wave = ?"
            " GROUP BY outcome",
            (run.id, number),
        )
    }
    done = f"{found.get('done', 0)} done"
    other = [f"{found[one]} {one}" for one in ("failed", "cancelled") if one in found]
    lasted = tx.one(
        "SELECT started_at, ended_at FROM waves WHERE run_id = ? AND number = ?", (run.id, number)
    )
    took = [duration(lasted["ended_at"] - lasted["started_at"])] if lasted else []
    return Reply(
        f"🌊 {run.ref} · wave {number} of {run.waves} is over: {' · '.join([done, *other, *took])}",
        silent=True,
    )


def run_paused_card(tx: Tx, run: Run, event: Event) -> Reply:
    """A failure that something needs: what failed, who waits, and the ways out."""
    ways = _ways_out(tx, event.payload.get("task"))
    return Reply(f"⏸ {event.text}", (run.title,), buttons=(*ways, Button("Show", f"run {run.id}")))


def run_done_card(tx: Tx, run: Run) -> Reply:
    """The end: how much, how long, what it cost, and what failed."""
    left = [
        f"{task_ref(row['task_id'])} {row['outcome']}: {row['failure'] or row['title']}"
        for row in tx.all(
            "SELECT task_id, outcome, failure, title FROM run_tasks JOIN tasks ON id = task_id"
            " WHERE run_tasks.run_id = ? AND outcome IN ('failed', 'cancelled')"
            " ORDER BY outcome DESC, task_id",
            (run.id,),
        )
    ]
    more = [f"and {len(left) - SHOWN} more"] if len(left) > SHOWN else []
    words = [f"{run.done} of {run.total} done", *run_facts.lost(tx.all, run), *_spent(run)]
    return Reply(
        f"🏁 {run.ref} is done · {run.title} · {' · '.join(words)}",
        (*left[:SHOWN], *more),
        buttons=(Button("Show", f"run {run.id}"),),
    )


def _spent(run: Run) -> list[str]:
    lasted = duration((run.ended_at or 0) - (run.started_at or run.created_at))
    return [lasted, f"{run.cost_usd:.2f} USD"] if run.cost_usd else [lasted]
