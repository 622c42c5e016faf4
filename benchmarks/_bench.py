"""What the benchmarks share: data in bulk, rounds that take turns, one table at the end."""

from __future__ import annotations

import sqlite3
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from core.store.database import Tx, connect

NOW = 1_790_000_000_000

TASKS = """
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :many)
INSERT INTO tasks (title, slug, state, priority, workflow, step, run_command, position,
                   created_at, updated_at)
SELECT 'Task ' || i, 'task', :state, :priority, 'quick', 'work', 'true', i * 1024, :now, :now FROM n
"""


def add_tasks(tx: Tx, many: int, state: str = "ready", priority: int = 1) -> range:
    """That many tasks at once, without events; their ids."""
    first = (tx.value("SELECT max(id) FROM tasks") or 0) + 1
    tx.run(TASKS, {"many": many, "state": state, "priority": priority,  # type: ignore[arg-type]
                   "now": NOW})
    return range(first, first + many)


def bare(folder: Path) -> sqlite3.Connection:
    """The bare module on the same file, with the same durability."""
    return connect(folder / "bullpen.db", schema="state")


def rate(count: int, work: Callable[[], object]) -> float:
    """How many a second."""
    begun = time.perf_counter()
    work()
    return count / (time.perf_counter() - begun)


def micros(count: int, work: Callable[[], object]) -> float:
    """Microseconds of each, in the median."""
    taken = []
    for _ in range(count):
        begun = time.perf_counter()
        work()
        taken.append((time.perf_counter() - begun) * 1e6)
    return statistics.median(taken)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    print(f"| {' | '.join(head)} |")
    print("|" + "---|" * len(head))
    for row in rows:
        print(f"| {' | '.join(row)} |")
    print()


def met(right: bool, goal: str) -> str:
    return f"{goal}: {'met' if right else 'MISSED'}"


def sizes() -> list[int]:
    """The sizes given on the command line, else the two of the goals."""
    return [int(word) for word in sys.argv[1:]] or [10_000, 100_000]
