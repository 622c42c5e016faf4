"""The two databases of a data folder: one writer each, many readers."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import aiosqlite

from core.errors import Broken
from core.store import migrations
from core.store.logbook import Logbook
from core.store.troubles import translated
from core.store.tx import Row, Tx
from core.store.writer import Listener, Writer

__all__ = ["Listener", "Row", "Store", "Tx", "Writer", "connect", "read_connection"]

T = TypeVar("T")

PRAGMAS = (
    "PRAGMA foreign_keys = ON",
    "PRAGMA trusted_schema = OFF",
    "PRAGMA busy_timeout = 5000",
    "PRAGMA temp_store = MEMORY",
)


def connect(path: Path, *, schema: str, readonly: bool = False) -> sqlite3.Connection:
    """A connection with this project's settings. Writers get WAL and their durability."""
    if readonly:
        db = sqlite3.connect(
            f"file:{path}?mode=ro", uri=True, isolation_level=None, check_same_thread=False
        )
    else:
        db = sqlite3.connect(
            path, isolation_level=None, check_same_thread=False, cached_statements=512
        )
    db.row_factory = sqlite3.Row
    for pragma in PRAGMAS:
        db.execute(pragma)
    if readonly:
        db.execute("PRAGMA query_only = ON")
        return db
    try:
        _prepare(db, schema, path)
    except BaseException as error:
        db.close()
        if isinstance(error, sqlite3.Error):
            raise translated(error, path) from error
        raise
    return db


def _prepare(db: sqlite3.Connection, schema: str, path: Path) -> None:
    if db.execute("PRAGMA page_count").fetchone()[0] == 0:
        db.execute("PRAGMA auto_vacuum = INCREMENTAL")
    db.execute("PRAGMA journal_mode = WAL")
    # State must survive a power cut; parsed logs can be rebuilt from the output files.
    db.execute(f"PRAGMA synchronous = {'FULL' if schema == 'state' else 'NORMAL'}")
    migrations.apply(db, schema, path)
    # A file that may only be read opens like any other: found out here, not at the first act.
    db.execute("BEGIN IMMEDIATE")
    db.execute("PRAGMA user_version = 0")
    db.execute("ROLLBACK")


def read_connection(folder: Path) -> sqlite3.Connection:
    """A read-only connection to `bullpen.db` with `logs.db` attached as `logs`."""
    db = connect(folder / "bullpen.db", schema="state", readonly=True)
    db.execute("ATTACH DATABASE ? AS logs", (f"file:{folder / 'logs.db'}?mode=ro",))
    return db


class Store:
    """The state (`bullpen.db`) and the parsed logs (`logs.db`) of one data folder."""

    def __init__(self, folder: Path, now: Callable[[], int]) -> None:
        self.folder = folder
        self.now = now
        self.state = Writer(lambda: connect(folder / "bullpen.db", schema="state"), now)
        self.logs = Writer(lambda: connect(folder / "logs.db", schema="logs"), now)
        self.book = Logbook(self.logs)
        self.heard: list[Callable[[Any], None]] = []
        """Called in the loop with each `logs.Written`, once it is committed."""
        self._stack = contextlib.AsyncExitStack()
        self._views: Writer | None = None
        self._reader: aiosqlite.Connection | None = None

    async def open(self) -> Store:
        """Open, check and migrate. Raises Broken when the files are damaged or too new."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        await self.state.start()
        self._stack.push_async_callback(self.state.close)
        await self.logs.start()
        self._stack.push_async_callback(self.logs.close)
        self._reader = await self._stack.enter_async_context(
            aiosqlite.connect(
                f"file:{self.folder / 'bullpen.db'}?mode=ro", uri=True, isolation_level=None
            )
        )
        self._reader.row_factory = sqlite3.Row
        await self._reader.execute_fetchall("PRAGMA query_only = ON")
        return self

    async def close(self) -> None:
        await self._stack.aclose()

    def tell(self, written: Any) -> None:
        """What was added to the log, and is committed (None: nothing), to who listens."""
        for hear in self.heard if written is not None else ():
            hear(written)

    async def write(self, act: Callable[[Tx], T]) -> T:
        """One act on the state: row(s), event(s) and deliveries in one transaction."""
        return await self.state.write(act)

    async def read(self, sql: str, params: Sequence[Any] = ()) -> list[Row]:
        """One SELECT on the state, in one hop."""
        if self._reader is None:
            raise Broken("The database is not open.")
        return list(await self._reader.execute_fetchall(sql, params))

    async def view(self, look: Callable[[sqlite3.Connection], T]) -> T:
        """Several SELECTs over both files, in one thread hop with a connection of its own."""

        def run() -> T:
            with contextlib.closing(read_connection(self.folder)) as db:
                db.execute("BEGIN")
                return look(db)

        return await asyncio.to_thread(run)
