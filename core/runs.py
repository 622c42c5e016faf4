"""Runs: what is chosen for one, how it would go, and what people do to it."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from core.errors import Refused, Unclear
from core.house import House
from core.lifecycle import words as state_words
from core.model import Actor, AgentRole, Event, Run, RunState, Task, TaskState, run_ref, task_ref
from core.planning.forecast import Forecast
from core.planning.overlap import Clash, batch
from core.planning.waves import waves as in_waves
from core.store import files, rows, run_facts, run_rows, runs, tasks, waves
from core.store.database import Row, Tx

_ORDER = "priority DESC, begun DESC, position IS NULL, position, id"
_OF_LANE = f"""
SELECT * FROM tasks INDEXED BY tasks_of_lane
WHERE lane IS NOT NULL AND lane = ? AND ended_at IS NULL ORDER BY {_ORDER}
"""  # noqa: S608 - the code's own words
_OF_LIST = f"""
SELECT * FROM tasks WHERE id IN (SELECT value FROM json_each(?)) ORDER BY {_ORDER}
"""  # noqa: S608
_ALL = f"""
SELECT * FROM tasks WHERE id IN (
  SELECT id FROM tasks INDEXED BY tasks_ready WHERE state = 'ready' UNION ALL
  SELECT id FROM tasks INDEXED BY tasks_active
    WHERE state IN ('planning', 'in_flight', 'review', 'blocked') UNION ALL
  SELECT id FROM tasks INDEXED BY tasks_standing WHERE state IN ('inbox', 'failed'))
ORDER BY {_ORDER}
"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a run is to be made of: a lane's tasks, these tasks, or (neither) all there are."""

    lane: str | None = None
    ids: tuple[int, ...] = ()

    @property
    def every(self) -> bool:
        return self.lane is None and not self.ids


@dataclass(frozen=True, slots=True)
class Plan:
    """How a run would go. `left_out`: tasks that were meant and don't join, and why; `clashes`:
    who would wait for whom inside its wave; `learnt`: whose files are known only from what its
    lane changed before."""

    title: str
    lane: str | None
    waves: tuple[tuple[int, ...], ...]
    left_out: tuple[str, ...]
    clashes: Mapping[int, Clash]
    learnt: frozenset[int]
    forecast: Forecast | None

    @property
    def total(self) -> int:
        return sum(map(len, self.waves))


def plan(tx: Tx, house: House, wanted: Wanted) -> Plan:
    """Choose and order; changes nothing. Raises Unclear or Refused, naming the first task that
    stands in the way and what to type."""
    chosen, left_out = _chosen(tx, wanted)
    ids = [task.id for task in chosen]
    ordered = in_waves(ids, _needs(tx, wanted, ids))
    lane = _lane(wanted, chosen)
    clashes, learnt = _clashes(tx, {task.id: task for task in chosen}, ordered)
    return Plan(
        _title(wanted, ids),
        lane,
        ordered,
        tuple(left_out),
        clashes,
        learnt,
        run_facts.of_lane(tx.all, lane, [len(wave) for wave in ordered], slots(tx, house)),
    )


def slots(tx: Tx, house: House) -> int:
    """How many tasks go at once: no more than are allowed, nor than the crew can take."""
    crew = sum(
        agent.max_concurrent_tasks
        for agent in house.agents.values()
        if agent.enabled and agent.role is AgentRole.WORKER
    )
    return max(1, min(run_facts.at_once(tx.all, house.policy.max_concurrent), crew))


# -- what people do ----------------------------------------------------------------------------


def begin(
    tx: Tx,
    found: Plan,
    actor: Actor,
    title: str | None = None,
    budget: tuple[int | None, float | None] = (None, None),
) -> Run:
    """Start what was planned, in this transaction."""
    new = run_rows.NewRun(
        title=title or found.title,
        waves=found.waves,
        created_by=actor.name or actor.key,
        lane=found.lane,
        budget_tokens=budget[0],
        budget_usd=budget[1],
    )
    return run_rows.create(tx, new, f"{new.title}, {size_words(found.total, len(found.waves))}")


def pause(tx: Tx, house: House, run: Run, actor: Actor) -> Run:
    """Nothing more of it is claimed until a person says so; what runs goes on."""
    _still_open(run)
    if run.paused_by is not None:
        raise Refused(f"{run.ref} is paused already: /resume {run.ref}")
    run = waves.pause(tx, run, paused_by=actor.key)
    words = f"{run.ref} was paused by {actor.name or actor.user_id}"
    tx.emit(Event("run.paused", words, run_id=run.id, payload={"by": actor.key}))
    return waves.again(tx, run.id)


def resume(tx: Tx, house: House, run: Run, actor: Actor) -> Run:
    """It goes on, unless a failure that something needs still stands in its way."""
    _still_open(run)
    if run.state is not RunState.PAUSED:
        raise Refused(f"{run.ref} is not paused: /run {run.id} shows how far it is.")
    failed = runs.standing(tx, run)
    if failed is not None:
        reason = runs.standing_words(tx, run, tasks.get(tx, failed))
        raise Refused(f"{run.ref} can't go on: {reason}")
    return waves.go_on(tx, run, f"{run.ref} goes on, by {actor.name or actor.user_id}")


def stop(tx: Tx, run: Run, actor: Actor) -> Run:
    """It is over: what never began goes back to the inbox, what runs finishes by itself. One
    that a failure had paused has failed, else it was cancelled."""
    _still_open(run)
    to = RunState.CANCELLED if run.because is None else RunState.FAILED
    return run_rows.stop(tx, run, to, actor.name or actor.user_id)


def _still_open(run: Run) -> None:
    if run.ended_at is not None:
        raise Refused(f"{run.ref} is {state_words(run.state)} already: /run {run.id} shows it.")


def size_words(tasks: int, waves: int) -> str:
    """`40 tasks in 6 waves`."""
    inside = "one wave" if waves == 1 else f"{waves} waves"
    return f"{tasks} task{'' if tasks == 1 else 's'} in {inside}"


# -- choosing ----------------------------------------------------------------------------------


def _chosen(tx: Tx, wanted: Wanted) -> tuple[list[Task], list[str]]:
    """The tasks that join, in the order of the claim, and words for those that don't."""
    found = [rows.task(row) for row in _meant(tx, wanted)]
    for missing in set(wanted.ids) - {task.id for task in found}:
        tasks.get(tx, missing)
    join, left_out = [], []
    for task in found:
        if task.state in (TaskState.DONE, TaskState.CANCELLED):
            left_out.append(f"{task.ref} is {task.state.value} already.")
        elif task.state is TaskState.FAILED:
            left_out.append(f"{task.ref} has failed: /retry {task.id} first, to have it in.")
        elif task.run_id is not None:
            here = run_ref(task.run_id)
            if wanted.every:
                left_out.append(f"{task.ref} is part of {here}.")
                continue
            raise Refused(f"{task.ref} is part of {here}: /stop {here} first, or leave it out.")
        else:
            join.append(task)
    if wanted.every:
        join = _free(tx, join, left_out)
    if not join:
        raise Unclear(_nothing(tx, wanted, left_out))
    return join, left_out


def _free(tx: Tx, join: Sequence[Task], left_out: list[str]) -> list[Task]:
    """Of all tasks those that need nothing of what stays out, through others neither."""
    ids = {task.id for task in join}
    users: dict[int, list[int]] = defaultdict(list)
    out: dict[int, int] = {}
    for row in tx.all(
        "SELECT d.task_id, d.needs_id, n.state FROM dependencies d"
        " JOIN tasks n ON n.id = d.needs_id"
        " WHERE d.task_id IN (SELECT value FROM json_each(?)) ORDER BY 1, 2",
        (json.dumps(sorted(ids)),),
    ):
        if row["needs_id"] in ids:
            users[row["needs_id"]].append(row["task_id"])
        elif row["state"] != TaskState.DONE.value:
            out.setdefault(row["task_id"], row["needs_id"])
    waiting = list(out)
    while waiting:
        needed = waiting.pop()
        found = [user for user in users[needed] if user not in out]
        out |= dict.fromkeys(found, needed)
        waiting += found
    left_out += [f"{task_ref(one)} needs {task_ref(out[one])}, which stays out." for one in out]
    return [task for task in join if task.id not in out]


def _meant(tx: Tx, wanted: Wanted) -> list[Row]:
    if wanted.lane is not None:
        return tx.all(_OF_LANE, (wanted.lane,))
    if wanted.ids:
        return tx.all(_OF_LIST, (json.dumps(wanted.ids),))
    return tx.all(_ALL)


def _nothing(tx: Tx, wanted: Wanted, left_out: Sequence[str]) -> str:
    if left_out:
        return f"Nothing to run: {' '.join(left_out[:3])}"
    if wanted.lane is None:
        return "Nothing to run: every task has ended. Add one: /add TITLE"
    lanes = [
        row[0]
        for row in tx.all(
            "SELECT DISTINCT lane FROM tasks INDEXED BY tasks_of_lane"
            " WHERE lane IS NOT NULL AND ended_at IS NULL ORDER BY lane LIMIT 6"
        )
    ]
    there = f"Lanes with open tasks: {', '.join(lanes)}." if lanes else "No lane has any."
    return f"No open task on the lane `{wanted.lane[:40]}`. {there}"


def _needs(tx: Tx, wanted: Wanted, ids: Sequence[int]) -> dict[int, list[int]]:
    """What they need of each other. Raises Refused for what is neither done nor among them."""
    inside = set(ids)
    needs: dict[int, list[int]] = defaultdict(list)
    for row in tx.all(
        "SELECT d.task_id, d.needs_id, n.state, n.run_id FROM dependencies d"
        " JOIN tasks n ON n.id = d.needs_id"
        " WHERE d.task_id IN (SELECT value FROM json_each(?)) ORDER BY 1, 2",
        (json.dumps(ids),),
    ):
        if row["needs_id"] in inside:
            needs[row["task_id"]].append(row["needs_id"])
        elif row["state"] != TaskState.DONE.value:
            raise Refused(_not_there(wanted, row))
    return needs


def _not_there(wanted: Wanted, row: Row) -> str:
    task, needed = row["task_id"], row["needs_id"]
    without = f"/after {task} -{needed}"
    begin = f"{task_ref(task)} needs {task_ref(needed)}, which"
    if row["run_id"] is not None:
        return f"{begin} is part of {run_ref(row['run_id'])}: wait for it, or {without}"
    if row["state"] == TaskState.FAILED.value:
        return f"{begin} has failed: /retry {needed} first, or {without}"
    if row["state"] == TaskState.CANCELLED.value:
        return f"{begin} was cancelled: /reopen {needed} first, or {without}"
    ids = ",".join(map(str, (*wanted.ids, needed) if len(wanted.ids) < 9 else ("…", needed)))
    add = f"/go {ids}" if wanted.ids else f"/edit {needed} --lane {wanted.lane}"
    return f"{begin} is neither done nor in this run: add it ({add}) or {without}"


# -- what is said of it ------------------------------------------------------------------------


def _lane(wanted: Wanted, chosen: Sequence[Task]) -> str | None:
    """The lane of a run is its tasks', where they have one in common."""
    lanes = {task.lane for task in chosen}
    return wanted.lane or (next(iter(lanes)) if len(lanes) == 1 else None)


def _title(wanted: Wanted, ids: Sequence[int]) -> str:
    if wanted.lane is not None:
        return f"lane {wanted.lane}"
    if not wanted.ids:
        return "all tasks"
    named = ", ".join(task_ref(one) for one in sorted(ids)[:3])
    return named + (f" and {len(ids) - 3} more" if len(ids) > 3 else "")


def _clashes(
    tx: Tx, chosen: Mapping[int, Task], ordered: Sequence[Sequence[int]]
) -> tuple[dict[int, Clash], frozenset[int]]:
    """Who would wait for whom, if all else stayed as it is."""
    found: dict[int, Clash] = {}
    learnt: frozenset[int] = frozenset()
    for wave in ordered:
        work, taught = files.work(tx, [chosen[one] for one in wave])
        found |= batch(work).held
        learnt |= taught
    return found, learnt
