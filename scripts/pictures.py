"""Makes docs/dashboard.png and docs/phone.png from a real run on the demo repository.

Needs chromium. The agent in it is the scripted one of the tests; everything else is as it is.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from road_stage import ROOT, Machine, until

SETTINGS = {"BULLPEN_QUEUE__MAX_CONCURRENT": "4", "BULLPEN_QUEUE__STOP_ON_FAILURE": "false"}
BEGUN = (
    '/add "Add a greeting" --run "sh -c \'echo hello > greeting.txt\'"',
    "/approve 1",
    '/add "Say which Python is needed" -p low --run "sh -c \'echo Python 3.11 > needs.txt\'"',
    "/approve 2",
    '/add "Amounts with a unit" -p high --tag stock --agent claude-1',
    '/add "Sort the list by shelf" --run "sh -c \'cp larder/shopping.py larder/sorted.py\'"',
    '/add "Write down the opening hours" --agent claude-2',
    '/add "Take over the price list" --run "sh -c \'echo prices.csv is empty >&2; exit 3\'"',
    '/add "Print the list on one page" --after 4',
    '/add "Translate the README" --draft --tag docs',
)
RUNNING = (
    '/add "Measure how long a list takes" -p high --run "sh -c \'echo run 1 of 5: 12 ms; echo run '
    "2 of 5: 11 ms; exec sleep 600'\"",
    '/add "Look through the prices of last year" -p low --agent claude-2',
)
PLAYS = {
    "claude-1": [
        {"write": "larder/units.py", "content": "LITRE, GRAM = 'l', 'g'\n"},
        {"say": "Amounts know their unit now: litres and grams. The list shows it."},
    ],
    "claude-2": [
        {"say": "The README names no days."},
        {"ask": "On which days is the shop open?", "options": ["Weekdays", "Every day"]},
    ],
}
"""What the scripted agents do."""
SIZES = {"dashboard": "1180,1000", "phone": "500,1080"}


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="bullpen-pictures-") as base:
        machine = Machine(Path(base), dict(SETTINGS))
        _crew(machine)
        print(machine.until_idle(*BEGUN, status=1))
        try:
            with machine.up("--stop-agents") as bot:
                bot.types(*RUNNING)
                pages = machine.data / "site"
                until(lambda: "run 2 of 5" in _text(pages / "tasks" / "TASK-009.html"), "the log")
                time.sleep(2)  # the pages of everything else follow at once
                for name, size in SIZES.items():
                    _picture(pages / "index.html", ROOT / "docs" / f"{name}.png", size)
        finally:
            machine.bury()
    return 0


def _crew(machine: Machine) -> None:
    (machine.base / "bin" / "claude").symlink_to(ROOT / "tests" / "fakes" / "claude")
    tables = ['[agents.claude]\ndriver = "claude"\nenabled = false\n']
    for name, play in PLAYS.items():
        script = machine.base / f"{name}.json"
        script.write_text(json.dumps(play))
        tables.append(
            f'[agents.{name}]\ndriver = "claude"\n'
            f"environment = {{ FAKE_CLAUDE_SCRIPT = {json.dumps(str(script))} }}\n"
        )
    (machine.base / "config" / "agents.toml").write_text("\n".join(tables))


def _text(path: Path) -> str:
    return path.read_text("utf-8") if path.exists() else ""


def _picture(page: Path, target: Path, size: str) -> None:
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("chromium is missing (Debian: apt install chromium).")
    subprocess.run(
        [
            chromium,
            "--headless",
            "--no-sandbox",
            "--hide-scrollbars",
            f"--window-size={size}",
            f"--screenshot={target}",
            page.as_uri(),
        ],
        check=True,
        capture_output=True,
        timeout=120,
    )
    print(f"{target}: {target.stat().st_size} bytes")


if __name__ == "__main__":
    sys.exit(main())
