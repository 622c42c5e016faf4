"""The dashboard: from nothing, with nothing changed, with ten tasks changed.

`python benchmarks/site.py [TASKS …]` (10000 by default) prints one row for each size.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from site_gen.build import Builder
from site_gen.render import Settings
from tests.fakes.filled import change, fill

ROUNDS = 7


async def measure(tasks: int) -> tuple[float, int, float, float, int]:
    """Seconds from nothing, files, and the medians (ms) of an idle tick and a tick with ten
    changed tasks, with the files that this one wrote."""
    with tempfile.TemporaryDirectory() as folder:
        filled = await fill(Path(folder) / "data", tasks=tasks, lines=10)
        builder = Builder(filled.folder, Path(folder) / "site", Settings(), filled.clock.now)
        first = builder.tick()
        idle, busy, written = [], [], 0
        for turn in range(ROUNDS):
            filled.clock.go(60)
            begun = time.perf_counter()
            assert builder.tick().written == 0
            idle.append((time.perf_counter() - begun) * 1000)
            await change(filled, [1 + (turn + n * 997) % tasks for n in range(10)])
            report = builder.tick()
            busy.append(report.seconds * 1000)
            written = report.written
        builder.close()
    return first.seconds, first.written, statistics.median(idle), statistics.median(busy), written


def main() -> None:
    print("| tasks | from nothing | files | nothing changed | ten changed | files |")
    print("|---|---|---|---|---|---|")
    for tasks in map(int, sys.argv[1:] or ["10000"]):
        whole, files, idle, busy, some = asyncio.run(measure(tasks))
        print(f"| {tasks} | {whole:.2f} s | {files} | {idle:.2f} ms | {busy:.1f} ms | {some} |")


if __name__ == "__main__":
    main()
