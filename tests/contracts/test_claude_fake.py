"""The scripted agent is driven as the real one is, and what it writes has the real shapes."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core.drivers.claude import ClaudeDriver
from core.model import AgentEvent, AgentEventKind
from tests.agent_bench import (
    END,
    FAKE_CLAUDE,
    RECORDED,
    Played,
    React,
    brief,
    play,
    recorded,
    when_finished,
)

DRIVER = ClaudeDriver()
ASKING = (AgentEventKind.PERMISSION_REQUEST, AgentEventKind.QUESTION)


async def run(
    workspace: Path,
    prompt: str,
    react: React = when_finished,
    script: list[Any] | None = None,
    resume: str | None = None,
) -> Played:
    env = {"PATH": os.environ["PATH"], "HOME": str(workspace.parent / "home")}
    if script is not None:
        file = workspace.parent / "script.json"
        file.write_text(json.dumps(script))
        env["FAKE_CLAUDE_SCRIPT"] = str(file)
    options = {"program": str(FAKE_CLAUDE)}
    return await play(DRIVER, brief(workspace, prompt, resume=resume, options=options), env, react)


def answering(allow: bool, text: str = "") -> React:
    def react(event: AgentEvent) -> bytes | tuple[()] | None:
        if event.kind in ASKING:
            return DRIVER.answer(event.data["request"], allow, text)
        return when_finished(event)

    return react


async def test_without_a_script_it_notes_its_prompt(workspace: Path) -> None:
    played = await run(workspace, "Add a greeting\nin two languages")
    assert played.verdict.ok
    assert "Add a greeting" in (played.verdict.summary or "")
    assert (workspace / "NOTES.md").read_text() == "Add a greeting\n"
    (change,) = played.of(AgentEventKind.FILE_CHANGE)
    assert change.data == {"path": str(workspace / "NOTES.md"), "added": 1, "removed": 0}


async def test_it_uses_the_answer_to_its_question(workspace: Path) -> None:
    played = await run(workspace, "Greet\nask: In which language?", answering(True, "German"))
    assert played.verdict.ok
    assert (workspace / "ANSWER.md").read_text() == "German\n"


@pytest.mark.parametrize("allow", [True, False])
async def test_it_runs_a_command_only_when_allowed(allow: bool, workspace: Path) -> None:
    played = await run(workspace, "permission: touch made.txt", answering(allow, "No."))
    assert played.verdict.ok
    assert (workspace / "made.txt").exists() is allow


async def test_it_remembers_a_conversation(workspace: Path) -> None:
    first = await run(workspace, "One")
    (started,) = first.of(AgentEventKind.STARTED)
    session = started.data["driver_session"]
    again = await run(workspace, "Two", resume=session)
    assert again.of(AgentEventKind.STARTED)[0].data["driver_session"] == session
    assert "prompt 2" in (again.verdict.summary or "")
    unknown = await run(workspace, "Three", resume="00000000-0000-4000-8000-000000000000")
    assert "No conversation found" in (unknown.verdict.reason or "")


async def test_it_takes_a_second_prompt_while_it_lives(workspace: Path) -> None:
    seen: list[str] = []

    def react(event: AgentEvent) -> bytes | tuple[()] | None:
        if event.kind is not AgentEventKind.FINISHED:
            return ()
        seen.append(event.text)
        return END if len(seen) == 2 else DRIVER.say("Second")

    await run(workspace, "First", react)
    assert "First" in seen[0] and "Second" in seen[1]


async def test_an_interrupt_ends_its_turn(workspace: Path) -> None:
    def react(event: AgentEvent) -> bytes | tuple[()] | None:
        if event.text == "Waiting":
            return DRIVER.interrupt()
        return when_finished(event)

    played = await run(workspace, "Wait", react, [{"say": "Waiting"}, {"sleep": 3600}])
    assert played.verdict.reason == "interrupted"


async def test_it_fails_in_every_way_a_script_asks_for(workspace: Path) -> None:
    error = await run(workspace, "x", script=[{"error": "Overloaded"}])
    assert (error.verdict.ok, error.verdict.reason) == (False, "Overloaded")
    crash = await run(workspace, "x", script=[{"stderr": "boom"}, {"crash": 7}])
    assert crash.verdict.reason == "ended without a result: exit status 7"
    assert "boom" in crash.errors
    limit = await run(workspace, "x", script=[{"limit": 1_795_300_000}])
    assert limit.of(AgentEventKind.LIMIT)[0].data == {"reset_at": 1_795_300_000_000}


async def test_it_floods_and_says_what_nobody_knows(workspace: Path) -> None:
    script = [{"flood": 1 << 20}, {"emit": {"type": "weather"}}, {"raw": "{half"}]
    played = await run(workspace, "x", script=script)
    assert played.verdict.ok
    assert sum(len(line.text) for line in played.lines) > 1 << 20
    texts = [event.text for event in played.of(AgentEventKind.TEXT)]
    assert '{"type": "weather"}' in texts and "{half" in texts


async def test_its_lines_have_the_shapes_of_the_real_ones(workspace: Path) -> None:
    script = [
        {"say": "Hello"},
        {"write": "a.txt", "content": "one\n"},
        {"write": "a.txt", "content": "two\n"},
        {"permission": "echo made"},
        {"permission": "exit 3"},
        {"ask": "Which?", "options": ["a", "b"]},
    ]
    lines = [line.text for line in (await run(workspace, "x", answering(True), script)).lines]
    denied = await run(workspace, "x", answering(False, "No."), script[-2:])
    failed = await run(workspace, "x", script=[{"limit": 1_795_300_000}])
    lines += [line.text for played in (denied, failed) for line in played.lines]
    real = _shapes(row["text"] for path in sorted(RECORDED.glob("*.jsonl"))
                   for row in recorded(path.stem) if row["stream"] == "out")  # fmt: skip
    for name, keys in _shapes(lines).items():
        assert name in real, f"the real agent never says {name}"
        assert keys <= real[name], f"{name} has keys of its own: {keys - real[name]}"


def _shapes(lines: Any) -> dict[str, set[str]]:
    """The keys seen at each place that the driver reads, by the kind of line."""
    found: dict[str, set[str]] = {}
    for line in lines:
        for name, value in _places(json.loads(line)):
            found.setdefault(name, set()).update(value)
    return found


def _places(value: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    name = f"{value['type']}/{value.get('subtype', '')}"
    yield name, value
    for key in ("request", "response", "rate_limit_info"):
        if isinstance(value.get(key), dict):
            yield f"{name}.{key}/{value[key].get('subtype', '')}", value[key]
    if isinstance(value.get("message"), dict):
        yield f"{name}.message", value["message"]
        for block in value["message"]["content"]:
            yield f"{name}.message.{block['type']}", block
    for used in value.get("modelUsage", {}).values():
        yield f"{name}.modelUsage", used
