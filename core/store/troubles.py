"""What SQLite says when a file can't be used, in words for a person."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from core.errors import Broken

_OF_THE_FILE = frozenset(
    {
        sqlite3.SQLITE_INTERNAL,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_INTERRUPT,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_NOTADB,
    }
)
"""Results of SQLite's that tell of the file, whatever is written to it."""


def of_the_file(error: BaseException | None) -> bool:
    """Whether the file can't be used, and not what was to be written is at fault; also where it
    was met on the way to this error."""
    while error is not None:
        code = getattr(error, "sqlite_errorcode", None)
        if isinstance(error, sqlite3.Error) and code is not None and code & 0xFF in _OF_THE_FILE:
            return True
        error = error.__context__
    return False


def translated(error: BaseException, path: Path | None = None) -> BaseException:
    """The same trouble as one of our errors, naming the file; any other error as it is."""
    name = f"The database {path}" if path else "The database"
    if isinstance(error, sqlite3.OperationalError):
        return Broken(f"{name} can't be written: {error}. Free some space, or make it writable.")
    if type(error) is sqlite3.DatabaseError:  # its subclasses tell of our own mistakes
        return Broken(f"{name} is damaged ({error}): restore a backup.")
    return error
