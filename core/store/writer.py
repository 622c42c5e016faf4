"""The writer: one thread, one connection, whole transactions, committed in groups.

Each act runs inside its own savepoint, so that one that raises takes only itself back.
Nothing is ever awaited inside a transaction.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from core.model import Event
from core.store.troubles import translated
from core.store.tx import Tx

T = TypeVar("T")
Listener = Callable[[Sequence[Event]], None]


class Writer:
    """The thread that owns the writing connection of one database file."""

    def __init__(
        self,
        connect: Callable[[], sqlite3.Connection],
        now: Callable[[], int],
        before_commit: Sequence[Callable[[Tx], None]] = (),
    ) -> None:
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
        result: T = await asyncio.shield(job.future)
        return result

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
        self._call(_settle, self._opened, None, None)
        with contextlib.closing(db):
            while batch := self._take():
                self._commit(db, batch)

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
            self.statements += 2
            self.total_changes = db.total_changes
        except BaseException as error:
            with contextlib.suppress(sqlite3.Error):
                db.execute("ROLLBACK")
            self._call(_settle_all, batch, translated(error))
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
            self._call(_settle, job.future, None, translated(error))
            return False
        db.execute("RELEASE act")
        self.statements += 2 + tx.statements
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
