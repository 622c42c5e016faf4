"""Sessions: the list with what is over, and one of them whole."""

# ruff: noqa: S608 - statements are put together from the code's own words only
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from core.model import Iteration
from core.store import rows
from core.views.crew import SessionRow
from core.views.reading import Db, Page, one

_ROW = (
    "SELECT s.*, t.title AS task_title, EXISTS (SELECT 1 FROM gates WHERE"
    " task_id = s.task_id AND session_id = s.id AND state = 'open') AS waits"
    " FROM sessions s JOIN tasks t ON t.id = s.task_id"
)


@dataclass(frozen=True, slots=True)
class SessionPage:
    """One session; `attempts`: how each of its processes ended, in words."""

    row: SessionRow
    attempts: tuple[str, ...]
    iterations: tuple[Iteration, ...]


def session_list(
    db: Db, *, agent: str | None = None, over: bool = False, n: int = 10, offset: int = 0
) -> Page[SessionRow]:
    """Newest first; of one agent, where it is named; `over`: those that have ended, too."""
    where, params = _where(agent, over)
    total = int(one(db, f"SELECT count(*) FROM sessions s WHERE {where}", params) or 0)
    found = db.execute(
        f"{_ROW} WHERE {where} ORDER BY s.created_at DESC, s.id LIMIT ? OFFSET ?",
        [*params, n, offset],
    )
    return Page(tuple(_row(row) for row in found), total, offset)


def _where(agent: str | None, over: bool) -> tuple[str, list[Any]]:
    parts = [] if over else ["s.state <> 'terminated'"]
    parts += ["s.agent = ?"] if agent is not None else []
    return " AND ".join(parts) or "1", [agent] if agent is not None else []


def session_page(db: Db, session_id: str) -> SessionPage | None:
    row = db.execute(f"{_ROW} WHERE s.id = ?", (session_id,)).fetchone()
    if row is None:
        return None
    attempts = db.execute(
        "SELECT number, state, exit_status, exit_signal, exit_reason FROM attempts"
        " WHERE session_id = ? ORDER BY number DESC LIMIT 10",
        (session_id,),
    )
    turns = db.execute(
        "SELECT * FROM iterations WHERE session_id = ? ORDER BY number", (session_id,)
    )
    return SessionPage(
        _row(row),
        tuple(_ended(attempt) for attempt in attempts)[::-1],
        tuple(rows.iteration(turn) for turn in turns),
    )


def _row(row: Any) -> SessionRow:
    return SessionRow(rows.session(row), row["task_title"], bool(row["waits"]))


def _ended(attempt: Any) -> str:
    how = attempt["state"]
    if how == "ended":
        status, signal = attempt["exit_status"], attempt["exit_signal"]
        how = f"signal {signal}" if signal else f"status {status}" if status is not None else ""
        how = " ".join(filter(None, (attempt["exit_reason"] or "", how))) or "ended"
    return f"{attempt['number']}: {how}"
