"""The parsed log: each line of an agent's output once, whatever crashes between."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from core.model import AgentEvent, AgentEventKind
from core.ports import Line
from core.store.database import Tx


@dataclass(frozen=True, slots=True)
class Entry:
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


def append(tx: Tx, session_id: str, attempt: int, iteration: int, entries: Sequence[Entry]) -> None:
    """Add what lies beyond the stored position, and move it, in one transaction."""
    seen = position(tx, session_id, attempt)
    fresh = [entry for entry in entries if entry.line.end > seen]
    for entry in fresh:
        for part, event in enumerate(entry.events):
            tx.run(
                "INSERT INTO lines (session_id, attempt, iteration, position, part, stream, "
                "kind, text, data, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    session_id,
                    attempt,
                    iteration,
                    entry.line.end,
                    part,
                    entry.line.stream,
                    event.kind.value,
                    event.text,
                    json.dumps(dict(event.data)),
                    entry.line.at,
                ),
            )
    if fresh:
        tx.run(
            "INSERT INTO positions VALUES (?, ?, ?) ON CONFLICT (session_id, attempt) "
            "DO UPDATE SET position = excluded.position",
            (session_id, attempt, fresh[-1].line.end),
        )


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


def _closing(tx: Tx, session_id: str, attempt: int) -> str:
    found = tx.value(
        "SELECT text FROM lines WHERE session_id = ? AND attempt = ? AND kind = 'text' "
        "AND data = ? ORDER BY seq DESC LIMIT 1",
        (session_id, attempt, json.dumps({"closing": True})),
    )
    return str(found or "")


def tail(tx: Tx, session_id: str, count: int) -> list[str]:
    """The last lines that people read, oldest first."""
    found = tx.all(
        "SELECT text FROM lines WHERE session_id = ? AND text <> '' ORDER BY seq DESC LIMIT ?",
        (session_id, count),
    )
    return [row["text"] for row in reversed(found)]
