"""Walks the main roads as a user would, and prints what a user sees.

Four roads on one machine, with the demo repository: a task by the terminal; three tasks as a
run in waves; a question, a kill -9 and a rejection by Telegram; a failing task that is repaired.
Ends with status 1 when a road didn't end as it should. `--keep DIR` keeps everything for a look.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from road_stage import (
    CRITICAL,
    ROOT,
    TOKEN,
    Astray,
    Chat,
    Machine,
    expect,
    readme,
    show,
    tell,
    until,
)

FIRST = (
    '/add "Add a greeting" --run "sh -c \'echo hello > greeting.txt\'"',
    "/approve 1",
    "/status",
)
"""Lines of the README's first five minutes."""
WAVES = (
    '/add "List the fruit" --lane shop --draft --run "sh -c \'echo apple > fruit.txt\'"',
    '/add "List the drinks" --lane shop --draft --run "sh -c \'echo water > drinks.txt\'"',
    '/add "Print the menu" --lane shop --draft --after 2,3 '
    '--run "sh -c \'cat fruit.txt drinks.txt > menu.txt\'"',
    "/go shop --dry",
    "/go shop",
    "/run 1",
)
"""Its lines about a run, and the approvals that it asks for."""
QUESTION = "On which days is the shop open?"
HOURS = "# Opening hours\n\nEvery day, 8 to 18.\n"
PLAY = [
    [
        {"think": "The hours belong into a file of their own."},
        {"say": "I look at the README."},
        {"sleep": 3},
        {"ask": QUESTION, "options": ["Weekdays", "Every day"], "file": "HOURS.md"},
        {"write": "HOURS.md", "content": HOURS},
        {"say": "I wrote the opening hours into HOURS.md."},
    ],
    [
        {"write": "HOURS.md", "content": HOURS.replace("8 to 18", "08:00 to 18:00")},
        {"say": "The times are written with minutes now."},
    ],
]
"""What the scripted agent does, prompt by prompt."""


def quick(machine: Machine, chat: Chat) -> None:
    """A task by the terminal, from /add to the merged change."""
    lines = [readme(line) for line in FIRST]
    tell("bullpen up --until-idle, and you type:")
    show("\n".join(lines))
    tell("you see:")
    seen = machine.until_idle(*lines)
    show(seen)
    expect("TASK-001 is ready for you" in seen, "a review card")
    expect("TASK-001 done" in seen, "the task's end")
    expect((machine.demo / "greeting.txt").read_text() == "hello\n", "the file in the repository")
    expect((machine.data / "site" / "tasks" / "TASK-001.html").is_file(), "a page of the task")
    tell("git log in the repository:")
    show(machine.git("log", "--oneline", "-3"))


def waves(machine: Machine, chat: Chat) -> None:
    """Three tasks as a run in two waves, by the terminal: looked at first, then approved."""
    lines = [*(readme(line) for line in WAVES), *(f"/approve {task}" for task in (2, 3, 4))]
    tell("bullpen up --until-idle, and you type:")
    show("\n".join(lines))
    tell("you see:")
    seen = machine.until_idle(*lines, "/runs")
    show(seen)
    expect("Wave 2: TASK-004" in seen, "the waves before anything runs")
    expect("RUN-001 is done" in seen, "the run's end")
    expect((machine.demo / "menu.txt").read_text() == "apple\nwater\n", "the menu, of both lists")
    expect(machine.rows("SELECT state, done FROM runs") == [("completed", 3)], "the run's row")


def telegram(machine: Machine, chat: Chat) -> None:
    """Pairing, a question, a kill -9 of the bot while the agent works, a rejection, a merge."""
    with machine.up() as bot:
        code = bot.code()
        tell("bullpen up, with a token; the terminal says:")
        show(bot.screen())
        chat.says(f"/start {code}")
        chat.waits_for("Welcome")
        chat.says("/add Write down the opening hours --agent claude")
        until(lambda: running(machine), "the agent to be at work")
        chat.waits_for("claude is on it")
        tell("kill -9 of the bot, while the agent works")
        bot.kill()
    until(lambda: asked(machine), "the agent to ask, with nobody there to hear it")
    tell("the agent has gone on by itself, and has asked meanwhile; bullpen up, again")
    with machine.up():
        question = chat.waits_for(QUESTION, button="Every day")
        chat.presses("Every day", question)
        first = chat.waits_for("TASK-005 is ready for you", button="Approve & merge")
        chat.says("Write the times with minutes, please.", reply_to=first)
        second = chat.waits_for(
            "TASK-005 is ready for you", button="Approve & merge", after=first["id"]
        )
        chat.presses("Approve & merge", second)
        chat.waits_for("TASK-005 done")
        chat.waits_for("TASK-005 · done")
    tell("the chat as it stands now:")
    show(chat.picture())
    expect("08:00" in (machine.demo / "HOURS.md").read_text(), "the second version, merged")
    expect(
        machine.rows(
            "SELECT count(*), max(number) FROM iterations JOIN sessions ON id = "
            "session_id WHERE task_id = 5"
        )
        == [(2, 2)],
        "two iterations",
    )
    expect(
        machine.rows("SELECT count(*) FROM sessions WHERE task_id = 5") == [(1,)],
        "one session, taken over by the second bot",
    )


def running(machine: Machine) -> bool:
    return bool(
        machine.rows(
            "SELECT 1 FROM attempts JOIN sessions ON id = session_id "
            "WHERE task_id = 5 AND attempts.state = 'running'"
        )
    )


def asked(machine: Machine) -> bool:
    """The question stands in the agent's output, which no bot reads at the moment."""
    found = (machine.data / "sessions").rglob("*")
    return any(
        path.is_file() and path.name.startswith("out") and b"can_use_tool" in path.read_bytes()
        for path in found
    )


def failing(machine: Machine, chat: Chat) -> None:
    """A command that fails is told where it is critical; mended and retried, it gets done."""
    prices = machine.base / SHOWN / "prices.csv"
    command = f"sh -c 'cp {prices} . || exit 3'"
    before = chat.last()
    with machine.up():
        chat.says(f'/add Take over the price list --run "{command}"')
        failed = chat.waits_for("TASK-006 failed", chat=CRITICAL)
        chat.waits_for("TASK-006 failed")
        tell("in the critical channel:")
        show(chat.picture(CRITICAL))
        tell("you put the price list where it belongs")
        prices.write_text("milk,1.20\n")
        chat.says("/retry 6 the price list is there now")
        review = chat.waits_for("TASK-006 is ready for you", button="Approve & merge")
        chat.presses("Approve & merge", review)
        chat.waits_for("TASK-006 done")
        chat.waits_for("TASK-006 · done")
    tell("the chat as it stands now:")
    show(chat.picture(after=before))
    tell("the critical channel as it stands now:")
    show(chat.picture(CRITICAL))
    expect("status 3" in failed["text"], "the exit status in the card")
    expect((machine.demo / "prices.csv").is_file(), "the price list in the repository")


SHOWN = "shown"


ROADS: tuple[Callable[[Machine, Chat], None], ...] = (quick, waves, telegram, failing)


def prepare(base: Path, chat: Chat) -> Machine:
    """A machine with a scripted agent in the place of Claude Code. Behind their walls agents
    see the folder SHOWN: the scripted one with its play, and what the roads leave there."""
    shown = base / SHOWN
    shown.mkdir()
    (shown / "play.json").write_text(json.dumps(PLAY))
    for name in ("claude", "claude_lines.py"):
        shutil.copy(ROOT / "tests" / "fakes" / name, shown / name)
    machine = Machine(base, {})
    (base / "bin" / "claude").symlink_to(shown / "claude")
    seen = f'mounts = [{{ source = "{shown}", target = "{shown}" }}]\n'
    (base / "config" / "agents.toml").write_text(
        '[agents.claude]\ndriver = "claude"\n'
        f"environment = {{ FAKE_CLAUDE_SCRIPT = {json.dumps(str(shown / 'play.json'))} }}\n{seen}"
        f'[agents.shell]\ndriver = "command"\nmax_concurrent_tasks = 4\n{seen}'
    )
    (base / "bullpen.toml").write_text(
        f'[channels]\ncrew = ["console"]\nvibe-critical = ["telegram:{CRITICAL}"]\n'
    )
    return machine


def walk(machine: Machine, chat: Chat) -> int:
    """All roads, one after the other on the same machine; the process's exit status."""
    for number, road in enumerate(ROADS, 1):
        print(f"\n=== Road {number}: {(road.__doc__ or '').strip()}\n")
        try:
            road(machine, chat)
        except Astray as error:
            print(f"\nThis road did not end as it should: {error}")
            return 1
        if number == 2:
            machine.settings["TELEGRAM_BOT_TOKEN"] = TOKEN
            machine.settings["BULLPEN_TELEGRAM__API_BASE"] = chat.url
    print("\nAll roads ended as they should.")
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", type=Path, help="a folder to leave everything in")
    options = parser.parse_args()
    chat = Chat()
    try:
        if options.keep is not None:
            return _walk(options.keep.absolute(), chat)
        with tempfile.TemporaryDirectory(prefix="bullpen-roads-") as base:
            return _walk(Path(base), chat)
    finally:
        chat.close()


def _walk(base: Path, chat: Chat) -> int:
    base.mkdir(parents=True, exist_ok=True)
    machine = prepare(base, chat)
    try:
        return walk(machine, chat)
    finally:
        machine.bury()


if __name__ == "__main__":
    sys.exit(main())
