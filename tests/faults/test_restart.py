"""The machine was restarted: no process is left, and each session goes on where it was, or a
fresh process does in the same worktree, or it is refused in plain words.

A restart is forged: the bot is killed, its agents are, and their handles are given the boot id of
a kernel that runs no more.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import pytest

from tests.agent_bench import FAKE_CLAUDE
from tests.bot_bench import House

pytestmark = pytest.mark.faults
BEFORE = "00000000-0000-4000-8000-000000000000"
"""The boot id of before."""
CREW = """
[agents.shell]
driver = "command"
sandbox = "host"
[agents.claude]
driver = "claude"
sandbox = "host"
options = {{ program = "{program}" }}
environment = {{ FAKE_CLAUDE_SCRIPT = "{script}" }}
"""


def shut_down(house: House) -> None:
    """As init does it, in order: everything is asked to end, launchers and agents too."""
    for pid, _ in house.processes():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    house.bots[-1].over()
    house.until(lambda: not house.processes(), "nothing runs")
    assert list(house.data.glob("sessions/*/attempts/*/exit.json")), "each end was written down"
    _forget_boot(house)


def restart_machine(house: House) -> None:
    """What a restart without warning leaves: files and rows, and not one process."""
    for bot in house.bots:
        bot.kill()
    for pid, _ in house.processes():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    house.until(lambda: not house.processes(), "nothing runs")
    for path in house.data.glob("sessions/*/attempts/*/exit.json"):
        path.unlink()  # a power cut leaves no word of an end
    _forget_boot(house)


def _forget_boot(house: House) -> None:
    for path in house.data.glob("sessions/*/attempts/*/handle.json"):
        path.write_text(_of_before(path.read_text()))
    with closing(sqlite3.connect(house.data / "bullpen.db")) as db, db:
        for row in db.execute("SELECT session_id, number, handle FROM attempts "
                              "WHERE state = 'running'").fetchall():
            db.execute("UPDATE attempts SET handle = ? WHERE session_id = ? AND number = ?",
                       (_of_before(row[2]), row[0], row[1]))


def _of_before(handle: str) -> str:
    return json.dumps({**json.loads(handle), "boot": BEFORE})


def prompts(house: House) -> list[str]:
    found = sorted(house.data.glob("sessions/*/prompt-*.md"))
    return [path.read_text() for path in found]


def running(house: House) -> None:
    house.until(lambda: house.values("SELECT id FROM sessions WHERE state = 'running'"), "it runs")


@pytest.mark.parametrize("go_down", [restart_machine, shut_down])
def test_one_that_cannot_resume_starts_anew_in_the_same_worktree(
    house: House, go_down: Callable[[House], None]
) -> None:
    go_on = house.base / "go-on"
    house.start().says(house.command("one", until=go_on))
    house.until(lambda: len(house.ledger()) == 1, "it has begun")
    running(house)
    (worktree,) = house.values("SELECT worktree FROM sessions")
    (Path(worktree) / "kept.txt").write_text("what was made before\n")
    go_down(house)
    go_on.touch()
    assert house.play().process.returncode == 0, house.picture()
    assert [attempt.split("/")[1] for _, attempt in house.ledger()] == ["1", "2"], house.picture()
    assert house.values("SELECT worktree FROM sessions") == [worktree], "one session, one worktree"
    ended = "gone" if go_down is restart_machine else "stopped"
    assert house.values("SELECT exit_reason FROM attempts ORDER BY number") == [ended, None]
    assert house.values("SELECT attempts FROM tasks") == [1], "it counts as a retry"
    assert (Path(worktree) / "kept.txt").exists()
    again, first = prompts(house)
    assert again.startswith(first.rstrip()) and "You were interrupted" in again
    house.check()


@pytest.mark.parametrize(("go_down", "why"), [
    (restart_machine, "the machine was restarted"),
    (shut_down, "its process was told to end from outside, as when the machine is shut down")])
def test_a_conversation_goes_on_and_hears_that_it_was_interrupted(
    house: House, go_down: Callable[[House], None], why: str
) -> None:
    script = house.base / "script.json"
    script.write_text(json.dumps([[{"say": "I begin"}, {"sleep": 600}],
                                  [{"write": "DONE.md", "content": "done"}, {"say": "Ready"}]]))
    crew = CREW.format(program=FAKE_CLAUDE, script=script)
    (house.base / "config" / "agents.toml").write_text(crew)
    house.start().says('/add "Write a note" --agent claude')
    house.until(lambda: house.values("SELECT 1 FROM sessions WHERE driver_session IS NOT NULL"),
                "its conversation has a name")
    running(house)
    (name,) = house.values("SELECT driver_session FROM sessions")
    go_down(house)
    assert house.play().process.returncode == 0, house.picture()
    assert house.values("SELECT driver_session FROM sessions") == [name]
    assert house.values("SELECT count(*) FROM attempts") == [2]
    assert prompts(house)[0] == (
        f"You were interrupted ({why}). Go on where you stopped.\n")
    assert house.values("SELECT text FROM lines WHERE kind = 'finished'", file="logs.db")
    house.check()


def test_where_its_worktree_is_gone_it_says_so(house: House) -> None:
    house.start().says(house.command("one", until=house.base / "never"))
    house.until(lambda: len(house.ledger()) == 1, "it has begun")
    running(house)
    restart_machine(house)
    (worktree,) = house.values("SELECT worktree FROM sessions")
    shutil.rmtree(worktree)
    assert house.play().process.returncode == 1, house.picture()
    (why,) = house.values("SELECT failure FROM tasks")
    assert why == f"the workspace {worktree} is gone: it can't go on in there"
    assert len(house.ledger()) == 1


def test_a_suspended_session_goes_on_after_it(house: House) -> None:
    house.play(house.command("one"))
    restart_machine(house)
    assert house.play("/reject 1 Once more").process.returncode == 0, house.picture()
    assert [attempt.split("/")[1] for _, attempt in house.ledger()] == ["1", "2"]
    assert len(house.sessions()) == 1
    house.check()


def test_restarted_twice_it_is_lost(house: House) -> None:
    go_on = house.base / "go-on"
    house.start().says(house.command("one", until=go_on))
    for times in (1, 2):
        house.until(lambda: len(house.ledger()) == times, "it has begun")  # noqa: B023
        running(house)
        restart_machine(house)
        if times == 1:
            house.start()
    assert house.play().process.returncode == 1, house.picture()
    assert house.values("SELECT outcome FROM sessions") == ["lost"]
    (why,) = house.values("SELECT failure FROM tasks")
    assert "lost" in why and "the machine was restarted" in why
    house.check()
