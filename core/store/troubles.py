"""What SQLite says when a file can't be used, in words for a person."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from core.errors import Broken


def translated(error: BaseException, path: Path | None = None) -> BaseException:
    """The same trouble as one of our errors, naming the file; any other error as it is."""
    name = f"The database {path}" if path else "The database"
    if isinstance(error, sqlite3.OperationalError):
        return Broken(f"{name} can't be written: {error}. Free some space, or make it writable.")
    if type(error) is sqlite3.DatabaseError:  # its subclasses tell of our own mistakes
        return Broken(f"{name} is damaged ({error}): restore a backup.")
    return error
