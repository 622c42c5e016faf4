"""A tick with nothing changed: SQL statements and files written, on data of some tasks.

Goal: fewer than 10 statements, and no file but `heartbeat.js`.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.flows.bench import Bench
from tests.idle_bench import measure

LEFT = (
    '/add "Add a greeting" --run "sh -c \'echo hello > greeting.txt\'"',
    "/approve 1",
    '/add "Add a farewell" --run "sh -c \'echo bye > farewell.txt\'"',
    '/add "Later" --draft',
    '/add "After it" --after 2 --run "true"',
    '/add "Nobody can" --agent shell --skill welding --run "true"',
)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        bench.up(*LEFT)
        costs = asyncio.run(measure(bench.data, bench.repo))
    print("| idle tick | orchestrator | folders | pages | statements | files written |")
    print("|---|---|---|---|---|---|")
    for number, cost in enumerate(costs, 1):
        print(f"| {number} | {cost.orchestrator} | {cost.folders} | {cost.pages} | "
              f"{cost.statements} | {', '.join(sorted(cost.files))} |")


if __name__ == "__main__":
    main()
