"""One writer, many readers.

The writer owns a thread and one connection. It takes whole transactions, as functions of a
`Tx`, and commits what has queued up as a group: each act inside its own savepoint, so that
one that raises takes only itself back. Nothing is ever awaited inside a transaction.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import aiosqlite

from core.errors import Broken
from core.model import Event
from core.store import migrations

T = TypeVar("T")
Row = sqlite3.Row
Listener = Callable[[Sequence[Event]], None]

PRAGMAS = (
    "PRAGMA foreign_keys = ON",
    "PRAGMA trusted_schema = OFF",
    "PRAGMA busy_timeout = 5000",
    "PRAGMA temp_store = MEMORY",
)


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
        for table, key in (("tasks", event.task_id), ("sessions", event.session_id),
                           ("gates", event.gate_id)):
            if key is not None:
                self.run(f"UPDATE {table} SET revision = ? WHERE id = ?", (seq, key))  # noqa: S608
        stored = _stored(event, seq, self.now)
        self.events.append(stored)
        return stored


def _stored(event: Event, seq: int, now: int) -> Event:
    return Event(
        type=event.type, text=event.text, severity=event.severity, task_id=event.task_id,
        agent=event.agent, session_id=event.session_id, gate_id=event.gate_id,
        run_id=event.run_id, payload=event.payload, seq=seq, at=now,
    )


class Writer:
    """The thread that owns the writing connection of one database file."""

    def __init__(self, connect: Callable[[], sqlite3.Connection], now: Callable[[], int],
                 before_commit: Sequence[Callable[[Tx], None]] = ()) -> None:
        self._connect = connect
        self._now = now
        self.before_commit = list(before_commit)
        self.listeners: list[Listener] = []
        self._queue: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._thread = threading.Thread(target=self._work, name="bullpen-writer", daemon=True)
        self.statements = 0
        self.total_changes = 0

    async def start(self) -> None:
        self._thread.start()
        await self._opened

    async def write(self, act: Callable[[Tx], T]) -> T:
        """Run the act in a transaction; returns once it is committed and durable.

        A cancelled caller does not take it back: what has been asked is done, whole.
        """
        job = _Job(act, self._loop.create_future())
        self._queue.put(job)
        return await asyncio.shield(job.future)  # type: ignore[no-any-return]

    async def close(self) -> None:
        self._queue.put(None)
        while self._thread.is_alive():  # noqa: ASYNC110 - joins without blocking the loop
            await asyncio.sleep(0.002)

    def _work(self) -> None:
        try:
            db = self._connect()
        except BaseException as error:
            self._call(_settle, self._opened, None, error)
            return
        db.set_trace_callback(self._count)
        self._call(_settle, self._opened, None, None)
        with contextlib.closing(db):
            while batch := self._take():
                self._commit(db, batch)

    def _count(self, _statement: str) -> None:
        self.statements += 1

    def _take(self) -> list[_Job]:
        """Everything that waits, at least one; empty when the writer is to end."""
        job = self._queue.get()
        batch: list[_Job] = []
        while job is not None:
            batch.append(job)
            if len(batch) >= 256 or self._queue.empty():
                break
            job = self._queue.get()
        if job is None:
            self._queue.put(None)
        return batch if batch or job is not None else []

    def _commit(self, db: sqlite3.Connection, batch: list[_Job]) -> None:
        done: list[_Job] = []
        events: list[Event] = []
        try:
            db.execute("BEGIN IMMEDIATE")
            for job in batch:
                if self._perform(db, job):
                    done.append(job)
                    events.extend(job.events)
            db.execute("COMMIT")
            self.total_changes = db.total_changes
        except BaseException as error:
            with contextlib.suppress(sqlite3.Error):
                db.execute("ROLLBACK")
            self._call(_settle_all, batch, _translated(error))
            return
        self._call(self._publish, done, events)

    def _perform(self, db: sqlite3.Connection, job: _Job) -> bool:
        tx = Tx(db, self._now())
        db.execute("SAVEPOINT act")
        try:
            job.result = job.act(tx)
            for hook in self.before_commit if tx.events else ():
                hook(tx)
        except BaseException as error:
            db.execute("ROLLBACK TO act")
            db.execute("RELEASE act")
            self._call(_settle, job.future, None, _translated(error))
            return False
        db.execute("RELEASE act")
        job.events = tx.events
        return True

    def _publish(self, done: Iterable[_Job], events: Sequence[Event]) -> None:
        for job in done:
            _settle(job.future, job.result, None)
        if events:
            for listener in self.listeners:
                listener(events)

    def _call(self, function: Callable[..., None], *args: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(function, *args)


class _Job:
    __slots__ = ("act", "events", "future", "result")

    def __init__(self, act: Callable[[Tx], Any], future: asyncio.Future[Any]) -> None:
        self.act = act
        self.future = future
        self.result: Any = None
        self.events: list[Event] = []


def _settle(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
        future.exception()  # a caller that went away must not make noise


def _settle_all(batch: Iterable[_Job], error: BaseException) -> None:
    for job in batch:
        _settle(job.future, None, error)


def _translated(error: BaseException) -> BaseException:
    if isinstance(error, sqlite3.OperationalError):
        return Broken(f"The database can't be written: {error}. Free some space or mend the disk.")
    return error


def connect(path: Path, *, schema: str, readonly: bool = False) -> sqlite3.Connection:
    """A connection with this project's settings. Writers get WAL and their durability."""
    if readonly:
        db = sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None,
                             check_same_thread=False)
    else:
        db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    db.row_factory = sqlite3.Row
    for pragma in PRAGMAS:
        db.execute(pragma)
    if readonly:
        db.execute("PRAGMA query_only = ON")
    else:
        _prepare(db, schema)
    return db


def _prepare(db: sqlite3.Connection, schema: str) -> None:
    if db.execute("PRAGMA page_count").fetchone()[0] == 0:
        db.execute("PRAGMA auto_vacuum = INCREMENTAL")
    db.execute("PRAGMA journal_mode = WAL")
    # State must survive a power cut; parsed logs can be rebuilt from the output files.
    db.execute(f"PRAGMA synchronous = {'FULL' if schema == 'state' else 'NORMAL'}")
    migrations.apply(db, schema)


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
            aiosqlite.connect(f"file:{self.folder / 'bullpen.db'}?mode=ro", uri=True,
                              isolation_level=None))
        self._reader.row_factory = sqlite3.Row
        await self._reader.execute_fetchall("PRAGMA query_only = ON")
        return self

    async def close(self) -> None:
        await self._stack.aclose()

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
