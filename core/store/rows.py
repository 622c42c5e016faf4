"""Rows as the nouns of `core.model`."""

from __future__ import annotations

import dataclasses
import json
import sqlite3
from typing import Any

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
    WorktreeState,
)


def _values(cls: type, row: sqlite3.Row) -> dict[str, Any]:
    names = {field.name for field in dataclasses.fields(cls)}
    return {key: row[key] for key in row.keys() if key in names}  # noqa: SIM118 - not a dict


def task(row: sqlite3.Row) -> Task:
    values = _values(Task, row)
    values["state"] = TaskState(values["state"])
    values["priority"] = Priority(values["priority"])
    values["begun"] = bool(values["begun"])
    values["ephemeral"] = bool(values["ephemeral"])
    if values["blocked_from"]:
        values["blocked_from"] = TaskState(values["blocked_from"])
    if values["change"]:
        values["change"] = change(values["change"])
    return Task(**values)


def change(text: str) -> Change:
    return msgspec.json.decode(text, type=Change)


def session(row: sqlite3.Row) -> Session:
    values = _values(Session, row)
    values["state"] = SessionState(values["state"])
    values["worktree_state"] = WorktreeState(values["worktree_state"])
    values["unstoppable"] = bool(values["unstoppable"])
    if values["outcome"]:
        values["outcome"] = SessionOutcome(values["outcome"])
    return Session(**values)


def attempt(row: sqlite3.Row) -> Attempt:
    values = _values(Attempt, row)
    values["state"] = AttemptState(values["state"])
    return Attempt(**values)


def iteration(row: sqlite3.Row) -> Iteration:
    values = _values(Iteration, row)
    values["state"] = IterationState(values["state"])
    values["qa"] = QaState(values["qa"])
    return Iteration(**values)


def gate(row: sqlite3.Row) -> Gate:
    values = _values(Gate, row)
    values["kind"] = GateKind(values["kind"])
    values["state"] = GateState(values["state"])
    values["options"] = tuple(json.loads(values["options"]))
    values["request"] = json.loads(values["request"])
    values["may_answer"] = Role(values["may_answer"])
    return Gate(**values)


def run(row: sqlite3.Row) -> Run:
    return Run(**{**_values(Run, row), "state": RunState(row["state"])})


def wave(row: sqlite3.Row) -> Wave:
    return Wave(**{**_values(Wave, row), "state": WaveState(row["state"])})


def receipt(row: sqlite3.Row) -> Receipt:
    checks = msgspec.json.decode(row["checks"], type=tuple[Check, ...])
    return Receipt(**{**_values(Receipt, row), "checks": checks})
