"""Real agents ask a person over Bullpen's own tools: the way of those that can't ask themselves."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.api_bench import short_folder
from tests.fakes.model_server import ModelServer, Say, Use
from tests.fakes.responses_server import ResponsesServer
from tests.flows.bench import Bench
from tests.flows.real_bench import crew, ended, need_sandbox, program
from tests.needs import need

pytestmark = pytest.mark.timeout(180)

QUESTION = {"question": "Tea or coffee?", "options": ["tea", "coffee"]}


@pytest.fixture(params=["host", "bubblewrap"])
def sandbox(request: pytest.FixtureRequest) -> str:
    try:
        import mcp
    except ImportError:
        mcp = None  # type: ignore[assignment]
    need("the MCP library", mcp is not None, ".venv/bin/pip install -e '.[mcp]'")
    need_sandbox(request.param)
    return str(request.param)


@pytest.fixture
def bench() -> Iterator[Bench]:
    """With paths short enough for sockets."""
    with short_folder() as folder:
        yield Bench(folder)


async def test_claude_code_asks(sandbox: str, bench: Bench) -> None:
    found = program("claude", "BULLPEN_TEST_CLAUDE", "Claude Code")
    plays = {"Greet": [Use("mcp__bullpen__ask_human", QUESTION), Say("So be it.")]}
    async with ModelServer(plays) as model:
        crew(bench, "claude", sandbox, {"program": found}, {
            "ANTHROPIC_BASE_URL": model.url, "ANTHROPIC_API_KEY": "dummy-key",
            "DISABLE_TELEMETRY": "1", "DISABLE_ERROR_REPORTING": "1", "DISABLE_AUTOUPDATER": "1",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "CLAUDE_CODE_MAX_RETRIES": "0"})
        await _asks(bench)
        assert "coffee" in str(model.requests[-1]["messages"][-1])


async def test_codex_asks(sandbox: str, bench: Bench) -> None:
    found = program("codex", "BULLPEN_TEST_CODEX", "Codex")
    plays = {"Greet": [Use("mcp__bullpen/ask_human", QUESTION), Say("So be it.")]}
    async with ResponsesServer(plays) as model:
        options = {"program": found, "base_url": f"{model.url}/v1", "model": "scripted",
                   "config": {"features.plugins": False}}
        crew(bench, "codex", sandbox, options, {"OPENAI_API_KEY": "dummy", "TMPDIR": "/var/tmp"})
        await _asks(bench)
        assert "coffee" in str(model.requests[-1]["input"][-1])


async def _asks(bench: Bench) -> None:
    async with bench.running() as live:
        await live.say('/add "Greet"', "❓ G-1", "Tea or coffee?")
        await live.say("/answer G-1 coffee", "TASK-001 is ready for you", "So be it.")
        await ended(live, bench)
