"""Claiming the best ready task, with its event, as durable as the platform allows.

First 32 claimers at once: the bare sqlite3 module in a transaction each and in groups of 32,
Bullpen's own claim through its writer, and huey's SQLite store (which keeps no event and knows
no dependencies) with 32 threads. All with synchronous=FULL: huey's default leaves SQLite's own,
which is FULL too. Then one claim alone, while the most urgent tasks can't be had: blocked, held
by a run, or asking for an agent that isn't there; beside the join that asks for dependencies
each time. `python benchmarks/claim.py [TASKS …]` (10000 and 100000 by default)
"""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from _bench import NOW, add_tasks, bare, met, micros, rate, sizes, table

from core.model import TaskState
from core.store import claims
from core.store.database import Store, Tx

CLAIMERS, EACH, ROUNDS = 32, 40, 7
CLAIMS = CLAIMERS * EACH

HEAD = """
SELECT id FROM tasks INDEXED BY tasks_ready WHERE state = 'ready'
ORDER BY priority DESC, begun DESC, position IS NULL, position, id LIMIT 1
"""
JOINED = """
SELECT id FROM tasks INDEXED BY tasks_ready WHERE state = 'ready' AND NOT EXISTS
  (SELECT 1 FROM dependencies JOIN tasks AS needed ON needed.id = needs_id
   WHERE task_id = tasks.id AND needed.state <> 'done')
ORDER BY priority DESC, begun DESC, position IS NULL, position, id LIMIT 1
"""
TAKE = (
    "UPDATE tasks SET state = 'in_flight', begun = 1, assignee = 'bench', started_at = ?,"
    " updated_at = ? WHERE id = ? AND state = 'ready'"
)
TELL = (
    "INSERT INTO events (type, severity, text, task_id, agent, at)"
    " VALUES ('task.started', 'info', 'bench is on it', ?, 'bench', ?)"
)
BACK = (
    "UPDATE tasks SET state = 'ready', begun = 0, assignee = NULL, assigned_step = NULL,"
    " started_at = NULL WHERE state = 'in_flight'"
)


def take(tx: Tx) -> None:
    """What a claimer does: the best task, taken, and the event that tells of it."""
    head = claims.best(tx)
    assert head is not None
    claims.claim(tx, head.id, "bench", TaskState.IN_FLIGHT)


# -- 32 at once ----------------------------------------------------------------------------


class Bare:
    """The module itself, from one thread: more would only stand in each other's way."""

    def __init__(self, folder: Path, group: int) -> None:
        self._db, self._group = bare(folder), group

    def claim(self) -> None:
        for _ in range(CLAIMS // self._group):
            self._db.execute("BEGIN IMMEDIATE")
            for _ in range(self._group):
                (task,) = self._db.execute(HEAD).fetchone()
                self._db.execute(TAKE, (NOW, NOW, task))
                self._db.execute(TELL, (task, NOW))
            self._db.execute("COMMIT")

    def close(self) -> None:
        self._db.close()


class Huey:
    def __init__(self, folder: Path, many: int) -> None:
        from huey import SqliteHuey

        self._huey = SqliteHuey(filename=str(folder / "huey.db"), fsync=True)
        self._many = many
        self._task = self._huey.task()(_nothing)
        self.fill()

    def fill(self) -> None:
        """As many tasks as there were, in one transaction."""
        data = self._huey.serialize_task(self._task.s(1))
        missing = self._many - self._huey.storage.queue_size()
        with self._huey.storage.db(commit=True) as cursor:
            cursor.executemany(
                "INSERT INTO task (queue, data, priority) VALUES (?, ?, 1)",
                [(self._huey.name, data)] * missing,
            )

    def claim(self, pool: ThreadPoolExecutor) -> None:
        list(pool.map(lambda _: self._some(), range(CLAIMERS)))

    def _some(self) -> None:
        for _ in range(EACH):
            assert self._huey.dequeue() is not None


def _nothing(_number: int) -> None:
    pass


async def _claimers(store: Store) -> None:
    """Each in a transaction of its own; the writer commits them in groups."""

    async def one() -> None:
        for _ in range(EACH):
            await store.write(take)

    await asyncio.gather(*(one() for _ in range(CLAIMERS)))


async def _dispatches(store: Store) -> None:
    """As a dispatch does it: all that may start now, in one transaction."""
    for _ in range(EACH):
        await store.write(lambda tx: [take(tx) for _ in range(CLAIMERS)])


class Field:
    """All contenders on data of that size."""

    def __init__(self, folder: Path, many: int, store: Store, pool: ThreadPoolExecutor) -> None:
        self._store = store
        self._bare = {"sqlite3, one by one": Bare(folder, 1),
                      "sqlite3, in groups of 32": Bare(folder, CLAIMERS)}
        self._huey, self._pool = Huey(folder, many), pool
        self.taken: dict[str, list[float]] = {}

    async def round(self) -> None:
        for words, rival in self._bare.items():
            self._note(words, rate(CLAIMS, rival.claim))
            await self._store.write(_back)
        self._note("huey", rate(CLAIMS, lambda: self._huey.claim(self._pool)))
        self._huey.fill()
        for words, way in (("Bullpen", _claimers), ("Bullpen, 32 in one dispatch", _dispatches)):
            begun = time.perf_counter()
            await way(self._store)
            self._note(words, CLAIMS / (time.perf_counter() - begun))
            await self._store.write(_back)

    def _note(self, words: str, found: float) -> None:
        self.taken.setdefault(words, []).append(found)

    def close(self) -> None:
        for rival in self._bare.values():
            rival.close()


async def at_once(all_sizes: list[int]) -> dict[int, dict[str, float]]:
    """Claims a second of each contender at each size: medians of rounds in which all of them
    take turns, so that whatever else the machine does falls on all alike."""
    async with contextlib.AsyncExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(CLAIMERS))
        fields = {}
        for many in all_sizes:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            store = await Store(folder, lambda: NOW).open()
            stack.push_async_callback(store.close)
            await store.write(lambda tx, many=many: add_tasks(tx, many))
            await store.write(claims.demands)
            fields[many] = Field(folder, many, store, pool)
            stack.callback(fields[many].close)
        for _ in range(ROUNDS):
            for field in fields.values():
                await field.round()
        return {many: {words: statistics.median(found) for words, found in field.taken.items()}
                for many, field in fields.items()}


def _back(tx: Tx) -> None:
    """All is ready again, as before the round."""
    tx.run(BACK)
    claims.demands(tx)


# -- what can't be had at the head ---------------------------------------------------------


def blocked(tx: Tx, ids: range) -> None:
    tx.run("UPDATE tasks SET state = 'blocked', unmet = 1 WHERE id BETWEEN ? AND ?", _ends(ids))


def held(tx: Tx, ids: range) -> None:
    tx.run("UPDATE tasks SET held = 'wave' WHERE id BETWEEN ? AND ?", _ends(ids))


def unfit(tx: Tx, ids: range) -> None:
    tx.run(
        "INSERT INTO task_labels SELECT id, 'skill', 'welding' FROM tasks"
        " WHERE id BETWEEN ? AND ?",
        _ends(ids),
    )


def waiting(tx: Tx, ids: range) -> None:
    """For the join: ready by their state, and a task that isn't done is needed by each."""
    (needed,) = add_tasks(tx, 1, "inbox")
    tx.run(
        "INSERT INTO dependencies SELECT id, ? FROM tasks WHERE id BETWEEN ? AND ?",
        (needed, *_ends(ids)),
    )


def _ends(ids: range) -> tuple[int, int]:
    return ids[0], ids[-1]


async def alone(many: int, spoil: Callable[[Tx, range], None] | None, joined: bool) -> float:
    """Microseconds of one claim, within one transaction."""
    with tempfile.TemporaryDirectory() as name:
        store = await Store(Path(name), lambda: NOW).open()
        try:
            await store.write(lambda tx: add_tasks(tx, 600))
            urgent = await store.write(lambda tx: add_tasks(tx, many, priority=3))
            if spoil is not None:
                await store.write(lambda tx: spoil(tx, urgent))
            await store.write(claims.demands)
            await store.write(lambda tx: tx.run("ANALYZE"))
            count = 20 if joined else 500
            act = _take_joined if joined else take
            return await store.write(lambda tx: micros(count, lambda: act(tx)))
        finally:
            await store.close()


def _take_joined(tx: Tx) -> None:
    task = tx.value(JOINED)
    tx.run(TAKE, (NOW, NOW, task))
    tx.run(TELL, (task, NOW))


# -- the tables ----------------------------------------------------------------------------


def main() -> None:
    found = asyncio.run(at_once(sizes()))
    first, last = min(found), max(found)
    table(
        ["32 claimers at once, claims/s", *(f"{many} tasks" for many in found),
         *(f"{many}: × huey" for many in found)],
        [[words, *(f"{found[many][words]:.0f}" for many in found),
          *(f"{found[many][words] / found[many]['huey']:.1f}" for many in found)]
         for words in found[first]],
    )
    over = min(rates["Bullpen"] / rates["huey"] for rates in found.values())
    flat = found[last]["Bullpen"] / found[first]["Bullpen"]
    print(met(over >= 5, f"{over:.1f} × huey (goal: 5)"))
    print(met(flat >= 0.9, f"{last} at {flat:.2f} of {first} (goal: 0.9)"), end="\n\n")
    _heads()


def _heads() -> None:
    kinds = {"nothing in the way": None, "blocked": blocked, "held by a run": held,
             "nobody fits": unfit}
    lines, worst = [], 0.0
    free: dict[int, float] = {}
    for words, spoil in kinds.items():
        taken = {many: asyncio.run(alone(many, spoil, False)) for many in sizes()}
        free = free or taken
        worst = max(worst, *(taken[many] / free[many] for many in taken))
        lines.append([words, *(f"{value:.0f} µs" for value in taken.values())])
    joins = {many: asyncio.run(alone(many, waiting, True)) for many in sizes()}
    lines.append(["blocked, by a join in bare SQL", *(f"{one:.0f} µs" for one in joins.values())])
    table(["one claim, the most urgent tasks are", *(f"{many}" for many in sizes())], lines)
    print(met(worst <= 2, f"at most {worst:.2f} × what it takes unblocked (goal: 2)"), end="\n\n")


if __name__ == "__main__":
    main()
