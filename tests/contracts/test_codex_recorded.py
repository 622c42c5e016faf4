"""Recordings of the real Codex, played again."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from core.drivers.codex import CodexDriver
from core.model import AgentEvent, AgentEventKind
from core.ports import Exit, Line
from tests.agent_bench import FIXTURES, recorded

CODEX = FIXTURES / "codex"
STARTED = ["started"]
DONE = ["usage", "finished"]
CLOSING = ["text", *DONE]
UNKNOWN = [*STARTED, "text"]
"""Of a model that it doesn't know it says so, and goes on."""
CALL = ["tool_call", "tool_result"]
PLAYS: dict[str, tuple[list[str], bool]] = {
    "plain": ([*STARTED, "text", *DONE], True),
    "resume": ([*STARTED, "text", *DONE], True),
    "unknown_model": ([*UNKNOWN, *CLOSING], True),
    "command": ([*UNKNOWN, "text", *CALL, *CALL, *CLOSING], True),
    "patch": ([*STARTED, *[*CALL, "file_change"] * 3, "text", *CLOSING], True),
    "mcp": ([*UNKNOWN, *CALL, *CLOSING], True),
    "search": ([*UNKNOWN, "tool_call", *CLOSING], True),
    "error400": ([*UNKNOWN, "error", "finished"], False),
    "error401": ([*UNKNOWN, "text", "error", "finished"], False),
    "error429": ([*UNKNOWN, "text", "error", "limit", "finished"], False),
    "error500": ([*UNKNOWN, "text", "error", "finished"], False),
    "limit": ([*UNKNOWN, "error", "limit", "finished"], False),
    "limit_far": ([*UNKNOWN, "error", "limit", "finished"], False),
    "limit_unknown": ([*UNKNOWN, "error", "limit", "finished"], False),
    "quota": ([*UNKNOWN, "error", "limit", "finished"], False),
    "bad_resume": (["finished"], False),
    "bad_flag": (["text"] * 8, False),
    "terminated": ([*UNKNOWN, "tool_call"], False),
    "interrupted": ([*UNKNOWN, "tool_call", "text"], False),
}


def test_every_recording_is_played() -> None:
    assert {path.stem for path in CODEX.glob("*.jsonl")} == set(PLAYS)


@pytest.mark.parametrize("name", PLAYS)
def test_a_recording_gives_the_events_that_a_person_would_tell(name: str) -> None:
    kinds, ok = PLAYS[name]
    events = _events(name)
    assert [event.kind.value for event in events] == kinds
    last = [event for event in events if event.kind is AgentEventKind.FINISHED]
    status = recorded(name, CODEX)[-1]["status"]
    verdict = CodexDriver().verdict(last[-1] if last else None, Exit(status=status))
    assert verdict.ok is ok
    assert (verdict.reason is None) is ok


@pytest.mark.parametrize(("name", "when"), [
    ("limit", (2026, 11, 21, 22, 27)), ("limit_far", (2026, 11, 26, 13, 34)),
    ("limit_unknown", None), ("quota", None), ("error429", None)])
def test_it_says_when_its_limit_is_over(name: str, when: tuple[int, ...] | None) -> None:
    now = datetime(2026, 11, 21, 13, 56, tzinfo=UTC)
    events = _events(name, int(now.timestamp() * 1000))
    (limit,) = [event for event in events if event.kind is AgentEventKind.LIMIT]
    then = datetime(*when, tzinfo=UTC) if when else None  # type: ignore[misc, arg-type]
    assert limit.data["reset_at"] == (int(then.timestamp() * 1000) if then else None)


def test_it_shows_what_it_does_in_words() -> None:
    patch = _events("patch")
    files = [event.text for event in patch if event.kind is AgentEventKind.FILE_CHANGE]
    assert files == ["/workspace/a.txt (added)", "/workspace/a.txt (changed)",
                     "/workspace/a.txt (deleted)"]
    command = _events("command")
    calls = [event.text for event in command if event.kind is AgentEventKind.TOOL_CALL]
    assert calls == ["shell: /bin/bash -lc 'echo hi'", "shell: /bin/bash -lc 'echo no; exit 3'"]
    results = [event for event in command if event.kind is AgentEventKind.TOOL_RESULT]
    assert [(event.text, event.data["is_error"]) for event in results] == [
        ("hi\n", False), ("no\n(exit status 3)", True)]
    (answer,) = [event for event in _events("mcp")
                 if event.kind is AgentEventKind.TOOL_RESULT]
    assert answer.text == "tea"


def test_a_plans_stays_readable() -> None:
    row = {"type": "item.updated", "item": {"id": "item_1", "type": "todo_list", "items": [
        {"text": "look", "completed": True}, {"text": "mend", "completed": False}]}}
    (event,) = CodexDriver().parse(Line("out", 0, json.dumps(row), 1))
    assert (event.kind, event.text) == (AgentEventKind.TEXT, "☑ look\n☐ mend")


def _events(name: str, now: int = 0) -> list[AgentEvent]:
    rows = [row for row in recorded(name, CODEX) if row["stream"] in ("out", "err")]
    lines = [Line(row["stream"], now, row["text"], at) for at, row in enumerate(rows, 1)]
    return [event for line in lines for event in CodexDriver().parse(line)]
