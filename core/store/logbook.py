"""Writes what many sessions said in one stroke.

A statement that is executed a row at a time gives the interpreter's lock away with each row, and
waits to get it back while the loop is busy. So all that came in one turn of the loop, whoever
said it, is one act of few statements.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass

from core.store.logs import Entry, Written, rows_of
from core.store.tx import Tx
from core.store.writer import Writer

_SIZES = (100, 10, 1)
"""Rows of one statement: few different ones, so that each is prepared once."""
_COLUMNS = "session_id, attempt, iteration, position, part, stream, kind, text, data, at"
_INSERT = {
    size: f"INSERT INTO lines ({_COLUMNS}) VALUES "  # noqa: S608 - our own words and marks
    + ", ".join(["(?,?,?,?,?,?,?,?,?,?)"] * size)
    for size in _SIZES
}
_SEEN = """
SELECT json_group_object(p.session_id || ' ' || p.attempt, p.position) FROM json_each(?) AS asked
JOIN positions AS p ON p.session_id = asked.value ->> 0 AND p.attempt = asked.value ->> 1
"""
_MOVED = """
INSERT INTO positions SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(?) WHERE true
ON CONFLICT (session_id, attempt) DO UPDATE SET position = excluded.position
"""


@dataclass(frozen=True, slots=True)
class _Said:
    session_id: str
    attempt: int
    iteration: int
    entries: Sequence[Entry]
    settled: asyncio.Future[Written | None]


class Logbook:
    """The way of tailers to the log."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._waiting: list[_Said] = []
        self._writing: set[asyncio.Task[None]] = set()

    async def append(
        self, session_id: str, attempt: int, iteration: int, entries: Sequence[Entry]
    ) -> Written | None:
        """As `logs.append`, together with what others say in this turn of the loop. At most one
        call for an attempt at a time."""
        loop = asyncio.get_running_loop()
        said = _Said(session_id, attempt, iteration, entries, loop.create_future())
        if not self._waiting:
            loop.call_soon(self._flush)
        self._waiting.append(said)
        return await said.settled

    def _flush(self) -> None:
        batch, self._waiting = self._waiting, []
        writing = asyncio.get_running_loop().create_task(self._write(batch))
        self._writing.add(writing)
        writing.add_done_callback(self._writing.discard)

    async def _write(self, batch: Sequence[_Said]) -> None:
        try:
            written = await self._writer.write(lambda tx: _append_all(tx, batch))
        except Exception as error:
            if len(batch) == 1:
                _settle(batch[0], error)
                return
            for said in batch:  # one's trouble is not that of the others
                await self._write([said])
            return
        for said, one in zip(batch, written, strict=True):
            if not said.settled.done():
                said.settled.set_result(one)


def _settle(said: _Said, error: Exception) -> None:
    if not said.settled.done():
        said.settled.set_exception(error)


def _append_all(tx: Tx, batch: Sequence[_Said]) -> list[Written | None]:
    asked = json.dumps([[said.session_id, said.attempt] for said in batch])
    seen = json.loads(tx.value(_SEEN, (asked,)))
    fresh = [_fresh(said, seen.get(f"{said.session_id} {said.attempt}", 0)) for said in batch]
    rows = [rows_of(one) for one in fresh]
    last = _insert(tx, [row for some in rows for row in some])
    moved = [
        [one.session_id, one.attempt, one.entries[-1].line.end] for one in fresh if one.entries
    ]
    if moved:
        tx.run(_MOVED, (json.dumps(moved),))
    return _numbered(fresh, rows, last)


def _fresh(said: _Said, seen: int) -> Written:
    """What of it lies beyond the stored position."""
    entries = said.entries
    if entries and entries[0].line.end <= seen:
        entries = [entry for entry in entries if entry.line.end > seen]
    return Written(said.session_id, said.attempt, said.iteration, entries, 0)


def _insert(tx: Tx, rows: Sequence[Sequence[object]]) -> int:
    """The number of the last row."""
    at = 0
    for size in _SIZES:
        while len(rows) - at >= size:
            tx.run(_INSERT[size], [value for row in rows[at : at + size] for value in row])
            at += size
    return int(tx.value("SELECT last_insert_rowid()")) if rows else 0


def _numbered(
    fresh: Sequence[Written], rows: Sequence[Sequence[object]], last: int
) -> list[Written | None]:
    found: list[Written | None] = []
    after = sum(map(len, rows))
    for one, some in zip(fresh, rows, strict=True):
        after -= len(some)
        found.append(
            Written(one.session_id, one.attempt, one.iteration, one.entries, last - after)
            if some
            else None
        )
    return found
