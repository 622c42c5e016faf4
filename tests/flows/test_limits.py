"""An agent's account is at its provider's usage limit: it rests, and goes on by itself."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.flows.bench import Bench, Live


@pytest.fixture(autouse=True)
def claude(bench: Bench) -> None:
    bench.install_claude()


def play(bench: Bench, *prompts: list[dict[str, Any]], more: str = "") -> None:
    """What the agent does at each prompt of its conversation."""
    script = bench.shown / "play.json"
    script.write_text(json.dumps(prompts))
    bench.configure(f'[agents.claude]\ndriver = "claude"\naccount = "team"\n'
                    f'[agents.claude.environment]\nFAKE_CLAUDE_SCRIPT = "{script}"\n{more}',
                    "config/agents.toml")


REST = [{"write": "NOTES.md", "content": "noted\n"}, {"say": "I went on."}]


async def rests(bench: Bench, live: Live) -> None:
    await live.until(lambda: bench.value("SELECT state FROM sessions WHERE task_id = 1")
                     == "suspended", "its process is gone")
    assert bench.states()[1] == "blocked"


async def test_a_task_rests_until_the_limit_is_over_and_goes_on_by_itself(bench: Bench) -> None:
    play(bench, [{"say": "I begin."}, {"limit_in": 3}], REST)
    async with bench.running() as live:
        await live.say('/add "Write a note"', "TASK-001", "Claude's usage limit is reached "
                       "(account team): its agents rest until", "UTC. Others go on.")
        await rests(bench, live)
        await live.told("The account team works again.")
        await live.told("TASK-001 is ready for you")
    assert bench.value("SELECT count(*) FROM sessions") == 1
    assert bench.value("SELECT attempts FROM tasks") == 0, "it is no retry"
    assert bench.value("SELECT max(number) FROM iterations") == 1
    (told,) = (bench.data / "sessions").glob("*/prompt-01-again-02.md")
    assert told.read_text() == ("You were interrupted (the usage limit was reached; that is over)."
                                " Go on where you stopped.\n")
    (memory,) = (bench.data / "sessions").glob("*/home/.fake-claude/*")
    assert len(json.loads(memory.read_text())) == 2, "one conversation, two prompts"


async def test_others_work_while_an_account_rests(bench: Bench) -> None:
    play(bench, [{"limit_in": 600}], REST, more='[agents.shell]\ndriver = "command"\n')
    async with bench.running() as live:
        await live.say('/add "Write a note"', "usage limit is reached")
        await rests(bench, live)
        await live.say("/task 1", "Rests until", "usage limit")
        await live.say('/add "Another"', "TASK-002")
        await live.say('/add "By hand" --run "true"', "TASK-003 is ready for you")
        assert bench.states()[2] == "ready", "nobody of that account takes it"
        await live.say("/resume 1", "Its account is tried again now.",
                       "The account team is tried again now.", "TASK-001 is ready for you")


async def test_a_rest_is_kept_over_a_restart(bench: Bench) -> None:
    play(bench, [{"limit_in": 600}], REST)
    async with bench.running() as live:
        await live.say('/add "Write a note"', "usage limit is reached")
        await rests(bench, live)
    async with bench.running() as live:
        await live.say("/task 1", "Rests until")
        assert bench.value("SELECT count(*) FROM attempts") == 1
        await live.say("/resume 1", "TASK-001 is ready for you")


async def test_a_limit_without_a_time_rests_for_a_while_and_longer_when_it_comes_again(
        bench: Bench) -> None:
    told = "You've hit your usage limit"
    hit: list[dict[str, Any]] = [{"emit": {
        "type": "assistant", "error": "rate_limit",
        "message": {"content": [{"type": "text", "text": told}]}}}, {"error": told}]
    play(bench, hit, hit, REST)
    async with bench.running() as live:
        await live.say('/add "Write a note"', "try again at")
        await rests(bench, live)
        first = bench.rows("SELECT * FROM limits")[0]
        assert (first["known"], first["tries"]) == (0, 1)
        assert first["until"] - first["since"] == 1_800_000
        await live.say("/resume 1", "tried again now", "usage limit is reached")
        await rests(bench, live)
        second = bench.rows("SELECT * FROM limits")[0]
        assert second["tries"] == 2 and second["until"] - second["since"] == 3_600_000
        await live.say("/resume 1", "TASK-001 is ready for you")
