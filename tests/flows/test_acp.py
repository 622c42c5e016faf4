"""Tasks done by an agent of the Agent Client Protocol, as a user sees them."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.flows.bench import ROOT, Bench, Live

AGENT = ROOT / "tests" / "fakes" / "acp_agent.py"


@pytest.fixture(autouse=True)
def agent(bench: Bench) -> None:
    configure(bench)


def configure(bench: Bench, **play: Any) -> None:
    """One line of configuration adds an agent; here with what it plays."""
    script = bench.folder / "play.json"
    script.write_text(json.dumps(play))
    bench.configure(
        '[agents.fake]\ndriver = "acp"\nsandbox = "host"\n'
        f'options = {{ command = "{sys.executable} {AGENT}" }}\n'
        f'environment = {{ FAKE_ACP = "{script}" }}\n', "config/agents.toml")


def test_a_task_is_done_and_its_work_is_seen(bench: Bench) -> None:
    ran = bench.up('/add "Write a note"', "/diff 1", "/approve 1")
    ran.said("fake takes it", "TASK-001 is ready for you", "NOTES.md", "done · merged")
    assert "Write a note" in (bench.file("NOTES.md") or "")
    assert bench.value("SELECT driver_session FROM sessions")
    assert bench.value("SELECT tool_calls FROM sessions") == 1


def test_a_permission_is_given(bench: Bench) -> None:
    ran = bench.up('/add "Run it"', "permission: echo it ran > ran.txt", "/approve 1",
                   "/approve 1")
    ran.said("🔐 G-1", "wants to use a tool", "echo it ran > ran.txt",
             "G-1 approved. fake goes on.", "TASK-001 is ready for you", "done · merged")
    assert bench.file("ran.txt") == "it ran\n"


def test_a_permission_is_denied_and_the_agent_hears_why(bench: Bench) -> None:
    ran = bench.up('/add "Run it"', "permission: echo it ran > ran.txt",
                   "/reject 1 use the other one", "/approve 1")
    ran.said("G-1 denied", "TASK-001 is ready for you", "done · merged")
    assert bench.file("ran.txt") is None
    (memory,) = (bench.data / "sessions").glob("*/home/.fake-acp/*.json")
    said = [words for who, words in json.loads(memory.read_text()) if who == "user"]
    assert said[-1].startswith("You may not do this: Run echo") and "the other one" in said[-1]


LOST = "⚠️ TASK-001 · fake's conversation is lost: it is told everything again, and goes on"


@pytest.mark.parametrize("loads", [True, False])
def test_a_conversation_that_is_begun_anew_is_told(bench: Bench, loads: bool) -> None:
    bench.up('/add "Write a note"')
    for memory in (bench.data / "sessions").glob("*/home/.fake-acp/*.json"):
        memory.unlink()
    configure(bench, loads=loads, resumes=False)
    ran = bench.up("/reject 1 name the author", "/approve 1")
    ran.said("sent back to fake", LOST, "TASK-001 is ready for you", "done · merged")
    assert ran.out.count("conversation is lost") == 1, ran
    (memory,) = (bench.data / "sessions").glob("*/home/.fake-acp/*.json")
    heard = " ".join(words for who, words in json.loads(memory.read_text()) if who == "user")
    assert "Write a note" in heard and "name the author" in heard


def test_a_rejected_change_goes_on_in_the_same_conversation(bench: Bench) -> None:
    ran = bench.up('/add "Write a note"', "/reject 1 name the author", "/approve 1")
    ran.said("TASK-001 is ready for you", "sent back to fake", "G-2 · TASK-001", "done · merged")
    assert "conversation is lost" not in ran.out
    (memory,) = (bench.data / "sessions").glob("*/home/.fake-acp/*.json")
    users = [words for who, words in json.loads(memory.read_text()) if who == "user"]
    assert "name the author" in users[-1] and "Write a note" not in users[-1]
    assert bench.value("SELECT count(*) FROM attempts") == 2


def test_a_conversation_that_is_lost_begins_again_with_everything(bench: Bench) -> None:
    configure(bench, loads=False)
    ran = bench.up('/add "Write a note"', "/reject 1 name the author", "/approve 1")
    ran.said("sent back to fake", "G-2 · TASK-001", "done · merged")
    newest = max((bench.data / "sessions").glob("*/home/.fake-acp/*.json"),
                 key=lambda path: path.stat().st_mtime_ns)
    words = json.dumps(json.loads(newest.read_text()))
    assert "Write a note" in words and "name the author" in words


def test_an_error_fails_the_task_in_its_words(bench: Bench) -> None:
    ran = bench.up('/add "Try"', "fail: the model is on holiday", status=1)
    ran.said("TASK-001 failed", "the model is on holiday")


def test_an_agent_that_breaks_is_told_with_its_last_words(bench: Bench) -> None:
    configure(bench, acts=[{"stderr": "segmentation fault, sorry"}, {"crash": 7}])
    ran = bench.up('/add "Crash"', status=1)
    ran.said("TASK-001 failed", "exit status 7", "segmentation fault, sorry")


def test_an_agent_that_is_not_there_is_named(bench: Bench) -> None:
    bench.configure('[agents.fake]\ndriver = "acp"\n'
                    'options = { command = "nosuchagent --acp" }\n', "config/agents.toml")
    ran = bench.up('/add "Try"', "/agents")
    ran.said("nosuchagent is not installed")


async def test_at_its_limit_the_task_rests(bench: Bench) -> None:
    async with bench.running() as live:
        await live.say('/add "Try"\nlimit: too many tokens, retry after 3600 seconds',
                       "usage limit is reached")
        await live.until(lambda: bench.states() == {1: "blocked"}, "the task rests")


def test_what_it_offers_for_good_can_be_said(bench: Bench) -> None:
    ran = bench.up('/add "Run it"\npermission: echo it ran > ran.txt', "/approve G-1 always",
                   "/approve 1")
    ran.said("🔐 G-1", "/approve G-1 always", "G-1 approved", "done · merged")
    assert bench.value("SELECT answer FROM gates WHERE id = 1") == "always"
    assert bench.value("SELECT 1 FROM inputs WHERE instr(data, CAST('\"ever\"' AS BLOB))")


async def test_a_permission_is_still_answered_after_the_bot_was_killed(bench: Bench) -> None:
    async with bench.running() as live:
        await live.say('/add "Run it"\npermission: echo it ran > ran.txt', "🔐 G-1")
        live.send(signal.SIGKILL)
        await live._process.wait()
        await live._reading
    async with bench.running() as live:
        await live.say("/approve G-1", "G-1 approved", "TASK-001 is ready for you")
        await live.say("/approve 1", "done · merged")
    assert bench.file("ran.txt") == "it ran\n"
    assert bench.value("SELECT count(*) FROM attempts") == 1


async def test_what_is_said_while_it_works_is_heard_after_its_turn(bench: Bench) -> None:
    async with bench.running() as live:
        await live.say('/add "Run it"\npermission: echo it ran > ran.txt', "🔐 G-1")
        await live.say("/say 1 and name the author", "Told fake.")
        await live.until(lambda: bench.value("SELECT sent FROM inputs"), "it is given")
        await live.say("/approve G-1", "G-1 approved", "TASK-001 is ready for you")
    (memory,) = (bench.data / "sessions").glob("*/home/.fake-acp/*.json")
    users = [words for who, words in json.loads(memory.read_text()) if who == "user"]
    assert len(users) == 2 and "and name the author" in users[1]
    assert bench.value("SELECT count(*) FROM attempts") == 1


async def test_killed_nothing_is_left_of_it(bench: Bench) -> None:
    configure(bench, acts=[
        {"background": "echo $$ > terminal; exec sleep 1000"},
        {"spawn": "echo $$ > helper; exec sleep 1000"}, {"hang": 1000}])
    async with bench.running() as live:
        await live.say('/add "Wait"')
        pids = [await written(live, bench, name) for name in ("terminal", "helper")]
        await live.say("/kill 1", "TASK-001 killed")
        await live.until(lambda: bench.value("SELECT state FROM sessions") == "terminated", "end")
    assert not [pid for pid in pids if alive(pid)]


async def written(live: Live, bench: Bench, name: str) -> int:
    """The pid that is in that file of the workspace, once it is."""
    def look() -> str:
        return "".join(path.read_text() for path in bench.data.glob(f"**/{name}")
                       if path.is_file()).strip()

    return int(await live.until(look, name))


def alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z" and os.getpid() != pid
