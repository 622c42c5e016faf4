"""An agent whose every line is made to hold Bullpen up: others work on, people are not flooded,
and it ends when it is told to."""

from __future__ import annotations

import json

from core.sessions.crowding import AT_ONCE
from tests.flows.bench import Bench

MOST = 2**53 - 1
AGENT = """#!/bin/sh
cat {lines}
while sleep 0.2; do date > beat.txt; done
"""


def message(number: int) -> dict[str, object]:
    usage = {"input_tokens": MOST, "cache_read_input_tokens": MOST, "output_tokens": MOST,
             "cache_creation_input_tokens": MOST}
    return {"type": "assistant", "message": {"id": f"m{number}", "model": "m", "content": [],
                                             "usage": usage}}


def asks(number: int) -> dict[str, object]:
    request = {"subtype": "can_use_tool", "tool_name": "Bash", "input": {"command": "ls"}}
    return {"type": "control_request", "request_id": f"r{number}", "request": request}


LIMIT = {"type": "rate_limit_event", "rate_limit_info": {
    "status": "rejected", "rateLimitType": "five_hour", "resetsAt": 253_402_300_799}}
BEGUN = {"type": "system", "subtype": "init", "session_id": "abc", "model": "m"}


def played(bench: Bench, *said: dict[str, object]) -> None:
    lines = bench.shown / "lines"
    lines.write_text("".join(f"{json.dumps(one)}\n" for one in said))
    program = bench.folder / "bin" / "claude"
    program.write_text(AGENT.format(lines=lines))
    program.chmod(0o755)


async def test_figures_and_floods_hold_nobody_up(bench: Bench) -> None:
    played(bench, BEGUN, *map(message, range(1500)), *map(asks, range(300)))
    bench.configure("[queue]\nmax_concurrent = 3\n")
    async with bench.running() as live:
        await live.say('/add "Flood" --agent claude', "wants to use a tool")
        await live.until(lambda: bench.value("SELECT tokens_in FROM sessions"), "it was heard")
        await live.say('/add "By hand" --run "true"', "TASK-002 is ready for you")
        await live.say("/cost", "tokens")
        assert bench.value("SELECT count(*) FROM gates WHERE task_id = 1") == AT_ONCE
        await live.say("/kill 1", "killed")
        await live.until(lambda: bench.value("SELECT state FROM sessions WHERE task_id = 1")
                         == "terminated", "it has ended")
        assert not bench.value("SELECT count(*) FROM gates WHERE task_id = 1 AND state = 'open'")
    told = bench.log_rows("SELECT count(*) FROM lines WHERE stream = 'mark' "
                          "AND text LIKE 'it asks for too much%'")
    assert told[0][0] == 1


async def test_a_limit_at_the_end_of_all_days_holds_no_account_and_no_end_up(
    bench: Bench
) -> None:
    played(bench, BEGUN, LIMIT)
    bench.configure('timezone = "Pacific/Kiritimati"\n')
    async with bench.running() as live:
        await live.say('/add "Rest" --agent claude', "claude rests and tries again at")
        await live.say("/kill 1", "killed")
        await live.until(lambda: bench.value("SELECT state FROM sessions WHERE task_id = 1")
                         == "terminated", "it has ended")
    (rest,) = bench.rows("SELECT until - since AS ms FROM limits")
    assert rest["ms"] <= 4 * 3_600_000
