"""An agent that has given its result and doesn't go: the result stands, the process ends."""

from __future__ import annotations

from tests.agent_bench import FAKE_CLAUDE
from tests.flows.bench import Bench


def test_the_result_of_a_process_that_lingers_is_not_lost(bench: Bench) -> None:
    claude = bench.folder / "bin" / "claude"
    claude.write_text(f'#!/bin/sh\n"{FAKE_CLAUDE}" "$@"\nexec sleep 600\n')
    claude.chmod(0o755)
    ran = bench.up('/add "Write a note"', "/approve 1")
    ran.said("claude is on it", "TASK-001 is ready for you", "done · merged")
    assert bench.file("NOTES.md")
