"""A killed agent that doesn't go: whoever asks again ends it at once."""

from __future__ import annotations

import pytest

from tests.flows.bench import Bench, Live

PATIENT = {"BULLPEN_LIMITS__GRACE_SECONDS": "3600"}
STUBBORN = ("/add Stubborn --run \"sh -c 'trap : TERM INT; touch {here}; "
            "while :; do sleep 0.1; done'\"")


async def begun(bench: Bench, live: Live) -> None:
    here = bench.folder / "here"
    await live.say(STUBBORN.format(here=here), "TASK-001")
    await live.until(here.exists, "it works")
    await live.until(lambda: bench.value("SELECT state FROM sessions") == "running", "it is noted")


def over(bench: Bench) -> bool:
    return bench.value("SELECT count(*) FROM sessions WHERE state <> 'terminated'") == 0


@pytest.mark.parametrize("again", ["/kill 1", "/kill {session}", "/kill shell", "/killall yes"])
async def test_a_second_kill_ends_by_force_what_is_being_stopped(bench: Bench, again: str) -> None:
    async with bench.running(**PATIENT) as live:
        await begun(bench, live)
        session = bench.value("SELECT id FROM sessions")
        await live.say("/kill 1", "TASK-001 killed")
        assert bench.value("SELECT state FROM sessions") == "terminating"
        await live.say("/status", "0 working · 1 being stopped")
        await live.say("/queue", "0 running, 1 being stopped")
        await live.say(again.format(session=session), "by force")
        await live.until(lambda: over(bench), "it is gone")
        await live.say("/kill 1", "nothing of it runs")
    assert bench.states() == {1: "failed"}
    assert bench.value("SELECT count(*) FROM sessions WHERE outcome = 'killed'") == 1


async def test_what_was_released_is_ended_by_force_and_stays_ready(bench: Bench) -> None:
    async with bench.running(**PATIENT) as live:
        await begun(bench, live)
        await live.say("/pause", "The queue is paused")
        await live.say("/release 1", "TASK-001 is given back")
        await live.say("/kill 1", "by force")
        await live.until(lambda: over(bench), "it is gone")
    assert bench.states() == {1: "ready"}


async def test_one_that_is_stopped_to_rest_is_forced_by_the_second_kill(bench: Bench) -> None:
    async with bench.running(**PATIENT) as live:
        await begun(bench, live)
        await live.say("/pause 1", "TASK-001 is paused")
        await live.say("/kill 1", "TASK-001 killed")
        await live.say("/kill 1", "by force")
        await live.until(lambda: over(bench), "it is gone")
