"""What every driver promises, and every recording of a real agent played again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.drivers.acp import AcpDriver
from core.drivers.claude import ClaudeDriver
from core.drivers.codex import CodexDriver
from core.drivers.command import CommandDriver
from core.drivers.model_call import ModelCallDriver
from core.model import AgentEvent, AgentEventKind
from core.ports import Driver, Exit, Line
from tests.agent_bench import FIXTURES, RECORDED, brief, recorded
from tests.damaged import JSON_VALUES, replaced

CODEX = FIXTURES / "codex"
DRIVERS: list[Driver] = [CommandDriver(), ClaudeDriver(), AcpDriver(), CodexDriver(),
                         ModelCallDriver()]
WORKSPACE = Path("/workspace")
OPTIONS = {"command": "agent --acp", "model": "scripted"}
"""What some drivers need to plan at all; to the others it says nothing."""
REQUEST = {"request_id": "r-1", "tool": "Bash", "input": {"command": "ls"}}

every_driver = pytest.mark.parametrize("driver", DRIVERS, ids=lambda driver: driver.name)


# -- plan ---------------------------------------------------------------------------------


@every_driver
def test_the_same_brief_gives_the_same_plan(driver: Driver) -> None:
    told = brief(WORKSPACE, "Do it.", command="make test", options=OPTIONS)
    assert driver.plan(told) == driver.plan(told)


@every_driver
@given(title=st.text(), prompt=st.text(st.characters(exclude_categories=["Cs"])))
def test_no_words_of_a_task_break_the_command_line(driver: Driver, title: str, prompt: str) -> None:
    told = brief(WORKSPACE, prompt, command="echo {title} {task}", options=OPTIONS)
    told = type(told)(**{**{f: getattr(told, f) for f in told.__slots__}, "title": title})
    plan = driver.plan(told)
    words = [*plan.argv, *plan.env, *plan.env.values()]
    assert not any("\0" in word for word in words)
    plain = driver.plan(brief(WORKSPACE, command="echo {title} {task}", options=OPTIONS))
    assert len(plan.argv) == len(plain.argv)


@every_driver
def test_going_on_is_planned_only_where_it_is_possible(driver: Driver) -> None:
    first = driver.plan(brief(WORKSPACE, "Do it.", command="make", options=OPTIONS))
    again = driver.plan(
        brief(WORKSPACE, "Do it.", command="make", resume="abc", options=OPTIONS)
    )
    assert ("abc" in again.argv) is driver.can_resume
    assert (first == again) is not driver.can_resume


@every_driver
def test_a_prompt_goes_in_whole_where_input_is_taken(driver: Driver) -> None:
    plan = driver.plan(
        brief(WORKSPACE, "Zeile eins\nline “two”", command="make", options=OPTIONS)
    )
    if said := driver.say("Zeile eins\nline “two”"):
        assert plan.first_input == said and plan.input_open
    else:
        words = plan.first_input.decode().replace("\\n", "\n")
        assert not words or "Zeile eins\nline “two”" in words
        assert not plan.input_open


# -- parse --------------------------------------------------------------------------------


@every_driver
@pytest.mark.parametrize("stream", ["out", "err", "mark"])
@given(text=st.text())
def test_a_line_that_is_not_known_is_kept_as_text(driver: Driver, stream: str, text: str) -> None:
    assert list(driver.parse(Line(stream, 0, text, 1))) == [AgentEvent(AgentEventKind.TEXT, text)]


@every_driver
@pytest.mark.parametrize(
    "text",
    [
        '{"type": "news_from_tomorrow", "payload": [1, 2]}',
        '{"type": "system", "subtype": "weather"}',
        '{"type": "assistant", "message": {"content": []}}',
        '{"type": "control_request", "request": {"subtype": "hook_callback"}}',
        '{"type": ["assistant"]}',
        '{"no": "type"}',
        "{broken",
        "[" * 100_000,
        '{"a":' * 50_000,
    ],
    ids=range(9),
)
def test_json_that_is_not_known_is_kept_as_text(driver: Driver, text: str) -> None:
    assert [(e.kind, e.text) for e in driver.parse(Line("out", 0, text, 1))] == [("text", text)]


def _lines(folder: Path) -> list[str]:
    rows = [row for path in sorted(folder.glob("*.jsonl")) for row in recorded(path.stem, folder)]
    return [row["text"] for row in rows if row["stream"] == "out"]


RECORDINGS: list[tuple[Driver, list[str]]] = [
    (ClaudeDriver(), _lines(RECORDED)), (CodexDriver(), _lines(CODEX))]


@pytest.mark.parametrize(("driver", "lines"), RECORDINGS, ids=[d.name for d, _ in RECORDINGS])
@given(data=st.data(), where=st.randoms(use_true_random=False), value=JSON_VALUES)
def test_a_damaged_line_never_breaks_the_parser(
    driver: Driver, lines: list[str], data: Any, where: Any, value: Any
) -> None:
    damaged = replaced(json.loads(data.draw(st.sampled_from(lines))), where, value)
    for event in driver.parse(Line("out", 0, json.dumps(damaged), 1)):
        assert isinstance(event.text, str)
        json.dumps(dict(event.data))


# -- input --------------------------------------------------------------------------------


@every_driver
@pytest.mark.parametrize("text", ["", "yes", "two\nlines", 'quote " and \\ and “”'])
def test_all_input_is_whole_lines(driver: Driver, text: str) -> None:
    told = brief(WORKSPACE, command="make", options=OPTIONS)
    inputs = [driver.say(text), driver.interrupt()]
    inputs += [driver.answer(REQUEST, allow, text) for allow in (True, False)]
    for data in inputs:
        assert (data is not None) is driver.plan(told).input_open
        assert data is None or (data.endswith(b"\n") and data.count(b"\n") == 1)


# -- verdict and what is missing ----------------------------------------------------------


@every_driver
@pytest.mark.parametrize(
    ("end", "words"),
    [
        (Exit(status=3), "exit status 3"),
        (Exit(signal=9), "ended by signal 9 (SIGKILL)"),
        (Exit(signal=200), "ended by signal 200"),
        (Exit(reason="not_started", error="no such program: maek"), "no such program: maek"),
        (Exit(reason="not_started"), "could not be started"),
        (Exit(reason="output_limit", signal=15), "more output than the limit"),
        (Exit(reason="wall_time", signal=15), "longer than its time limit"),
        (Exit(reason="stopped", signal=15), "stopped"),
        (Exit(reason="gone"), "the process is gone"),
        (Exit(), "without an exit status"),
        (None, "not ended yet"),
    ],
)
def test_an_end_without_success_is_a_failure_in_plain_words(
    driver: Driver, end: Exit | None, words: str
) -> None:
    verdict = driver.verdict(None, end)
    assert not verdict.ok
    assert words in (verdict.reason or "")
    assert verdict.summary is None


@every_driver
def test_what_is_missing_is_said_in_one_line(driver: Driver) -> None:
    gone = "/nowhere/agent"
    line = driver.missing({"program": gone, "command": gone, "python": gone})
    assert line is not None and gone in line and "\n" not in line
    assert driver.missing({"program": "/bin/sh", "command": "/bin/sh -c true"}) is None


# -- recordings of the real Claude Code ---------------------------------------------------

STARTED = ["started"]
DONE = ["usage", "finished"]
CLOSING = ["text", *DONE]
PLAYS: dict[str, tuple[list[str], bool]] = {
    "plain": ([*STARTED, "text", *DONE], True),
    "resume": ([*STARTED, "text", *DONE], True),
    "two_prompts": ([*STARTED, "text", *DONE] * 2, True),
    "write_allowed": (
        [
            "started",
            "text",
            "tool_call",
            "permission_request",
            "tool_result",
            "file_change",
            *CLOSING,
        ],
        True,
    ),
    "write_denied": (
        [*STARTED, "tool_call", "permission_request", "tool_result", "text", *DONE],
        True,
    ),
    "edit": (
        [*STARTED, "tool_call", "tool_result"]
        + ["tool_call", "permission_request", "tool_result", "file_change"] * 2
        + ["text", *DONE],
        True,
    ),
    "bash": ([*STARTED, "tool_call", "permission_request", "tool_result", "text", *DONE], True),
    "bash_fails": (
        [*STARTED, "tool_call", "permission_request", "tool_result", "text", *DONE],
        True,
    ),
    "ask": ([*STARTED, "tool_call", "question", "tool_result", "text", *DONE], True),
    "ask_denied": ([*STARTED, "tool_call", "question", "tool_result", "text", *DONE], True),
    "error400": ([*STARTED, "error", *DONE], False),
    "error401": ([*STARTED, "error", *DONE], False),
    "error429": ([*STARTED, "limit", *DONE], False),
    "error529": ([*STARTED, "text", "error", *DONE], False),
    "limit": ([*STARTED, "limit", "limit", *DONE], False),
    "interrupt_text": ([*STARTED, "text", "text", *DONE], False),
    "interrupt_tool": ([*STARTED, "tool_call", "tool_result", "text", *DONE], False),
    "bad_resume": ([*DONE, "text"], False),
}
ANSWERS = {
    "ask": (True, "hello\nEnglish, German"),
    "ask_denied": (False, "Decide yourself."),
    "write_denied": (False, "Use another name, please."),
}


def test_every_recording_is_played() -> None:
    assert {path.stem for path in RECORDED.glob("*.jsonl")} == set(PLAYS)


@pytest.mark.parametrize("name", PLAYS)
def test_a_recording_gives_the_events_that_a_person_would_tell(name: str) -> None:
    kinds, ok = PLAYS[name]
    events = [event for event in _events(name) if "message" not in event.data]
    assert [event.kind.value for event in events] == kinds
    last = [event for event in events if event.kind is AgentEventKind.FINISHED][-1]
    status = recorded(name)[-1]["status"]
    verdict = ClaudeDriver().verdict(last, Exit(status=status))
    assert verdict.ok is ok
    assert (verdict.reason is None) is ok


@pytest.mark.parametrize(
    "name",
    [name for name in PLAYS if "request" in str(PLAYS[name][0]) or "question" in PLAYS[name][0]],
)
def test_our_answer_is_what_the_real_agent_took(name: str) -> None:
    driver = ClaudeDriver()
    allow, text = ANSWERS.get(name, (True, ""))
    requests = [event.data["request"] for event in _events(name) if "request" in event.data]
    given = [json.loads(driver.answer(json.loads(json.dumps(r)), allow, text)) for r in requests]
    rows = [json.loads(row["text"]) for row in recorded(name) if row["stream"] == "in"]
    assert given == [row for row in rows if row["type"] == "control_response"]


def _events(name: str) -> list[AgentEvent]:
    rows = [row for row in recorded(name) if row["stream"] in ("out", "err")]
    lines = [Line(row["stream"], 0, row["text"], at) for at, row in enumerate(rows, 1)]
    return [event for line in lines for event in ClaudeDriver().parse(line)]
