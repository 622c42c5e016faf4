"""A transaction under way: rows changed and events appended, together or not at all."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from core.model import Event

Row = sqlite3.Row


class Tx:
    """A transaction under way. Only the writer makes one; it is dead once its act returns."""

    def __init__(self, db: sqlite3.Connection, now: int) -> None:
        self._db = db
        self.now = now
        self.events: list[Event] = []

    def all(self, sql: str, params: Sequence[Any] = ()) -> list[Row]:
        return self._db.execute(sql, params).fetchall()

    def one(self, sql: str, params: Sequence[Any] = ()) -> Row | None:
        row: Row | None = self._db.execute(sql, params).fetchone()
        return row

    def value(self, sql: str, params: Sequence[Any] = ()) -> Any:
        """The first column of the first row, or None."""
        row = self.one(sql, params)
        return None if row is None else row[0]

    def run(self, sql: str, params: Sequence[Any] = ()) -> int:
        """Execute; returns how many rows changed."""
        return self._db.execute(sql, params).rowcount

    def insert(self, table: str, **values: Any) -> int:
        """Insert one row; returns its rowid. Table and column names are the code's own."""
        names = ", ".join(values)
        marks = ", ".join("?" * len(values))
        sql = f"INSERT INTO {table} ({names}) VALUES ({marks})"  # noqa: S608
        return int(self._db.execute(sql, tuple(values.values())).lastrowid or 0)

    def update(self, table: str, where: dict[str, Any], **values: Any) -> bool:
        """Guarded update: False when no row is in the state that `where` names."""
        sets = ", ".join(f"{name} = ?" for name in values)
        conds = " AND ".join(f"{name} IS ?" for name in where)
        sql = f"UPDATE {table} SET {sets} WHERE {conds}"  # noqa: S608
        return self.run(sql, (*values.values(), *where.values())) > 0

    def emit(self, event: Event) -> Event:
        """Append an event, in this transaction; marks what it tells of as changed."""
        seq = self.insert(
            "events",
            type=event.type,
            severity=event.severity.value,
            text=event.text,
            task_id=event.task_id,
            agent=event.agent,
            session_id=event.session_id,
            gate_id=event.gate_id,
            run_id=event.run_id,
            payload=json.dumps(dict(event.payload), ensure_ascii=False),
            at=self.now,
        )
        for table, key in (
            ("tasks", event.task_id),
            ("sessions", event.session_id),
            ("gates", event.gate_id),
        ):
            if key is not None:
                self.run(f"UPDATE {table} SET revision = ? WHERE id = ?", (seq, key))  # noqa: S608
        stored = replace(event, seq=seq, at=self.now)
        self.events.append(stored)
        return stored
