"""Numbered SQL files, each applied once, in order, in a transaction of its own."""

from __future__ import annotations

import re
import sqlite3
from importlib import resources
from pathlib import Path

from core.errors import Broken

PREFIX = {"state": "", "logs": "logs_"}


def apply(db: sqlite3.Connection, schema: str, path: Path) -> None:
    """Bring the database at `path` up to the newest schema. Raises Broken, naming it, on
    damage or a newer schema; what SQLite can't do with it raises sqlite3.Error."""
    found = db.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        words = " ".join(found.split())
        raise Broken(f"The database {path} is damaged ({words}): restore a backup.")
    steps = _files(schema)
    have = db.execute("PRAGMA user_version").fetchone()[0]
    if have > len(steps):
        raise Broken(
            f"The database {path} has schema {have}; this Bullpen knows {len(steps)}. "
            "Start the newer Bullpen that wrote it."
        )
    for number in range(have + 1, len(steps) + 1):
        _step(db, number, steps[number])


def _files(schema: str) -> dict[int, str]:
    pattern = re.compile(rf"^{PREFIX[schema]}(\d{{4}})_\w+\.sql$")
    found = {}
    for entry in resources.files("core.store").iterdir():
        if match := pattern.match(entry.name):
            found[int(match[1])] = entry.read_text(encoding="utf-8")
    return found


def _step(db: sqlite3.Connection, number: int, script: str) -> None:
    # executescript commits what is open, so the script carries its own transaction.
    try:
        db.executescript(f"BEGIN IMMEDIATE;\n{script}\nPRAGMA user_version = {number};\nCOMMIT;")
    except sqlite3.Error as error:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise Broken(f"Schema {number} could not be applied: {error}.") from error
