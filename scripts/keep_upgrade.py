"""Keeps the databases of today as a fixture: `scripts/keep_upgrade.py 0001`.

Walks the roads, leaves tasks behind in every other state, and puts both files, compacted, into
tests/fixtures/upgrades/NUMBER. Done once for each released schema; never done again for an old one.
"""

from __future__ import annotations

import contextlib
import sqlite3
import sys
import tempfile
from pathlib import Path

from road_stage import ROOT, Chat, Machine
from roads import prepare, walk

LEFT = (
    '/add "Sort the shelf" -p high --tag shelf --run "sh -c \'echo sorted > sorted.txt\'"',
    '/add "Weigh the flour" --draft --touches "*.txt" --skill baking --budget 2usd',
    '/add "Tidy up" --after 7 --run "true"',
    '/add "Never mind" --draft',
    "/cancel 10",
    '/add "Count the eggs" --lane eggs --draft --run "sh -c \'echo no eggs >&2; exit 4\'"',
    '/add "Boil the eggs" --lane eggs --draft --after 11 --run "true"',
    "/go eggs",
)
"""Leaves 7 in review, 8 in the inbox, 9 blocked, 10 cancelled, and a run that is paused because
11 failed, which 12 needs."""


def compact(source: Path, target: Path) -> None:
    """A copy without journal and free pages."""
    target.unlink(missing_ok=True)
    with contextlib.closing(sqlite3.connect(source)) as db:
        db.execute("VACUUM INTO ?", (str(target),))
    with contextlib.closing(sqlite3.connect(target)) as db:
        # Small pages keep the fixture small: most of its tables hold a few rows.
        db.execute("PRAGMA journal_mode = DELETE")
        db.execute("PRAGMA page_size = 1024")
        db.execute("VACUUM")


def main(number: str) -> int:
    chat = Chat()
    try:
        with tempfile.TemporaryDirectory(prefix="bullpen-upgrade-") as base:
            machine = prepare(Path(base), chat)
            try:
                return _keep(machine, chat, ROOT / "tests" / "fixtures" / "upgrades" / number)
            finally:
                machine.bury()
    finally:
        chat.close()


def _keep(machine: Machine, chat: Chat, folder: Path) -> int:
    if walk(machine, chat) != 0:
        return 1
    machine.settings.pop("TELEGRAM_BOT_TOKEN")
    print(machine.until_idle(*LEFT, status=1))
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("bullpen.db", "logs.db"):
        compact(machine.data / name, folder / name)
        print(f"{folder / name}: {(folder / name).stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
