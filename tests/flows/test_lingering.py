"""An agent that has given its result and doesn't go: the result stands, the process ends."""

from __future__ import annotations

import json

from tests.agent_bench import FAKE_CLAUDE
from tests.flows.bench import Bench


def test_the_result_of_a_process_that_lingers_is_not_lost(bench: Bench) -> None:
    claude = bench.folder / "bin" / "claude"
    claude.write_text(f'#!/bin/sh\n"{FAKE_CLAUDE}" "$@"\nexec sleep 600\n')
    claude.chmod(0o755)
    ran = bench.up('/add "Write a note"', "/approve 1")
    ran.said("claude is on it", "TASK-001 is ready for you", "done · merged")
    assert bench.file("NOTES.md")


async def test_what_is_said_during_the_last_answer_is_done_before_the_end(bench: Bench) -> None:
    """A further turn, longer than the grace: it may even ask."""
    bench.install_claude()
    script, heard = bench.folder / "play.json", bench.folder / "heard"
    script.write_text(json.dumps([
        [{"write": "NOTES.md", "content": "1\n"}, {"until": str(heard)}, {"say": "Noted."}],
        [{"sleep": 5}, {"permission": "echo docs > DOCS.md"}, {"say": "And the docs."}]]))
    bench.configure(f'[agents.claude]\ndriver = "claude"\n\n[agents.claude.environment]\n'
                    f'FAKE_CLAUDE_SCRIPT = "{script}"\n', "config/agents.toml")
    async with bench.running() as live:
        await live.say('/add "Write a note"', "claude is on it")
        await live.until(lambda: bench.rows("SELECT 1 FROM sessions WHERE driver_session > ''"),
                         "it has begun")
        await live.say("/say 1 and the docs", "Told claude.")
        heard.touch()
        await live.told("claude wants to use a tool")
        await live.say("/approve G-1", "TASK-001 is ready for you", "And the docs.", "DOCS.md")
    assert bench.rows("SELECT 1 FROM attempts WHERE exit_reason IS NULL"), "it ended by itself"
