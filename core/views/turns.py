"""Sessions with their processes and turns: who did what."""

# ruff: noqa: S608 - statements are put together from the code's own words only
from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from core.model import Attempt, Iteration, Session
from core.store import rows
from core.views.reading import Db, one, packed

_IN = "IN (SELECT value FROM json_each(?))"


@dataclass(frozen=True, slots=True)
class Finding:
    """One check that Bullpen ran: its command, whether it passed, the end of its output."""

    command: str
    passed: bool
    said: str


@dataclass(frozen=True, slots=True)
class QaResult:
    iteration: int
    result: str
    findings: tuple[Finding, ...]
    judged_by: str
    at: int


@dataclass(frozen=True, slots=True)
class SessionStory:
    """A session with its processes and its turns."""

    session: Session
    attempts: tuple[Attempt, ...]
    iterations: tuple[Iteration, ...]
    qa: tuple[QaResult, ...]


def session_story(db: Db, session_id: str) -> tuple[SessionStory, str] | None:
    """One session with its turns, and the title of its task; None when there is none."""
    row = db.execute("SELECT task_id FROM sessions WHERE id = ?", (session_id,)).fetchone()
    if row is None:
        return None
    title = one(db, "SELECT title FROM tasks WHERE id = ?", (row[0],))
    found = stories(db, packed([row[0]]))[row[0]]
    return next(story for story in found if story.session.id == session_id), title


def session_tasks(db: Db, session_ids: Iterable[str]) -> dict[str, int]:
    """The task of each of those sessions that exist."""
    return {
        row[0]: row[1]
        for row in db.execute(
            f"SELECT id, task_id FROM sessions WHERE id {_IN}", (packed(session_ids),)
        )
    }


def sessions_of_tasks(db: Db, task_ids: Iterable[int]) -> frozenset[str]:
    """The ids of those tasks' sessions."""
    return frozenset(
        row[0]
        for row in db.execute(f"SELECT id FROM sessions WHERE task_id {_IN}", (packed(task_ids),))
    )


def stories(db: Db, wanted: str) -> defaultdict[int, tuple[SessionStory, ...]]:
    """The sessions of some tasks (packed ids), by task, oldest first."""
    sessions = [
        rows.session(row)
        for row in db.execute(
            f"SELECT * FROM sessions WHERE task_id {_IN} ORDER BY created_at, id", (wanted,)
        )
    ]
    ids = packed(session.id for session in sessions)
    attempts = _of_sessions(
        db, f"SELECT * FROM attempts WHERE session_id {_IN} ORDER BY session_id, number", ids
    )
    turns = _of_sessions(
        db, f"SELECT * FROM iterations WHERE session_id {_IN} ORDER BY session_id, number", ids
    )
    qa = _of_sessions(
        db,
        "SELECT session_id, iteration, result, findings, judged_by, created_at"
        f" FROM qa_results WHERE session_id {_IN} ORDER BY id",
        ids,
    )
    found: defaultdict[int, tuple[SessionStory, ...]] = defaultdict(tuple)
    for session in sessions:
        found[session.task_id] += (
            SessionStory(
                session,
                tuple(rows.attempt(row) for row in attempts[session.id]),
                tuple(rows.iteration(row) for row in turns[session.id]),
                tuple(_qa_of(row) for row in qa[session.id]),
            ),
        )
    return found


def _of_sessions(db: Db, sql: str, ids: str) -> defaultdict[str, list[Any]]:
    found: defaultdict[str, list[Any]] = defaultdict(list)
    for row in db.execute(sql, (ids,)):
        found[row[0]].append(row)
    return found


def _qa_of(row: Any) -> QaResult:
    findings = tuple(_finding(entry) for entry in json.loads(row[3]))
    return QaResult(row[1], row[2], findings, row[4], row[5])


def _finding(entry: Any) -> Finding:
    return Finding(str(entry["command"]), bool(entry["passed"]), str(entry["said"]))
