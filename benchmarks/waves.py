"""Planning a run: 10,000 tasks into waves, and 1,000 tasks that may touch each other's files.

Beside them graphlib, and the plainest pass that can be (Kahn's, without a word about circles).
`python benchmarks/waves.py [TASKS]` (10000 by default)
"""

from __future__ import annotations

import random
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from graphlib import TopologicalSorter

from _bench import met, micros, table

from core.planning.overlap import Work, batch
from core.planning.waves import longest_chain, waves

ROUNDS = 7
Needs = dict[int, list[int]]


def layered(many: int) -> Needs:
    """Each task needs up to three of the hundred before it."""
    rng = random.Random(5)
    return {task: rng.sample(range(max(1, task - 100), task), min(task - 1, rng.randint(0, 3)))
            for task in range(1, many + 1)}


def chain(many: int) -> Needs:
    return {task: [task - 1] if task > 1 else [] for task in range(1, many + 1)}


def fan(many: int) -> Needs:
    return {task: [1] if task > 1 else [] for task in range(1, many + 1)}


def by_graphlib(needs: Needs) -> list[tuple[int, ...]]:
    sorter = TopologicalSorter(needs)
    sorter.prepare()
    found = []
    while sorter.is_active():
        level = sorter.get_ready()
        sorter.done(*level)
        found.append(level)
    return found


def by_kahn(needs: Needs) -> list[list[int]]:
    left = {task: len(needed) for task, needed in needs.items()}
    dependents = defaultdict(list)
    for task, needed in needs.items():
        for one in needed:
            dependents[one].append(task)
    found = [[task for task, count in left.items() if not count]]
    while level := list(_freed(found[-1], dependents, left)):
        found.append(level)
    return found


def _freed(level: list[int], dependents: dict[int, list[int]], left: dict[int, int],
           ) -> Iterator[int]:
    for one in level:
        for task in dependents[one]:
            left[task] -= 1
            if not left[task]:
                yield task


def files(many: int, kind: str) -> list[Work]:
    """Tasks with two globs each: of folders of their own, of a few folders, with wild ones."""
    rng = random.Random(3)
    ways: dict[str, Callable[[int], tuple[str, ...]]] = {
        "each its own files": lambda n: (f"src/part{n}/**", f"tests/test_{n}.py"),
        "forty folders": lambda n: (f"src/part{rng.randrange(40)}/**", f"docs/{n}.md"),
        "wildcards first": lambda n: (f"**/part{n}/*.py", f"docs/**/{n}.md"),
    }
    return [Work(n, "shop", ways[kind](n)) for n in range(many)]


def main() -> None:
    many = int(sys.argv[1]) if sys.argv[1:] else 10_000
    slowest, lines = 0.0, []
    for shape in (layered, chain, fan):
        needs = shape(many)
        tasks = list(needs)
        assert [sorted(wave) for wave in by_graphlib(needs)] == [
            sorted(wave) for wave in waves(tasks, needs)]
        taken = [micros(ROUNDS, work) / 1000 for work in (
            lambda n=needs, t=tasks: waves(t, n),
            lambda n=needs, t=tasks: longest_chain(t, n),
            lambda n=needs: by_graphlib(n), lambda n=needs: by_kahn(n))]
        slowest = max(slowest, taken[0])
        lines.append([f"{shape.__name__}, {len(by_kahn(needs))} waves",
                      *(f"{one:.0f} ms" for one in taken)])
    table([f"{many} tasks", "waves", "its longest chain", "graphlib", "plain Kahn"], lines)
    print(met(slowest < 200, f"{slowest:.0f} ms at most (goal: 200)"), end="\n\n")
    _batches()


def _batches() -> None:
    lines = []
    for kind in ("each its own files", "forty folders", "wildcards first"):
        works, begun = files(1000, kind), time.perf_counter()
        go = batch(works).go
        lines.append([kind, f"{(time.perf_counter() - begun) * 1000:.0f} ms", str(len(go))])
    table(["1000 tasks with files", "who may go", "go at once"], lines)


if __name__ == "__main__":
    main()
