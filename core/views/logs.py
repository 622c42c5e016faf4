"""What agents said: the end of a session's log, or the part after a line."""

# ruff: noqa: S608 - statements are put together from the code's own words only
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from core.longlines import COLUMN, read
from core.views.calls import LARGE, TOO_LARGE, given_of
from core.views.reading import Db, one, packed

_LINE = (
    f"seq, session_id, attempt, iteration, stream, kind, {COLUMN}, at,"
    f" CASE WHEN kind <> 'tool_call' THEN '' WHEN length(data) > {LARGE} THEN '{TOO_LARGE}'"
    " ELSE data END"
)

_SILENT = {"usage", "finished", "tool_result"}
"""Kinds of lines that may have no words of their own."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of a session's log. `stream` is `out`, `err` or `mark` (Bullpen's own words);
    `kind` an agent event's kind; `at` ms since the epoch; `given` what a tool was called with
    beside what `text` says, a field a line."""

    seq: int
    session_id: str
    attempt: int
    iteration: int
    stream: str
    kind: str
    text: str
    at: int
    given: str = ""


@dataclass(slots=True)
class Said:
    """Leaves out lines that tell a reader nothing: figures only, and a result's words where they
    were just said. It remembers what was said last, so that a log may come in parts."""

    last: dict[str, tuple[int, int, str]] = field(default_factory=dict)

    def anew(self, line: LogLine, text: str) -> bool:
        """Whether the line, shown as `text`, says something that wasn't just said."""
        words = text.strip()
        turn = (line.attempt, line.iteration, words)
        if line.kind in _SILENT and (not words or self.last.get(line.session_id) == turn):
            return False
        if line.kind == "text" and words:
            self.last[line.session_id] = turn
        return True


def log_tail(db: Db, session_id: str, n: int = 50) -> tuple[LogLine, ...]:
    """The last n lines, oldest first."""
    rows = db.execute(
        f"SELECT {_LINE} FROM logs.lines WHERE session_id = ? ORDER BY seq DESC LIMIT ?",
        (session_id, n),
    ).fetchall()
    return _lines(reversed(rows))


def log_after(db: Db, session_id: str, seq: int, n: int = 1000) -> tuple[LogLine, ...]:
    """At most n lines after that sequence number, oldest first."""
    return _lines(
        db.execute(
            f"SELECT {_LINE} FROM logs.lines WHERE session_id = ? AND seq > ? ORDER BY seq LIMIT ?",
            (session_id, seq, n),
        )
    )


def heard_after(db: Db, positions: Mapping[str, int], n: int) -> tuple[LogLine, ...]:
    """At most n lines of those sessions, each after its sequence number, in their order."""
    rows = [
        tuple(row)
        for session, seq in positions.items()
        for row in db.execute(
            f"SELECT {_LINE} FROM logs.lines WHERE session_id = ? AND seq > ? ORDER BY seq LIMIT ?",
            (session, seq, n),
        )
    ]
    return _lines(sorted(rows)[:n])


def heard_from(db: Db, task: int | None, sessions: list[str]) -> tuple[frozenset[str], bool]:
    """The sessions of a task (of none: those given), and whether nothing comes from them any
    more."""
    if task is None:
        open_ = db.execute(
            "SELECT 1 FROM sessions WHERE id IN (SELECT value FROM json_each(?))"
            " AND state <> 'terminated'",
            (packed(sessions),),
        ).fetchone()
        return frozenset(sessions), open_ is None
    found = db.execute("SELECT id FROM sessions WHERE task_id = ?", (task,)).fetchall()
    state = one(db, "SELECT state FROM tasks WHERE id = ?", (task,))
    return frozenset(row[0] for row in found), state in (None, "done", "failed", "cancelled")


def log_marks_of(db: Db, session_id: str) -> tuple[str, ...]:
    """Where the log was cut, in Bullpen's own words, the newest last."""
    found = db.execute(
        "SELECT text FROM logs.lines INDEXED BY lines_marks WHERE stream = 'mark'"
        " AND session_id = ? AND kind <> 'file_change' AND data NOT LIKE '{\"note\"%'"
        " ORDER BY seq DESC LIMIT 3",
        (session_id,),
    )
    return tuple(row[0] for row in reversed(found.fetchall()))


def log_ends(db: Db, session_ids: list[str]) -> dict[str, int]:
    """The newest line's sequence number of each of those sessions; 0 where there is none."""
    return {
        row[0]: row[1] or 0
        for row in db.execute(
            "SELECT value, (SELECT max(seq) FROM logs.lines WHERE session_id = value)"
            " FROM json_each(?)",
            (packed(session_ids),),
        )
    }


def log_marks(db: Db, session_id: str, after: int, every: int) -> tuple[int, ...]:
    """The sequence numbers of each `every`-th line after `after`: where pages end."""
    found = []
    while seq := one(
        db,
        "SELECT seq FROM logs.lines WHERE session_id = ? AND seq > ? ORDER BY seq LIMIT 1 OFFSET ?",
        (session_id, after, every - 1),
    ):
        found.append(seq)
        after = seq
    return tuple(found)


def sessions_heard(db: Db, seq: int) -> frozenset[str]:
    """The sessions that have lines after `seq`, a number over all sessions."""
    return frozenset(
        row[0]
        for row in db.execute(
            "SELECT DISTINCT session_id FROM logs.lines NOT INDEXED WHERE seq > ?", (seq,)
        )
    )


def last_log_seq(db: Db) -> int:
    """The newest line's sequence number over all sessions, 0 when there is none."""
    return int(one(db, "SELECT max(seq) FROM logs.lines") or 0)


def _lines(rows: Any) -> tuple[LogLine, ...]:
    return tuple(_line(*row) for row in rows)


def _line(*values: Any) -> LogLine:
    line, data = LogLine(*values[:-1]), values[-1]
    line = replace(line, text=read(line.text))
    return replace(line, given=given_of(data, line.text)) if data else line
