"""The real Codex, driven against a scripted model on this machine: skipped where it is missing.

BULLPEN_TEST_CODEX names the program where it isn't on the PATH.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from core.drivers.codex import CodexDriver, native
from core.model import AgentEventKind
from tests.agent_bench import Played, brief, play
from tests.fakes.model_server import Fail, Say, Turn, Use
from tests.fakes.responses_server import ResponsesServer
from tests.flows import real_bench

DRIVER = CodexDriver()
ASKING = Path(__file__).parents[1] / "fakes" / "asking_mcp.py"


@pytest.fixture
def program() -> str:
    return real_bench.program("codex", "BULLPEN_TEST_CODEX", "Codex")


async def run(
    program: str, workspace: Path, turns: Sequence[Turn], server: ResponsesServer | None = None,
    options: dict[str, Any] | None = None, **told: Any,
) -> Played:
    async with server or ResponsesServer({"": turns}) as model:
        home = workspace.parent / "home"
        env = {"HOME": str(home), "PATH": os.environ["PATH"], "OPENAI_API_KEY": "dummy",
               "BULLPEN_TOKEN": "the token", "TMPDIR": "/var/tmp"}
        given = {"program": program, "base_url": f"{model.url}/v1", "codex_sandbox": "off",
                 "config": {"features.plugins": False,
                            "model_providers.bullpen.request_max_retries": 0,
                            "model_providers.bullpen.stream_max_retries": 0}} | (options or {})
        said = {"model": "scripted"} | told
        asked = brief(workspace, "Please do it.", options=given, **said)
        for name, text in DRIVER.plan(asked).files.items():
            (home / name).parent.mkdir(parents=True, exist_ok=True)
            (home / name).write_text(text)
        return await play(DRIVER, asked, env, lambda event: ())


async def test_a_command_runs_and_its_closing_words_are_known(
    program: str, workspace: Path
) -> None:
    turns = [Use("exec_command", {"cmd": "echo hi > hi.txt; cat hi.txt"}), Say("Over.\nReally.")]
    played = await run(program, workspace, turns)
    assert played.verdict.ok, played.errors
    assert (workspace / "hi.txt").read_text() == "hi\n"
    (result,) = played.of(AgentEventKind.TOOL_RESULT)
    assert result.text == "hi\n" and not result.data["is_error"]
    closing = [event.text for event in played.events if event.data.get("closing")]
    assert closing == ["Over.\nReally."]


async def test_its_thread_goes_on_and_its_usage_is_the_threads(
    program: str, workspace: Path
) -> None:
    first = await run(program, workspace, [Say("One.")])
    thread = first.of(AgentEventKind.STARTED)[0].data["driver_session"]
    model = ResponsesServer({"": [Say("Two.")]})
    again = await run(program, workspace, [], model, resume=thread)
    assert again.of(AgentEventKind.STARTED)[0].data["driver_session"] == thread
    assert "One." in str(model.requests[-1]["input"])
    used = [played.of(AgentEventKind.USAGE)[-1].data for played in (first, again)]
    assert [(u["tokens_in"], u["cached"], u["conversation"]) for u in used] == [
        (100, 40, True), (200, 80, True)]


async def test_the_words_of_its_task_reach_the_model(program: str, workspace: Path) -> None:
    model = ResponsesServer({"": [Say("Over.")]})
    await run(program, workspace, [], model, instructions="Touch nothing but README.md.")
    assert "Touch nothing but README.md." in str(model.requests[-1]["input"])


@pytest.mark.parametrize("sandbox", ["off", "workspace-write"])
async def test_a_question_is_answered_over_bullpens_tools(
    sandbox: str, program: str, workspace: Path
) -> None:
    """The server is started with the variables that lead back; nothing is told in its argv."""
    model = ResponsesServer({"": [Use("mcp__bullpen/ask", {"question": "Tea?"}), Say("Over.")]})
    played = await run(program, workspace, [], model, {"codex_sandbox": sandbox},
                       mcp=(sys.executable, str(ASKING), "8"))
    (answer,) = played.of(AgentEventKind.TOOL_RESULT)
    assert answer.text == "Tea? yes, says the token", played.errors
    assert "the token" not in str(DRIVER.plan(brief(workspace, mcp=("a", "b"))).argv)


async def test_its_own_sandbox_keeps_it_in_where_it_is_on(program: str, workspace: Path) -> None:
    beyond = Path.home() / f".bullpen-test-{os.getpid()}"
    turns = [Use("exec_command", {"cmd": f"echo a > {beyond}; echo b > here.txt"}), Say("Over.")]
    played = await run(program, workspace, turns, options={"codex_sandbox": "workspace-write"})
    try:
        assert not beyond.exists(), "it wrote beyond its workspace"
    finally:
        beyond.unlink(missing_ok=True)
    assert (workspace / "here.txt").read_text() == "b\n", played.events


@pytest.mark.parametrize(("turn", "words"), [
    (Fail(401, "authentication_error", "Incorrect API key provided"), "Incorrect API key"),
    (Fail(400, "invalid_request_error", "too long a prompt"), "too long a prompt"),
])
async def test_a_refusal_is_told_in_the_providers_words(
    turn: Fail, words: str, program: str, workspace: Path
) -> None:
    played = await run(program, workspace, [turn] * 3)
    assert not played.verdict.ok
    assert words in (played.verdict.reason or "")


async def test_a_usage_limit_says_when_it_is_over(program: str, workspace: Path) -> None:
    limit = Fail(429, "usage_limit_reached", "The usage limit has been reached",
                 more={"plan_type": "plus", "resets_at": 1_830_000_000})
    played = await run(program, workspace, [limit] * 3)
    (event,) = played.of(AgentEventKind.LIMIT)
    assert 0 <= event.data["reset_at"] - 1_830_000_000_000 <= 60_000
    assert not played.verdict.ok


async def test_a_thread_that_is_lost_is_told(program: str, workspace: Path) -> None:
    played = await run(program, workspace, [], resume="0198f2a4-0000-7000-8000-000000000000")
    assert not played.verdict.ok and "no rollout found" in played.errors


def test_the_program_itself_is_started_not_its_launcher(program: str) -> None:
    with Path(native(program)).open("rb") as file:
        assert file.read(4) == b"\x7fELF"


