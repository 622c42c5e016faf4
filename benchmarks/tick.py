"""All SQL of one whole turn in which there is nothing to do: the look, and the dispatch.

200 sessions are open, and no task can be given away: the crew is at its limit. The statements
of one turn are heard, then run again on a connection of their own; beside them a turn that is
put together from plain joins. `python benchmarks/tick.py [TASKS …]` (10000 and 100000)
"""

from __future__ import annotations

import asyncio
import sqlite3
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from _bench import NOW, add_tasks, bare, met, micros, sizes, table

from core.orchestrator import Orchestrator
from core.store import claims
from core.store.database import Store, Tx
from tests.house_bench import house

SESSIONS, ROUNDS = 200, 201

# A third works, a third waits at a gate, a third is through and waits for its review.
OPEN = """
INSERT INTO sessions (id, task_id, step, agent, driver, sandbox, state, worktree, worktree_state,
                      created_at)
SELECT 'shell-' || id, id, 'work', 'shell', 'command', 'host',
  CASE id % 3 WHEN 2 THEN 'suspended' ELSE 'running' END, '/nowhere', 'active', :now
FROM tasks WHERE id <= :many
"""
TURNS = """
INSERT INTO iterations (session_id, number, attempt, state, cause, prompt, qa, started_at, ended_at)
SELECT id, 1, 1, CASE task_id % 3 WHEN 0 THEN 'running' WHEN 1 THEN 'waiting' ELSE 'completed' END,
  'first', 'Do it.', CASE task_id % 3 WHEN 2 THEN 'passed' ELSE 'pending' END, :now,
  CASE task_id % 3 WHEN 2 THEN :now END
FROM sessions
"""
ATTEMPTS = """
INSERT INTO attempts (session_id, number, state, started_at, ended_at)
SELECT id, 1, CASE task_id % 3 WHEN 2 THEN 'ended' ELSE 'running' END, :now,
  CASE task_id % 3 WHEN 2 THEN :now END
FROM sessions
"""
BUSY = """
UPDATE tasks SET begun = 1, assignee = 'shell', step = CASE id % 3 WHEN 2 THEN 'review' ELSE 'work'
  END, state = CASE id % 3 WHEN 2 THEN 'review' ELSE 'in_flight' END WHERE id <= :many
"""
NEEDED = "INSERT INTO dependencies SELECT id, id - 1 FROM tasks WHERE id > 1 AND id % 4 = 0"

NAIVE = (
    "SELECT sessions.*, tasks.state FROM sessions JOIN tasks ON tasks.id = task_id"
    " WHERE +sessions.state <> 'terminated'",
    "SELECT id, workflow, step FROM tasks WHERE +state IN ('planning', 'in_flight', 'review')",
    "SELECT tasks.id FROM tasks WHERE +state = 'ready' AND NOT EXISTS (SELECT 1 FROM dependencies"
    " JOIN tasks AS needed ON needed.id = needs_id WHERE task_id = tasks.id"
    " AND needed.state <> 'done') AND NOT EXISTS (SELECT 1 FROM sessions WHERE"
    " task_id = tasks.id AND sessions.state <> 'terminated')"
    " ORDER BY priority DESC, begun DESC, position LIMIT 1",
    "SELECT min(not_before) FROM tasks WHERE +state = 'ready' AND not_before > 0",
    "SELECT +state, count(*) FROM tasks GROUP BY 1",
)


class Looking(Orchestrator):
    """Keeps nobody: the sessions of this benchmark have no processes."""

    def _keep(self, session_id: str) -> None:
        pass


@dataclass(frozen=True)
class Turn:
    """`first`: with a dispatch that finds nothing; `idle`: with nothing changed since."""

    first: tuple[int, float]
    idle: tuple[int, float]
    naive: float
    written: int


def fill(tx: Tx, many: int) -> None:
    add_tasks(tx, many)
    for sql in (BUSY, OPEN, TURNS, ATTEMPTS):
        tx.run(sql, {"many": SESSIONS, "now": NOW})  # type: ignore[arg-type]
    tx.run(NEEDED)
    claims.demands(tx)
    tx.run("ANALYZE")


async def measure(many: int) -> Turn:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = await Store(folder, lambda: NOW).open()
        try:
            await store.write(lambda tx: fill(tx, many))
            orchestrator = Looking(house(store, folder, max_concurrent=1))
            before = store.state.total_changes
            heard = [await _turn(store, orchestrator) for _ in range(3)]
            written = store.state.total_changes - before
        finally:
            await store.close()
        db = bare(folder)
        first, idle = ((len(said), _again(db, said)) for said in (heard[0], heard[-1]))
        turn = Turn(first, idle, _again(db, NAIVE, 9), written)
        db.close()
        return turn


async def _turn(store: Store, orchestrator: Orchestrator) -> list[str]:
    """The statements of one turn, as they were run, by reader and writer."""
    said: list[str] = []
    assert store._reader is not None
    await store._reader.set_trace_callback(said.append)
    await store.write(lambda tx: tx._db.set_trace_callback(said.append))
    said.clear()
    await orchestrator.turn()
    heard = list(said)
    await store._reader.set_trace_callback(None)
    await store.write(lambda tx: tx._db.set_trace_callback(None))
    return [one for one in heard if not one.startswith("--")]


def _again(db: sqlite3.Connection, said: Sequence[str], rounds: int = ROUNDS) -> float:
    """Milliseconds of them all, in the median."""

    def run() -> None:
        for one in said:
            db.execute(one).fetchall()

    run()
    return statistics.median([micros(1, run) for _ in range(rounds)]) / 1000


def main() -> None:
    found = {many: asyncio.run(measure(many)) for many in sizes()}
    table(
        ["tasks", f"a turn, {SESSIONS} sessions", "nothing changed since", "rows written",
         "plain joins"],
        [[str(many), f"{turn.first[1]:.2f} ms, {turn.first[0]} statements",
          f"{turn.idle[1]:.2f} ms, {turn.idle[0]}", str(turn.written), f"{turn.naive:.1f} ms"]
         for many, turn in found.items()],
    )
    first, last = min(found), max(found)
    slowest = max(turn.first[1] for turn in found.values())
    flat = found[last].first[1] / found[first].first[1]
    print(met(slowest <= 2, f"{slowest:.2f} ms at most (goal: 2)"))
    print(met(flat <= 1.5, f"{last} at {flat:.2f} of {first} (goal: 1.5)"))
    print(met(not any(turn.written for turn in found.values()), "nothing written"), end="\n\n")


if __name__ == "__main__":
    main()
