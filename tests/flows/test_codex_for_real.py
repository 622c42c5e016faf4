"""The real Codex works for the bot: on the host and in bubblewrap."""

from __future__ import annotations

import asyncio
import shutil
import signal
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from tests.fakes.model_server import Fail, Say, Use
from tests.fakes.responses_server import ResponsesServer
from tests.flows.bench import Bench
from tests.flows.real_bench import crew, ended, left, need_sandbox, program

pytestmark = pytest.mark.timeout(180)


class Limits(Sequence[Fail]):
    """Refused each time, until tomorrow: Codex tells it to the minute."""

    def __len__(self) -> int:
        return 100

    def __getitem__(self, index: object) -> Any:
        return Fail(429, "usage_limit_reached", "The usage limit has been reached",
                    more={"plan_type": "plus", "resets_at": int(time.time()) + 86_400})


@pytest.fixture
async def model() -> AsyncIterator[ResponsesServer]:
    async with ResponsesServer({}) as server:
        yield server


@pytest.fixture(params=["host", "bubblewrap"])
def hired(request: pytest.FixtureRequest, bench: Bench, model: ResponsesServer) -> Bench:
    """A bench whose crew is Codex in that sandbox."""
    found = program("codex", "BULLPEN_TEST_CODEX", "Codex")
    need_sandbox(request.param)
    options = {"program": found, "base_url": f"{model.url}/v1", "model": "scripted", "config": {
        "features.plugins": False, "model_providers.bullpen.request_max_retries": 0,
        "model_providers.bullpen.stream_max_retries": 0}}
    # Its own sandbox, as on the host, wants a home that lies outside of TMPDIR.
    crew(bench, "codex", request.param, options,
         {"OPENAI_API_KEY": "dummy-key", "TMPDIR": "/var/tmp"})
    return bench


def run(command: str) -> Use:
    return Use("exec_command", {"cmd": command})


async def test_a_task_sent_back_goes_on_in_its_thread_after_a_restart(
    hired: Bench, model: ResponsesServer
) -> None:
    model.plays = {
        "sign it": [run("echo 'by Ann' >> GREETING.md"), Say("Signed.")],
        "Greet": [run("echo hello > GREETING.md"), Say("I greeted.\nWith care.")]}
    async with hired.running() as live:
        await live.say('/add "Greet"', "TASK-001 is ready for you", "With care.")
        live.send(signal.SIGKILL)
    first = hired.rows("SELECT tokens_in, tokens_out FROM sessions")[0]
    assert tuple(first) == (200, 10)
    async with hired.running() as live:
        await live.say("/reject 1 sign it", "TASK-001 is ready for you", "Signed.")
        await live.say("/approve 1", "done · merged")
        await ended(live, hired)
    assert hired.file("GREETING.md") == "hello\nby Ann\n"
    said = str(model.requests[-1]["input"])
    assert "Greet" in said and "With care." in said and "sign it" in said, "one thread"
    used = [tuple(row) for row in hired.rows(
        "SELECT tokens_in, tokens_out FROM attempts ORDER BY number")]
    assert used == [(200, 10), (200, 10)], "each attempt is charged with its own"


async def test_a_thread_that_is_gone_is_begun_anew_with_all_that_was_said(
    hired: Bench, model: ResponsesServer
) -> None:
    model.plays = {
        "sign it": [run("echo 'by Ann' >> GREETING.md"), Say("Signed.")],
        "Greet": [run("echo hello > GREETING.md"), Say("I greeted.")]}
    await asyncio.to_thread(hired.up, '/add "Greet"')
    (threads,) = hired.data.glob("sessions/*/home/.codex/sessions")
    shutil.rmtree(threads)
    ran = await asyncio.to_thread(hired.up, "/reject 1 sign it", "/approve 1")
    ran.said("sent back to codex", "Signed.", "done · merged")
    assert hired.file("GREETING.md") == "hello\nby Ann\n"
    assert hired.value("SELECT count(*) FROM attempts") == 3
    assert hired.value("SELECT count(*) FROM sessions") == 1
    said = str(model.requests[-1]["input"])
    assert "Greet" in said and "I greeted." in said and "sign it" in said


async def test_the_bot_is_killed_while_it_works(hired: Bench, model: ResponsesServer) -> None:
    model.plays = {"Greet": [
        run("echo began > began.txt; until [ -e go.txt ]; do sleep 0.1; done; rm go.txt began.txt;"
            " echo hello > GREETING.md"), Say("I greeted.")]}
    async with hired.running() as live:
        await live.say('/add "Greet"')
        (began,) = await live.until(
            lambda: list(hired.data.glob("sessions/*/w*/began.txt")), "its tool runs")
        live.send(signal.SIGKILL)
    async with hired.running() as live:
        (began.parent / "go.txt").touch()
        await live.told("TASK-001 is ready for you")
        await live.say("/approve 1", "done · merged")
    assert hired.file("GREETING.md") == "hello\n"
    assert hired.value("SELECT count(*) FROM attempts") == 1, "the same process went on"


async def test_killed_in_the_middle_of_a_tool_nothing_of_it_is_left(
    hired: Bench, model: ResponsesServer
) -> None:
    """Neither the native program nor what its tools have started."""
    command = "echo a > began.txt; setsid sleep 3600 & sleep 3600"
    # Codex asks its model again while a long command runs: that must not end its turn.
    model.plays = {"Wait": [run(command), Say("Over.", pause=3600)]}
    async with hired.running() as live:
        await live.say('/add "Wait"')
        await live.until(lambda: list(hired.data.glob("sessions/*/w*/began.txt")), "its tool runs")
        assert any("codex exec" in line for line in left(hired.folder))
        await live.say("/say 1 hurry", "codex takes no input while it runs")
        assert not hired.rows("SELECT 1 FROM inputs")
        await live.say("/kill 1", "TASK-001 killed")
        await ended(live, hired)
    assert not left(hired.folder)


async def test_its_account_rests_at_the_usage_limit(
    hired: Bench, model: ResponsesServer
) -> None:
    model.plays = {"You were interrupted": [Say("I went on.")], "Greet": Limits()}
    async with hired.running() as live:
        await live.say('/add "Greet"', "Codex's usage limit is reached (account team): its agents "
                       "rest until")
        await live.until(lambda: hired.states()[1] == "blocked", "it rests")
        await live.say("/task 1", "Rests until", "usage limit")
    until = hired.value("SELECT until FROM limits")
    assert 0 <= until / 1000 - time.time() - 86_400 <= 120
    assert hired.value("SELECT attempts FROM tasks") == 0, "it is no retry"


def test_what_it_says_before_its_first_line_is_shown(bench: Bench) -> None:
    found = program("codex", "BULLPEN_TEST_CODEX", "Codex")
    crew(bench, "codex", "host", {"program": found, "config": {"approval_policy": "nonsense"}}, {})
    ran = bench.up('/add "Greet"', "/logs 1", status=1)
    ran.said("TASK-001 failed", "nonsense", "log of codex-", "nonsense")
