"""What a list of tasks is cut down to, as a condition on their rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from core.model import ACTIVE as UNDER_WAY
from core.model import Priority, TaskState

# A partial index serves a query only when its own condition is repeated word for word.
ACTIVE = "state IN ('planning', 'in_flight', 'review', 'blocked')"
STANDING = "state IN ('inbox', 'failed')"
REMEMBERED = "(ephemeral = 0 OR ended_at IS NULL OR ended_at >= ?)"
DAY = 86_400_000


@dataclass(frozen=True, slots=True)
class Filter:
    """What a list is cut down to; None everywhere means all. `text` is looked for in title
    and description, `agent` is the assignee or whoever worked on it, `by` added it; `run` has
    or had it, in that `wave`. With `now` (ms) ephemeral tasks that ended more than a day
    before are left out."""

    states: tuple[TaskState, ...] = ()
    lane: str | None = None
    agent: str | None = None
    tag: str | None = None
    skill: str | None = None
    priority: Priority | None = None
    repo: str | None = None
    category: str | None = None
    by: str | None = None
    run: int | None = None
    wave: int | None = None
    unassigned: bool = False
    text: str | None = None
    now: int | None = None
    limit: int = 10
    offset: int = 0

    def where(self) -> tuple[str, list[Any]]:
        """The condition and its parameters."""
        return _where(self)


def since(now: int | None) -> int:
    """Ephemeral tasks that ended before this are not remembered."""
    return 0 if now is None else now - DAY


def _where(cut: Filter) -> tuple[str, list[Any]]:
    parts: list[str] = []
    params: list[Any] = []

    def add(sql: str, *values: Any) -> None:
        parts.append(sql)
        params.extend(values)

    if cut.states:
        add(_states_sql(cut.states))
    for column in ("lane", "repo", "category"):
        if (value := getattr(cut, column)) is not None:
            add(f"{column} = ?", value)
    if cut.priority is not None:
        add("priority = ?", int(cut.priority))
    if cut.unassigned:
        add("assignee IS NULL")
    if cut.agent is not None:
        add(
            "(assignee = ? OR id IN (SELECT task_id FROM sessions WHERE agent = ?))",
            cut.agent,
            cut.agent,
        )
    for kind in ("tag", "skill"):
        if (value := getattr(cut, kind)) is not None:
            add(_LABELLED, kind, value)
    if cut.by is not None:
        add("lower(created_by) = lower(?)", cut.by)
    _of_run(cut, add)
    if cut.text is not None:
        add(
            "(instr(lower(title), lower(?)) OR instr(lower(description), lower(?)))",
            cut.text,
            cut.text,
        )
    if cut.now is not None:
        add(REMEMBERED, since(cut.now))
    return " AND ".join(parts) or "id > 0", params


_LABELLED = "id IN (SELECT task_id FROM task_labels WHERE kind = ? AND value = ?)"


def _of_run(cut: Filter, add: Callable[..., None]) -> None:
    """Of that run, also after it has ended; a wave alone is one of the runs that are open."""
    if cut.run is not None and cut.wave is not None:
        add(
            "id IN (SELECT task_id FROM run_tasks WHERE run_id = ? AND wave = ?)",
            cut.run,
            cut.wave,
        )
    elif cut.run is not None:
        add("id IN (SELECT task_id FROM run_tasks WHERE run_id = ?)", cut.run)
    elif cut.wave is not None:
        add("run_id IS NOT NULL AND wave = ?", cut.wave)


def _states_sql(states: tuple[TaskState, ...]) -> str:
    """Those states, with the words of the index that holds them all, where one does."""
    named = ", ".join(f"'{state.value}'" for state in states)
    these = f"state = {named}" if len(states) == 1 else f"state IN ({named})"
    if set(states) <= {TaskState.INBOX, TaskState.FAILED}:
        return f"{STANDING} AND {these}"
    if set(states) <= UNDER_WAY | {TaskState.BLOCKED}:
        return f"{ACTIVE} AND {these}"
    return these
