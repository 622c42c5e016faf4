"""The parsed log: each line of an agent's output once, whatever crashes between."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from core.longlines import COLUMN, read
from core.model import AgentEvent, AgentEventKind
from core.ports import Line
from core.store.tx import Tx

_LINE = (
    "INSERT INTO lines (session_id, attempt, iteration, position, part, stream, kind, text, data,"
    " at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_JSON = msgspec.json.Encoder()
_BESIDE = 1_000_000


class Entry(msgspec.Struct, frozen=True):
    """A line of output and what its driver read in it."""

    line: Line
    events: Sequence[AgentEvent]


def position(tx: Tx, session_id: str, attempt: int) -> int:
    """How far the attempt's output is in the log (logs.db)."""
    return int(
        tx.value(
            "SELECT position FROM positions WHERE session_id = ? AND attempt = ?",
            (session_id, attempt),
        )
        or 0
    )


@dataclass(frozen=True, slots=True)
class Written:
    """What was added to the log: `last` is the sequence number of its newest row; the rows before
    have those just below."""

    session_id: str
    attempt: int
    iteration: int
    entries: Sequence[Entry]
    last: int


def append(
    tx: Tx, session_id: str, attempt: int, iteration: int, entries: Sequence[Entry]
) -> Written | None:
    """Add what lies beyond the stored position, and move it, in one transaction; None where that
    adds no row."""
    seen = position(tx, session_id, attempt)
    fresh = [entry for entry in entries if entry.line.end > seen]
    if not fresh:
        return None
    written = _insert(tx, Written(session_id, attempt, iteration, fresh, 0))
    tx.run(
        "INSERT INTO positions VALUES (?, ?, ?) ON CONFLICT (session_id, attempt) "
        "DO UPDATE SET position = excluded.position",
        (session_id, attempt, fresh[-1].line.end),
    )
    return written


def rows_of(new: Written) -> list[tuple[object, ...]]:
    """As they are inserted, in the order of `_LINE`."""
    about = (new.session_id, new.attempt, new.iteration)
    return [
        (
            *about,
            entry.line.end,
            part,
            entry.line.stream,
            event.kind.value,
            event.text,
            _encoded(event.data),
            entry.line.at,
        )
        for entry in new.entries
        for part, event in enumerate(entry.events)
    ]


def _insert(tx: Tx, new: Written) -> Written | None:
    rows = rows_of(new)
    if not rows:
        return None
    tx.many(_LINE, rows)
    return replace(new, last=int(tx.value("SELECT last_insert_rowid()")))


def _encoded(data: Mapping[str, Any]) -> str:
    if not data:
        return "{}"
    try:
        return _JSON.encode(data).decode()
    except (TypeError, ValueError, OverflowError, RecursionError):
        return json.dumps(dict(data), default=str)


def note(
    tx: Tx, session_id: str, attempt: int, iteration: int, words: str, key: str
) -> Written | None:
    """Bullpen's own words between the agent's, once for that key."""
    data = {"note": key}
    if tx.one(
        "SELECT 1 FROM lines WHERE stream = 'mark' AND session_id = ? AND attempt = ? AND data = ?",
        (session_id, attempt, _encoded(data)),
    ):
        return None
    end = position(tx, session_id, attempt)
    kind = AgentEventKind.TEXT
    about = (session_id, attempt, iteration, end, _BESIDE - 1, "mark", kind.value)
    tx.run(_LINE, (*about, words, _encoded(data), tx.now))
    last = int(tx.value("SELECT last_insert_rowid()"))
    entry = Entry(Line("mark", tx.now, "", end), (AgentEvent(kind, words, data),))
    return Written(session_id, attempt, iteration, (entry,), last)


def note_files(
    tx: Tx, session_id: str, attempt: int, iteration: int, events: Sequence[AgentEvent]
) -> Written | None:
    """The files that an iteration was seen to change, where its agent has told of none; once."""
    if not events or tx.one(
        "SELECT 1 FROM lines WHERE session_id = ? AND iteration = ? AND kind = 'file_change'",
        (session_id, iteration),
    ):
        return None
    end = position(tx, session_id, attempt)
    # Behind the last line of output, beside it: its own parts are never so many.
    rows = [
        (
            session_id,
            attempt,
            iteration,
            end,
            _BESIDE * iteration + number,
            "mark",
            event.kind.value,
            event.text,
            _encoded(event.data),
            tx.now,
        )
        for number, event in enumerate(events)
    ]
    tx.many(_LINE, rows)
    last = int(tx.value("SELECT last_insert_rowid()"))
    entry = Entry(Line("mark", tx.now, "", end), events)
    return Written(session_id, attempt, iteration, (entry,), last)


def last_finished(tx: Tx, session_id: str, attempt: int) -> AgentEvent | None:
    """The newest `finished` event of the attempt; one without words has the agent's last."""
    row = tx.one(
        "SELECT text, data FROM lines WHERE session_id = ? AND attempt = ? "
        "AND kind = 'finished' ORDER BY seq DESC LIMIT 1",
        (session_id, attempt),
    )
    if row is None:
        return None
    words = row["text"] or _closing(tx, session_id, attempt)
    return AgentEvent(AgentEventKind.FINISHED, words, json.loads(row["data"]))


def rests(tx: Tx, session_id: str, attempt: int) -> bool:
    """Whether it has given a result, and begun no further turn since."""
    kind = tx.value(
        "SELECT kind FROM lines WHERE session_id = ? AND attempt = ? "
        "AND kind IN ('started', 'finished') ORDER BY seq DESC LIMIT 1",
        (session_id, attempt),
    )
    return bool(kind == AgentEventKind.FINISHED.value)


def _closing(tx: Tx, session_id: str, attempt: int) -> str:
    found = tx.value(
        "SELECT text FROM lines WHERE session_id = ? AND attempt = ? AND kind = 'text' "
        "AND data = ? ORDER BY seq DESC LIMIT 1",
        (session_id, attempt, _encoded({"closing": True})),
    )
    return str(found or "")


def tail(tx: Tx, session_id: str, count: int, *, own: bool = False) -> list[str]:
    """The last lines that people read, oldest first. `own`: the agent's, none of Bullpen's."""
    found = tx.all(
        f"SELECT {COLUMN} AS text FROM lines WHERE session_id = ? AND text <> '' "  # noqa: S608
        "AND NOT (? AND stream = 'mark') ORDER BY seq DESC LIMIT ?",
        (session_id, own, count),
    )
    return [read(row["text"]) for row in reversed(found)]
