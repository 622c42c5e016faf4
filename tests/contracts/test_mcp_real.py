"""The real Claude Code uses Bullpen's MCP server: it asks a person and reports its outcome."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.mcp import mcp_command
from core import acts
from core.drivers.claude import ClaudeDriver
from core.model import AgentEventKind
from core.store import gates, sessions
from tests.agent_bench import brief, play
from tests.api_bench import Speaker, serving, short_folder
from tests.fakes.model_server import ModelServer, Say, Use
from tests.flows import real_bench
from tests.house_bench import ANN, HERE
from tests.needs import need

ROOT = Path(__file__).parents[2]


@pytest.fixture
async def agent() -> AsyncIterator[Speaker]:
    with short_folder() as folder:
        async with serving(folder) as api:
            yield await api.speaker()


async def test_claude_asks_and_reports(agent: Speaker, tmp_path: Path) -> None:
    program = real_bench.program("claude", "BULLPEN_TEST_CLAUDE", "Claude Code")
    need("the MCP extra", bool(mcp_command()), "make dev")
    for name in ("home", "workspace"):
        (tmp_path / name).mkdir()
    await agent.api.home.doors.open(agent.session.id)
    turns = [Use("mcp__bullpen__ask_human", {"question": "Red or blue?"}),
             Use("mcp__bullpen__write_artifact", {"name": "plan.md", "content": "Blue."}),
             Use("mcp__bullpen__report_outcome", {"outcome": "verify.failed", "summary": "No."}),
             Say("Over.")]
    async with ModelServer({"": turns}) as model:
        env = {
            "HOME": str(tmp_path / "home"), "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT),
            "ANTHROPIC_BASE_URL": model.url, "ANTHROPIC_API_KEY": "dummy",
            "DISABLE_TELEMETRY": "1", "DISABLE_ERROR_REPORTING": "1", "DISABLE_AUTOUPDATER": "1",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "CLAUDE_CODE_MAX_RETRIES": "0",
            "BULLPEN_TOKEN": agent.token, "BULLPEN_SOCKET": str(agent.socket)}
        told = brief(tmp_path / "workspace", "Please do it.", mcp=mcp_command(),
                     options={"program": program})
        playing = asyncio.create_task(play(ClaudeDriver(), told, env))
        store = agent.api.home.store
        while not playing.done() and not await store.read("SELECT 1 FROM gates"):
            await asyncio.sleep(0.02)
        if not playing.done():
            await store.write(lambda tx: acts.answer(
                tx, agent.api.home, gates.get(tx, 1), ANN, HERE, "blue"))
        played = await playing
    assert played.verdict.ok, (played.errors, played.events)
    results = [event.text for event in played.of(AgentEventKind.TOOL_RESULT)]
    assert "blue" in results[0] and "version 1" in results[1], results
    found = await store.write(lambda tx: sessions.get_iteration(tx, agent.session.id))
    assert (found.outcome, found.summary) == ("verify.failed", "No.")
