"""The real Claude Code, where it is installed, against a scripted model on loopback.

BULLPEN_TEST_CLAUDE names the program where it isn't on the PATH.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from core.drivers.claude import ClaudeDriver
from core.model import AgentEvent, AgentEventKind
from tests.agent_bench import Played, React, brief, play, when_finished
from tests.fakes.model_server import Fail, ModelServer, Say, Turn, Use
from tests.flows import real_bench

DRIVER = ClaudeDriver()
ASKING = Path(__file__).parents[1] / "fakes" / "asking_mcp.py"
QUESTIONS = {
    "questions": [
        {
            "question": "Which greeting?",
            "header": "Greeting",
            "multiSelect": False,
            "options": [
                {"label": "hello", "description": "short"},
                {"label": "good day", "description": "formal"},
            ],
        }
    ]
}


@pytest.fixture
def program() -> str:
    return real_bench.program("claude", "BULLPEN_TEST_CLAUDE", "Claude Code")


async def run(
    program: str,
    workspace: Path,
    turns: Sequence[Turn],
    react: React = when_finished,
    resume: str | None = None,
    server: ModelServer | None = None,
    login: str = "ANTHROPIC_API_KEY",
    **told: Any,
) -> Played:
    async with server or ModelServer({"": turns}) as server:
        env = {
            "HOME": str(workspace.parent / "home"),
            "PATH": os.defpath + ":" + os.environ["PATH"],
            "ANTHROPIC_BASE_URL": server.url,
            login: "dummy",
            "DISABLE_TELEMETRY": "1",
            "DISABLE_ERROR_REPORTING": "1",
            "DISABLE_AUTOUPDATER": "1",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "CLAUDE_CODE_MAX_RETRIES": "0",
            "BULLPEN_TOKEN": "the token",
        }
        options: dict[str, Any] = {"program": program}
        asked = brief(workspace, "Please do it.", resume=resume, options=options, **told)
        return await play(DRIVER, asked, env, react)


def answering(allow: bool, text: str = "") -> React:
    def react(event: AgentEvent) -> bytes | tuple[()] | None:
        if event.kind in (AgentEventKind.PERMISSION_REQUEST, AgentEventKind.QUESTION):
            return DRIVER.answer(event.data["request"], allow, text)
        return when_finished(event)

    return react


@pytest.mark.parametrize("allow", [True, False])
async def test_a_file_is_written_only_when_allowed(
    allow: bool, program: str, workspace: Path
) -> None:
    target = workspace / "greeting.txt"
    write = Use("Write", {"file_path": str(target), "content": "hello\n"})
    played = await run(program, workspace, [write, Say("Over.")], answering(allow, "Not so."))
    assert played.verdict.ok, played.errors
    assert played.verdict.summary == "Over."
    assert target.exists() is allow
    assert len(played.of(AgentEventKind.FILE_CHANGE)) == allow
    (result,) = played.of(AgentEventKind.TOOL_RESULT)
    assert allow or result.text == "Not so."


async def test_a_question_gets_its_answer(program: str, workspace: Path) -> None:
    turns: list[Turn] = [Use("AskUserQuestion", QUESTIONS), Say("Thanks.")]
    played = await run(program, workspace, turns, answering(True, "good evening"))
    assert played.verdict.ok, played.errors
    (result,) = played.of(AgentEventKind.TOOL_RESULT)
    assert "good evening" in result.text and not result.data["is_error"]


async def test_each_of_several_questions_gets_its_own(program: str, workspace: Path) -> None:
    (first,) = QUESTIONS["questions"]
    second = {**first, "question": "Which language?", "header": "Language", "multiSelect": True}
    turns: list[Turn] = [Use("AskUserQuestion", {"questions": [first, second]}), Say("Thanks.")]
    played = await run(program, workspace, turns, answering(True, "hello | English, German"))
    assert played.verdict.ok, played.errors
    (result,) = played.of(AgentEventKind.TOOL_RESULT)
    assert '"Which greeting?"="hello"' in result.text
    assert '"Which language?"="English, German"' in result.text


async def test_a_conversation_goes_on(program: str, workspace: Path) -> None:
    first = await run(program, workspace, [Say("One.")])
    session = first.of(AgentEventKind.STARTED)[0].data["driver_session"]
    again = await run(program, workspace, [Say("Two.")], resume=session)
    assert again.verdict.summary == "Two."
    assert again.of(AgentEventKind.STARTED)[0].data["driver_session"] == session


async def test_an_interrupt_ends_the_turn(program: str, workspace: Path) -> None:
    def react(event: AgentEvent) -> bytes | tuple[()] | None:
        if event.kind is AgentEventKind.TOOL_CALL:
            return DRIVER.interrupt()
        return when_finished(event)

    slow = Use("Bash", {"command": "sleep 3600", "description": "wait"})
    played = await run(program, workspace, [slow, Say("Slept.")], react)
    assert played.verdict.reason == "interrupted"


async def test_a_refused_key_is_a_failure(program: str, workspace: Path) -> None:
    refusal = Fail(401, "authentication_error", "invalid x-api-key")
    played = await run(program, workspace, [refusal] * 3)
    assert not played.verdict.ok
    assert "API key" in (played.verdict.reason or "")


async def test_the_words_of_its_task_reach_the_model(program: str, workspace: Path) -> None:
    server = ModelServer({"": [Say("Over.")]})
    await run(program, workspace, [], server=server, instructions="Touch nothing but README.md.")
    assert "Touch nothing but README.md." in str(server.requests[-1]["system"])


async def test_bullpens_tools_are_there_and_need_no_leave(program: str, workspace: Path) -> None:
    """The server is started with the variables that lead back; nothing is told in its argv."""
    turns: list[Turn] = [Use("mcp__bullpen__ask", {"question": "Tea?"}), Say("Over.")]
    played = await run(program, workspace, turns, mcp=(sys.executable, str(ASKING), "8"))
    assert not played.of(AgentEventKind.PERMISSION_REQUEST)
    (answer,) = played.of(AgentEventKind.TOOL_RESULT)
    assert answer.text == "Tea? yes, says the token", played.errors


async def test_a_usage_limit_says_when_it_is_over(program: str, workspace: Path) -> None:
    headers = {
        "anthropic-ratelimit-unified-status": "rejected",
        "anthropic-ratelimit-unified-reset": "1830000000",
        "anthropic-ratelimit-unified-representative-claim": "five_hour",
    }
    limit = Fail(429, "rate_limit_error", "This would exceed your limit.", headers)
    played = await run(program, workspace, [limit] * 3, login="CLAUDE_CODE_OAUTH_TOKEN")
    assert not played.verdict.ok
    resets = [event.data["reset_at"] for event in played.of(AgentEventKind.LIMIT)]
    assert resets and all(0 <= (at or 0) - 1_830_000_000_000 <= 60_000 for at in resets)
