"""`bullpen --help`: wall time from the start to the end, beside an empty Python.

Goal: under 0.3 s. `python benchmarks/help.py [ROUNDS]`
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

BULLPEN = Path(sys.executable).parent / "bullpen"


def measure(argv: list[str], rounds: int) -> list[float]:
    """Milliseconds of each round; the first, which fills the caches, doesn't count."""
    taken = []
    for _ in range(rounds + 1):
        begun = time.perf_counter()
        subprocess.run(argv, stdout=subprocess.DEVNULL, check=True)
        taken.append((time.perf_counter() - begun) * 1000)
    return taken[1:]


def main() -> None:
    rounds = int(sys.argv[1]) if sys.argv[1:] else 20
    empty = statistics.median(measure([sys.executable, "-c", "pass"], rounds))
    print("| what | median | best | beside an empty Python |")
    print("|---|---|---|---|")
    print(f"| python -c pass | {empty:.0f} ms | | 1.0 |")
    for words in (["--help"], ["up", "--help"], ["version"]):
        taken = measure([str(BULLPEN), *words], rounds)
        median = statistics.median(taken)
        print(f"| bullpen {' '.join(words)} | {median:.0f} ms | {min(taken):.0f} ms | "
              f"{median / empty:.1f} |")


if __name__ == "__main__":
    main()
