"""The real Claude Code in a terminal: what it shows is text, what is typed reaches it."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from core.drivers.claude import ClaudeDriver
from core.keys import typed
from core.model import AgentEventKind
from core.sessions.laying import lay_out
from tests.agent_bench import brief
from tests.fakes.model_server import ModelServer, Say
from tests.flows.real_bench import program
from tests.sandbox_bench import ENV, SANDBOXES, Bench, until

DRIVER = ClaudeDriver()
_ESCAPES = re.compile(
    r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[()][0-9A-Z]|[=>78M])")


@pytest.mark.parametrize("sandbox", ["host", "bubblewrap"])
async def test_a_person_types_and_it_answers(sandbox: str, tmp_path: Path) -> None:
    found = program("claude", "BULLPEN_TEST_CLAUDE", "Claude Code")
    bench = Bench(SANDBOXES[sandbox](tmp_path), tmp_path)
    home, workspace = tmp_path / "home", tmp_path / "workspace"
    home.mkdir()
    plays = {"Second": [Say("Second answer.")], "Greet": [Say("First answer.")]}
    try:
        async with ModelServer(plays) as model:
            plan = DRIVER.plan(brief(workspace, "Greet\nme.", options={"program": found},
                                     interactive=True, instructions="Be kind."))
            assert plan.pty and "-p" not in plan.argv
            lay_out(home, plan)
            env = {**ENV, **plan.env, "HOME": str(home), "TERM": "xterm-256color",
                   "ANTHROPIC_BASE_URL": model.url, "ANTHROPIC_AUTH_TOKEN": "dummy-key",
                   "DISABLE_TELEMETRY": "1", "DISABLE_ERROR_REPORTING": "1",
                   "DISABLE_AUTOUPDATER": "1", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1"}
            order = replace(bench.order(*plan.argv, pty=True, input_open=True), env=env,
                            first_input=plan.first_input, readable=plan.readable,
                            writable=(home,), grace=5.0)
            handle = await bench.start(order)
            await _shown(bench, order.folder, "First answer.")
            await bench.sandbox.send(order.folder, 1, typed("Second, please."))
            await _shown(bench, order.folder, "Second answer.")
            assert "Be kind." in str(model.requests[-1]["system"])
            await bench.sandbox.stop(order.folder, handle)
    finally:
        await bench.clean()
    lines = await bench.lines(order)
    events = [event for line in lines for event in DRIVER.parse(line)]
    assert {event.kind for event in events} == {AgentEventKind.TEXT}


async def _shown(bench: Bench, folder: Path, words: str) -> None:
    """Wait until the terminal shows them; a screen parts words as it likes."""
    packed = words.replace(" ", "")

    def there() -> bool:
        screen = (folder / "terminal").read_bytes() if (folder / "terminal").exists() else b""
        text = screen.decode(errors="replace")
        return packed in _plain(text).replace(" ", "")

    await until(there, f"{words!r} on the terminal")


def _plain(text: str) -> str:
    return _ESCAPES.sub("", text)
