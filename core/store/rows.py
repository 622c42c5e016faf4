"""Rows as the nouns of `core.model`."""

from __future__ import annotations

import dataclasses
import json
import sqlite3
from collections.abc import Callable
from enum import Enum
from typing import Any, Generic, TypeVar

import msgspec

from core.model import (
    Attempt,
    AttemptState,
    Change,
    Check,
    Gate,
    GateKind,
    GateState,
    Iteration,
    IterationState,
    Priority,
    QaState,
    Receipt,
    Role,
    Run,
    RunState,
    Session,
    SessionOutcome,
    SessionState,
    Task,
    TaskState,
    Wave,
    WaveState,
    Worktree,
    WorktreeState,
)

T = TypeVar("T")


def _states(words: type[Enum]) -> Callable[[Any], Any]:
    """The value's member, by one look into a dictionary."""
    return {member.value: member for member in words}.__getitem__


class _Reader(Generic[T]):
    """Builds a noun from rows of any query that has its columns, by their places, which are
    looked up once a query: this runs for every row there is."""

    def __init__(self, cls: type[T], **converters: Callable[[Any], Any]) -> None:
        self._cls = cls
        fields = dataclasses.fields(cls)  # type: ignore[arg-type]
        self._fields = [field.name for field in fields]
        self._defaults = {
            field.name: field.default
            for field in fields
            if field.default is not dataclasses.MISSING
        }
        self._converters = [(self._fields.index(name), to) for name, to in converters.items()]
        self._places: dict[tuple[str, ...], list[int]] = {}

    def __call__(self, row: sqlite3.Row) -> T:
        keys = tuple(row.keys())
        places = self._places.get(keys)
        if places is None:
            places = self._places[keys] = [
                keys.index(name) if name in keys else -1 for name in self._fields
            ]
        values = [
            row[place] if place >= 0 else self._defaults[self._fields[number]]
            for number, place in enumerate(places)
        ]
        for number, convert in self._converters:
            if values[number] is not None:
                values[number] = convert(values[number])
        return self._cls(*values)


def change(text: str) -> Change:
    return msgspec.json.decode(text, type=Change)


def _checks(text: str) -> tuple[Check, ...]:
    return msgspec.json.decode(text, type=tuple[Check, ...])


task = _Reader(
    Task,
    state=_states(TaskState),
    priority=_states(Priority),
    begun=bool,
    ephemeral=bool,
    interactive=bool,
    blocked_from=_states(TaskState),
    change=change,
)
session = _Reader(
    Session,
    state=_states(SessionState),
    worktree_state=_states(WorktreeState),
    outcome=_states(SessionOutcome),
    unstoppable=bool,
    forced=bool,
    drop_branch=bool,
    interactive=bool,
)
worktree = _Reader(Worktree, state=_states(WorktreeState), drop_branch=bool)
attempt = _Reader(Attempt, state=_states(AttemptState))
iteration = _Reader(Iteration, state=_states(IterationState), qa=_states(QaState))
gate = _Reader(
    Gate,
    kind=_states(GateKind),
    state=_states(GateState),
    options=lambda text: tuple(json.loads(text)),
    request=json.loads,
    may_answer=_states(Role),
)
run = _Reader(Run, state=_states(RunState))
wave = _Reader(Wave, state=_states(WaveState))
receipt = _Reader(Receipt, checks=_checks)
