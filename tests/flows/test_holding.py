"""A task that rests: paused by a person, resumed, also over a restart of the bot."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.flows.bench import Bench

START = '/add "Write a note"'


@pytest.fixture(autouse=True)
def claude(bench: Bench) -> None:
    bench.install_claude()


def play(bench: Bench, *prompts: list[dict[str, Any]]) -> None:
    """What the agent does at each prompt of its conversation."""
    script = bench.shown / "play.json"
    script.write_text(json.dumps(prompts))
    bench.configure(f'[agents.claude]\ndriver = "claude"\n[agents.claude.environment]\n'
                    f'FAKE_CLAUDE_SCRIPT = "{script}"\n', "config/agents.toml")


def working(bench: Bench) -> bool:
    return bool(bench.value("SELECT 1 FROM sessions WHERE state = 'running' "
                            "AND driver_session IS NOT NULL"))


def state(bench: Bench) -> tuple[str, str, str]:
    """Of the task, its session and its newest iteration."""
    return (bench.value("SELECT state FROM tasks"), bench.value("SELECT state FROM sessions"),
            bench.value("SELECT state FROM iterations ORDER BY number DESC"))


def agents_at_work(bench: Bench) -> list[str]:
    """Processes whose working directory is a session's workspace."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cwd"):
        try:
            where = str(path.readlink())
        except OSError:
            continue
        if where.startswith(str(bench.data / "sessions")):
            found.append(where)
    return found


WORK: list[dict[str, Any]] = [{"say": "I begin."}, {"sleep": 600}]
REST: list[dict[str, Any]] = [{"write": "NOTES.md", "content": "noted\n"}, {"say": "I went on."}]
RESTS = ("blocked", "suspended", "waiting")


async def test_a_paused_task_loses_its_process_and_goes_on_where_it_was(bench: Bench) -> None:
    play(bench, WORK, REST)
    async with bench.running() as live:
        await live.say(START, "TASK-001")
        await live.until(lambda: working(bench), "the agent works")
        assert agents_at_work(bench)
        await live.say("/pause 1", "TASK-001 is paused. /resume 1 lets it go on.")
        await live.until(lambda: state(bench) == RESTS, "it is suspended")
        assert not agents_at_work(bench)
        await live.say("/task 1", "Paused: /resume 1 lets it go on", "/resume 1   /logs 1")
        conversation = bench.value("SELECT driver_session FROM sessions")
        await live.say("/resume 1", "TASK-001 goes on.", "TASK-001 is ready for you")
    assert bench.value("SELECT count(*) FROM sessions") == 1
    assert bench.value("SELECT driver_session FROM sessions") == conversation
    assert bench.value("SELECT max(number) FROM iterations") == 1
    assert bench.value("SELECT attempts FROM tasks") == 0, "it is no retry"
    told = [path.read_text() for path in sorted((bench.data / "sessions").glob("*/prompt*.md"))]
    assert "You were interrupted (it was paused; that is over)" in told[0]
    assert "Write a note" in told[1] and "Write a note" not in told[0]


async def test_words_that_wait_when_it_is_paused_make_no_result_and_are_not_lost(
        bench: Bench) -> None:
    play(bench, WORK, REST)
    async with bench.running() as live:
        await live.say(START, "TASK-001")
        await live.until(lambda: working(bench), "the agent works")
        await live.say("/say 1 and in green, please", "Told claude.")
        await live.until(lambda: bench.value("SELECT sent FROM inputs"), "it is told")
        await live.say("/pause 1", "TASK-001 is paused.")
        await live.until(lambda: bench.value("SELECT state FROM sessions") == "suspended", "rest")
        assert state(bench) == RESTS
        await live.say("/resume 1", "TASK-001 goes on.", "TASK-001 is ready for you")
        shown = await live.say("/logs 1", "said: and in green, please")
        assert "── Bullpen: paused by " in await live.until(
            lambda: "attempt 2 ──" in live.screen and live.screen, "the mark")
        assert shown.index("TASK-001 · log of") < shown.index("said: and in green")
    told = [path.read_text() for path in sorted((bench.data / "sessions").glob("*/prompt*.md"))]
    assert told[0].count("and in green, please") == 1 and "You were interrupted" in told[0]
    assert bench.value("SELECT count(*) FROM attempts") == 2


async def test_a_command_that_is_paused_begins_again_and_that_is_said(bench: Bench) -> None:
    begun = bench.shown / "begun"
    async with bench.running() as live:
        await live.say(f"/add \"Wait\" --run \"sh -c 'echo x >> {begun}; sleep 600'\"", "TASK-001")
        await live.until(begun.exists, "it has begun")
        await live.say("/pause 1", "TASK-001 is paused.", "shell is stopped, and begins again")
        await live.until(lambda: bench.value("SELECT state FROM sessions") == "suspended", "rest")
        await live.say("/resume 1", "TASK-001 goes on.")
        await live.until(lambda: begun.read_text() == "x\nx\n", "it begins again")


async def test_a_restart_of_the_bot_changes_nothing_of_a_pause(bench: Bench) -> None:
    play(bench, WORK, REST)
    async with bench.running() as live:
        await live.say(START, "TASK-001")
        await live.until(lambda: working(bench), "the agent works")
        await live.say("/pause 1", "TASK-001 is paused")
        await live.until(lambda: state(bench) == RESTS, "it is suspended")
    async with bench.running() as live:
        await live.say("/status", "queued")
        assert state(bench) == RESTS and not agents_at_work(bench)
        await live.say("/resume 1", "TASK-001 goes on.", "TASK-001 is ready for you")


async def test_what_is_ready_is_paused_too_and_claimed_only_when_resumed(bench: Bench) -> None:
    async with bench.running() as live:
        await live.say("/pause", "The queue is paused")
        await live.say(START, "TASK-001")
        await live.say("/pause 1", "TASK-001 is paused")
        await live.say("/resume", "The queue goes on")
        await live.say('/add "Another" --run "true"', "TASK-002 is ready for you")
        assert bench.states()[1] == "blocked"
        await live.say("/resume 1", "TASK-001 goes on.", "TASK-001 is ready for you")


async def test_a_question_of_a_paused_agent_is_off(bench: Bench) -> None:
    play(bench, [{"ask": "Tea or coffee?"}], REST)
    async with bench.running() as live:
        await live.say(START, "Tea or coffee?")
        await live.say("/pause 1", "TASK-001 is paused")
        await live.say("/answer G-1 tea", "G-1 is off: it was paused")
        await live.until(lambda: state(bench) == RESTS, "it is suspended")
        await live.say("/resume 1", "TASK-001 goes on.", "TASK-001 is ready for you")


async def test_a_paused_task_can_be_killed(bench: Bench) -> None:
    play(bench, WORK, REST)
    async with bench.running() as live:
        await live.say(START, "TASK-001")
        await live.until(lambda: working(bench), "the agent works")
        await live.say("/pause 1", "TASK-001 is paused")
        await live.say("/kill 1", "TASK-001 killed")
        await live.until(lambda: bench.value("SELECT state FROM sessions") == "terminated", "end")
    assert bench.states()[1] == "failed" and not agents_at_work(bench)


def test_what_can_not_be_paused_says_so(bench: Bench) -> None:
    ran = bench.up('/add "Idea" --draft', "/pause 1", "/resume 1", "/pause 7", "/pause RUN-9",
                   "/pause 1 2", "/pause it")
    ran.said("TASK-001 is in the inbox: nothing to pause.",
             "TASK-001 is in the inbox: nothing to resume.", "No task 7", "No RUN-009",
             "One at a time", "`it` is no task")


def test_a_bot_that_dies_while_it_stops_an_agent_finds_its_way(bench: Bench) -> None:
    play(bench, [{"permission": "true"}], REST)
    bench.up(START, "/pause 1", status=-9, BULLPEN_KILL_AT="after-exit")
    assert state(bench)[:2] == ("blocked", "running") and not agents_at_work(bench)
    ran = bench.up("/task 1", "/resume 1")
    ran.said("Paused: /resume 1", "TASK-001 goes on.", "TASK-001 is ready for you")
    assert bench.value("SELECT count(*) FROM sessions") == 1
    assert bench.value("SELECT attempts FROM tasks") == 0


def test_the_brake_pauses_runs_too_and_runs_are_paused_by_their_name(bench: Bench) -> None:
    ran = bench.up('/add "One" --lane a --run "true"', '/pause', '/add "Two" --lane a --run "true"',
                   "/go a", "/pause RUN-1", "/resume run 1", "/killall yes", "/resume RUN-1",
                   "/resume", status=1)
    ran.said("RUN-001 is paused. /resume RUN-001 lets it go on.", "RUN-001 goes on.",
             "The queue is paused", "RUN-001 goes on.", "The queue goes on.")
