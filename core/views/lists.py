"""Tasks in short: the list with its filters, and the board."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from core.model import ENDED, Priority, Task, TaskState, task_ref
from core.planning import order
from core.store import rows
from core.views.filters import ACTIVE, DAY, REMEMBERED, STANDING, Filter, since
from core.views.reading import Db, Page, one, packed

_QUEUE = "priority DESC, begun DESC, position IS NULL, position, id"

_COLUMNS = (
    "id, title, state, priority, lane, repo, workflow, step, assignee, run_command IS NOT NULL,"
    " created_at, updated_at, started_at, ended_at, not_before, failure, revision, run_id, wave,"
    " held, held_by"
)
_ROW = (
    "SELECT t.*, (SELECT group_concat(reason, ' ') FROM task_reasons WHERE task_id = t.id),"
    " (SELECT agent FROM sessions WHERE task_id = t.id ORDER BY created_at DESC, id LIMIT 1),"
    " (SELECT total(cost_usd) FROM sessions WHERE task_id = t.id)"
)


@dataclass(frozen=True, slots=True)
class TaskRow:
    """A task as a list shows it. `agent` worked on it last, `reasons` say why it is blocked,
    `held` why it can't be claimed though it is ready."""

    id: int
    title: str
    state: TaskState
    priority: Priority
    lane: str | None
    repo: str | None
    workflow: str
    step: str
    assignee: str | None
    is_command: bool
    created_at: int
    updated_at: int
    started_at: int | None
    ended_at: int | None
    not_before: int | None
    failure: str | None
    revision: int
    run_id: int | None
    wave: int | None
    held: str | None
    held_by: int | None
    reasons: tuple[str, ...]
    agent: str | None
    cost_usd: float

    @property
    def ref(self) -> str:
        return task_ref(self.id)


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the board: its first cards, and how many tasks there are in it."""

    state: TaskState
    cards: tuple[TaskRow, ...]
    total: int


def list_tasks(db: Db, cut: Filter | None = None) -> Page[TaskRow]:
    """The tasks that fit: the queue in the order of the claim, all else newest first."""
    cut = cut or Filter()
    where, params = cut.where()
    order = _QUEUE if cut.states == (TaskState.READY,) else "id DESC"
    source = f"FROM tasks WHERE {where}"
    total = one(db, f"SELECT count(*) {source}", params)
    found = _select(
        db, f"{source} ORDER BY {order} LIMIT ? OFFSET ?", [*params, cut.limit, cut.offset]
    )
    return Page(found, total, cut.offset)


def lanes(db: Db) -> tuple[str, ...]:
    """The name of every lane that has a task, ended or not."""
    rows = db.execute(
        "SELECT DISTINCT lane FROM tasks INDEXED BY tasks_of_lane"
        " WHERE lane IS NOT NULL ORDER BY lane"
    )
    return tuple(row[0] for row in rows)


def task_rows(db: Db, ids: Iterable[int]) -> tuple[TaskRow, ...]:
    """Those tasks that exist, in short, by id."""
    return _select(
        db, "FROM tasks WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id", [packed(ids)]
    )


def task_range(db: Db, first: int, last: int, now: int | None = None) -> tuple[TaskRow, ...]:
    """The tasks with ids from first to last, both included. With `now` (ms) ephemeral tasks
    that ended more than a day before are left out."""
    return _select(
        db,
        f"FROM tasks WHERE id BETWEEN ? AND ? AND {REMEMBERED} ORDER BY id",
        [first, last, since(now)],
    )


def passed(db: Db, before: int, now: int) -> frozenset[int]:
    """The ephemeral tasks that leave the lists between those times (ms)."""
    rows = db.execute(
        "SELECT id FROM tasks INDEXED BY tasks_passing WHERE ephemeral = 1"
        " AND ended_at IS NOT NULL AND ended_at >= ? AND ended_at < ?",
        (since(before), since(now)),
    )
    return frozenset(row[0] for row in rows)


def next_passing(db: Db, now: int) -> int | None:
    """When the next ephemeral task leaves the lists (ms); None when there is none."""
    ended = one(
        db,
        "SELECT ended_at FROM tasks INDEXED BY tasks_passing WHERE ephemeral = 1"
        " AND ended_at IS NOT NULL AND ended_at >= ? ORDER BY ended_at LIMIT 1",
        (since(now),),
    )
    return None if ended is None else int(ended) + DAY + 1


def task_ids(db: Db, after: int, n: int) -> tuple[int, ...]:
    """The next n task ids after one: a way through all of them in parts."""
    return tuple(
        row[0]
        for row in db.execute("SELECT id FROM tasks WHERE id > ? ORDER BY id LIMIT ?", (after, n))
    )


def task_neighbours(db: Db, ids: Iterable[int]) -> frozenset[int]:
    """The tasks that those need or that need those: their pages show each other's state."""
    wanted = packed(ids)
    return frozenset(
        row[0]
        for row in db.execute(
            "SELECT needs_id FROM dependencies WHERE task_id IN (SELECT value FROM json_each(?))"
            " UNION SELECT task_id FROM dependencies"
            " WHERE needs_id IN (SELECT value FROM json_each(?))",
            (wanted, wanted),
        )
    )


def last_task(db: Db) -> int:
    """The highest task id, 0 when there is none."""
    return int(one(db, "SELECT max(id) FROM tasks") or 0)


def queue(db: Db, n: int = 10, offset: int = 0) -> Page[Task]:
    """What is ready, in the order of the claim."""
    found = tuple(
        rows.task(row)
        for row in db.execute(f"SELECT * {column_sql(TaskState.READY)} OFFSET ?", (n, offset))
    )
    return Page(found, state_counts(db)[TaskState.READY], offset)


def place(db: Db, task: Task) -> int:
    """Which one of the queue a ready task is, from 1."""
    ahead = one(
        db,
        "SELECT count(*) FROM tasks INDEXED BY tasks_ready WHERE state = 'ready' AND"
        " (-priority, begun = 0, position IS NULL, coalesce(position, 0), id) < (?, ?, ?, ?, ?)",
        order.key(task),
    )
    return 1 + int(ahead)


def board(db: Db, cards: int = 20, now: int | None = None) -> tuple[Column, ...]:
    """Every state's column, with at most that many cards each. With `now` (ms) ephemeral tasks
    that ended more than a day before have none."""
    counts = state_counts(db)
    return tuple(
        Column(state, _column(db, state, cards, now) if counts[state] else (), counts[state])
        for state in TaskState
    )


def state_counts(db: Db) -> dict[TaskState, int]:
    """How many tasks are in each state: kept by the store, not counted."""
    found = dict.fromkeys(TaskState, 0)
    for name, n in db.execute("SELECT state, n FROM state_counts"):
        found[TaskState(name)] = n
    return found


def column_sql(state: TaskState) -> str:
    """The FROM clause of a column: each by the index that was made for it."""
    if state is TaskState.READY:
        return f"FROM tasks INDEXED BY tasks_ready WHERE state = 'ready' ORDER BY {_QUEUE} LIMIT ?"
    if state in (TaskState.DONE, TaskState.CANCELLED):
        return (
            "FROM tasks INDEXED BY tasks_ended WHERE ended_at IS NOT NULL"
            f" AND state = '{state.value}' AND {REMEMBERED} ORDER BY ended_at DESC LIMIT ?"
        )
    if state in (TaskState.INBOX, TaskState.FAILED):
        index, guard = "tasks_standing", STANDING
    else:
        index, guard = "tasks_active", ACTIVE
    return (
        f"FROM tasks INDEXED BY {index} WHERE {guard} AND state = '{state.value}'"
        " ORDER BY id DESC LIMIT ?"
    )


def _column(db: Db, state: TaskState, cards: int, now: int | None) -> tuple[TaskRow, ...]:
    remembered = [since(now)] if state in ENDED else []
    return _select(db, column_sql(state), [*remembered, cards])


def _select(db: Db, source: str, params: list[Any]) -> tuple[TaskRow, ...]:
    sql = f"{_ROW} FROM (SELECT {_COLUMNS} {source}) t"
    return tuple(_row(row) for row in db.execute(sql, params))


def _row(row: Any) -> TaskRow:
    v = list(row)
    v[2], v[3], v[9] = TaskState(v[2]), Priority(v[3]), bool(v[9])
    v[21] = tuple(sorted((v[21] or "").split()))
    return TaskRow(*v)
