"""A transaction under way: rows changed and events appended, together or not at all."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

from core.model import Event

Row = sqlite3.Row

_EVENT = (
    "INSERT INTO events (type, severity, text, task_id, agent, session_id, gate_id, run_id, "
    "payload, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


class Tx:
    """A transaction under way. Only the writer makes one; it is dead once its act returns."""

    def __init__(self, db: sqlite3.Connection, now: int) -> None:
        self._db = db
        self.now = now
        self.events: list[Event] = []
        self.statements = 0

    def _execute(self, sql: str, params: Sequence[Any]) -> sqlite3.Cursor:
        self.statements += 1
        return self._db.execute(sql, params)

    def all(self, sql: str, params: Sequence[Any] = ()) -> list[Row]:
        return self._execute(sql, params).fetchall()

    def one(self, sql: str, params: Sequence[Any] = ()) -> Row | None:
        row: Row | None = self._execute(sql, params).fetchone()
        return row

    def value(self, sql: str, params: Sequence[Any] = ()) -> Any:
        """The first column of the first row, or None."""
        row = self.one(sql, params)
        return None if row is None else row[0]

    def run(self, sql: str, params: Sequence[Any] = ()) -> int:
        """Execute; returns how many rows changed."""
        return self._execute(sql, params).rowcount

    def many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """Execute it for each of these rows."""
        self.statements += len(rows)
        self._db.executemany(sql, rows)

    def insert(self, table: str, **values: Any) -> int:
        """Insert one row; returns its rowid. Table and column names are the code's own."""
        names = ", ".join(values)
        marks = ", ".join("?" * len(values))
        sql = f"INSERT INTO {table} ({names}) VALUES ({marks})"  # noqa: S608
        return int(self._execute(sql, tuple(values.values())).lastrowid or 0)

    def update(self, table: str, where: dict[str, Any], **values: Any) -> bool:
        """Guarded update: False when no row is in the state that `where` names."""
        sets = ", ".join(f"{name} = ?" for name in values)
        conds = " AND ".join(f"{name} IS ?" for name in where)
        sql = f"UPDATE {table} SET {sets} WHERE {conds}"  # noqa: S608
        return self.run(sql, (*values.values(), *where.values())) > 0

    def emit(self, event: Event) -> Event:
        """Append an event, in this transaction; what it tells of is marked as changed by the
        schema's triggers."""
        payload = json.dumps(dict(event.payload), ensure_ascii=False) if event.payload else "{}"
        told = (event.task_id, event.agent, event.session_id, event.gate_id, event.run_id)
        seq = self._execute(
            _EVENT, (event.type, event.severity.value, event.text, *told, payload, self.now)
        ).lastrowid
        stored = Event(
            event.type, event.text, event.severity, *told, event.payload, seq or 0, self.now
        )
        self.events.append(stored)
        return stored

    @contextlib.contextmanager
    def attempt(self) -> Iterator[None]:
        """What raises inside is taken back, rows and events, and raised on; the rest stays."""
        events = len(self.events)
        self._db.execute("SAVEPOINT attempt")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK TO attempt")
            del self.events[events:]
            raise
        finally:
            self._db.execute("RELEASE attempt")
