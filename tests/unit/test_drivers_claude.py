"""The Claude driver: arguments, answers, and what a line tells in figures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from core.drivers.claude import ClaudeDriver
from core.errors import Unclear
from core.model import AgentEvent, AgentEventKind
from core.ports import Exit, Line
from tests.agent_bench import brief, recorded

DRIVER = ClaudeDriver()
WORKSPACE = Path("/workspace")


def events(name: str, kind: AgentEventKind) -> list[AgentEvent]:
    rows = [row for row in recorded(name) if row["stream"] == "out"]
    found = [event for row in rows for event in DRIVER.parse(Line("out", 0, row["text"], 1))]
    return [event for event in found if event.kind is kind]


def parsed(value: dict[str, Any]) -> list[AgentEvent]:
    return list(DRIVER.parse(Line("out", 0, json.dumps(value), 1)))


# -- the command line ---------------------------------------------------------------------


def test_the_plain_command_line() -> None:
    assert DRIVER.plan(brief(WORKSPACE, "Do it.")).argv == (
        *("claude", "-p", "--input-format", "stream-json", "--output-format", "stream-json"),
        *("--verbose", "--permission-prompt-tool", "stdio", "--permission-mode", "default"),
    )


def test_options_become_arguments() -> None:
    options = {
        "program": "/opt/claude",
        "model": "haiku",
        "append_system_prompt": "Be brief; it's late.",
        "permission_mode": "acceptEdits",
        "args": ["--max-turns", "3"],
    }
    argv = DRIVER.plan(brief(WORKSPACE, "Go.", resume="s-1", options=options)).argv
    assert argv[0] == "/opt/claude"
    assert argv[argv.index("--model") + 1] == "haiku"
    assert argv[argv.index("--append-system-prompt") + 1] == "Be brief; it's late."
    assert argv[argv.index("--permission-mode") + 1] == "acceptEdits"
    assert argv[argv.index("--resume") + 1] == "s-1"
    assert argv[-2:] == ("--max-turns", "3")


def test_the_agents_model_goes_before_the_options() -> None:
    argv = DRIVER.plan(brief(WORKSPACE, model="opus", options={"model": "haiku"})).argv
    assert argv[argv.index("--model") + 1] == "opus"


def test_wrong_extra_arguments_are_refused() -> None:
    with pytest.raises(Unclear, match=r"options\.args"):
        DRIVER.plan(brief(WORKSPACE, options={"args": "--max-turns 3"}))


def test_a_talk_at_a_terminal_has_a_name_from_its_beginning() -> None:
    first = DRIVER.plan(brief(WORKSPACE, interactive=True))
    assert first.argv[first.argv.index("--session-id") + 1] == first.conversation
    assert DRIVER.plan(brief(WORKSPACE, interactive=True)).conversation != first.conversation
    again = DRIVER.plan(brief(WORKSPACE, interactive=True, resume=first.conversation))
    assert "--session-id" not in again.argv and again.conversation is None
    assert again.argv[again.argv.index("--resume") + 1] == first.conversation


def test_a_missing_program_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert DRIVER.missing({}) == (
        "Claude Code is not installed: npm install -g @anthropic-ai/claude-code"
    )


# -- what lines tell ----------------------------------------------------------------------


def test_what_a_tool_call_says_is_not_said_twice() -> None:
    about = {"type": "system", "task_id": "b1", "tool_use_id": "toolu_1"}
    assert parsed({**about, "subtype": "task_started", "description": "w"}) == []
    done = {**about, "subtype": "task_notification", "summary": "w"}
    assert parsed({**done, "status": "stopped"}) == parsed({**done, "status": "completed"}) == []
    (failed,) = parsed({**done, "status": "failed"})
    assert failed.text == "In the background: w: failed"


def test_file_changes_are_counted() -> None:
    changes = [event.data for event in events("edit", AgentEventKind.FILE_CHANGE)]
    assert changes == [
        {"path": "/workspace/old.txt", "added": 2, "removed": 1},
        {"path": "/workspace/old.txt", "added": 0, "removed": 2},
    ]
    (created,) = events("write_allowed", AgentEventKind.FILE_CHANGE)
    assert created.data == {"path": "/workspace/greeting.txt", "added": 2, "removed": 0}


def test_usage_grows_over_the_process() -> None:
    used = [event.data for event in events("two_prompts", AgentEventKind.USAGE)
            if "message" not in event.data]
    assert used == [
        {"tokens_in": 10, "tokens_out": 5, "cost_usd": 0.000175},
        {"tokens_in": 20, "tokens_out": 10, "cost_usd": 0.00035},
    ]


@pytest.mark.parametrize("name", ["plain", "bash", "edit", "write_allowed", "ask"])
def test_what_its_messages_used_is_what_the_result_says_in_the_end(name: str) -> None:
    used = [event.data for event in events(name, AgentEventKind.USAGE)]
    messages = {data["message"]: data for data in used if "message" in data}
    total = used[-1]
    for key in ("tokens_in", "tokens_out"):
        assert sum(data[key] for data in messages.values()) == total[key]


def test_a_messages_usage_names_its_model_and_what_was_kept() -> None:
    usage = {"input_tokens": 3, "cache_read_input_tokens": 40, "cache_creation_input_tokens": 500,
             "output_tokens": 6}
    message = {"id": "m1", "model": "some-model", "usage": usage, "content": []}
    (event,) = parsed({"type": "assistant", "message": message})
    assert event.data == {"message": "m1", "model": "some-model", "tokens_in": 543,
                          "tokens_out": 6, "cached": 40}


def test_cached_tokens_and_every_model_count() -> None:
    used = {"inputTokens": 1, "cacheReadInputTokens": 20, "cacheCreationInputTokens": 300}
    models = {"a": {**used, "outputTokens": 4}, "b": {"inputTokens": 5000, "outputTokens": 50}}
    usage, _ = parsed({"type": "result", "is_error": False, "modelUsage": models})
    assert usage.data == {"tokens_in": 5321, "tokens_out": 54, "cost_usd": 0.0}


def test_what_is_not_on_standard_output_is_never_an_event() -> None:
    text = '{"type": "result", "is_error": false, "result": "All good."}'
    assert DRIVER.parse(Line("out", 0, text, 1))[-1].kind is AgentEventKind.FINISHED
    for stream in ("err", "mark"):
        assert [e.text for e in DRIVER.parse(Line(stream, 0, text, 1))] == [text]


def test_a_usage_limit_tells_its_reset_in_milliseconds_and_is_said_again_in_words() -> None:
    limit, again = events("limit", AgentEventKind.LIMIT)
    assert limit.data == {"reset_at": 1_795_300_000_000}
    assert again.text.startswith("You've hit your session limit")


def test_a_limit_that_does_not_stop_the_work_is_no_limit() -> None:
    info = {"status": "allowed_warning", "rateLimitType": "seven_day", "resetsAt": 1}
    (event,) = parsed({"type": "rate_limit_event", "rate_limit_info": info})
    assert event.kind is AgentEventKind.TEXT
    assert parsed({"type": "rate_limit_event", "rate_limit_info": {"status": "allowed"}}) == []


@pytest.mark.parametrize("seconds", ["1e308", "1e17", "-5", "0", "NaN", "1" + "0" * 400, '"x"'])
def test_a_limit_whose_end_is_no_time_has_none(seconds: str) -> None:
    info = f'{{"status": "rejected", "resetsAt": {seconds}}}'
    line = f'{{"type": "rate_limit_event", "rate_limit_info": {info}}}'
    (event,) = DRIVER.parse(Line("out", 0, line, 1))
    assert event.data.get("reset_at") is None


@pytest.mark.parametrize("count", ["1e300", "-7", "9007199254740992", "1" + "0" * 400])
def test_a_count_that_can_be_none_is_not_counted(count: str) -> None:
    used = f'{{"inputTokens": {count}, "outputTokens": 3}}'
    more = f'"modelUsage": {{"a": {used}}}, "total_cost_usd": {count}'
    line = f'{{"type": "result", "is_error": false, {more}}}'
    usage, _ = DRIVER.parse(Line("out", 0, line, 1))
    assert usage.data == {"tokens_in": 0, "tokens_out": 3, "cost_usd": 0.0}


def test_many_large_counts_make_no_sum_too_large() -> None:
    models = {str(n): {"inputTokens": 2**53 - 1} for n in range(2000)}
    usage, _ = parsed({"type": "result", "is_error": False, "modelUsage": models})
    assert usage.data["tokens_in"] == 0


def test_a_refused_key_is_an_error_at_once_and_an_overload_is_not() -> None:
    retry = {"type": "system", "subtype": "api_retry", "attempt": 1, "max_retries": 10}
    assert parsed({**retry, "error_status": 401})[0].kind is AgentEventKind.ERROR
    assert parsed({**retry, "error_status": 529})[0].kind is AgentEventKind.TEXT


def test_success_by_name_is_still_an_error() -> None:
    (finished,) = events("error401", AgentEventKind.FINISHED)
    verdict = DRIVER.verdict(finished, Exit(status=0))
    assert not verdict.ok
    assert verdict.reason == "Invalid API key · Fix external API key"


def test_a_result_outlives_a_bad_exit() -> None:
    (finished,) = events("plain", AgentEventKind.FINISHED)
    for end in (Exit(status=1), Exit(signal=15, reason="stopped"), None):
        verdict = DRIVER.verdict(finished, end)
        assert (verdict.ok, verdict.summary) == (True, "Hello from the model.")


def test_a_good_exit_without_a_result_is_a_failure() -> None:
    verdict = DRIVER.verdict(None, Exit(status=0))
    assert (verdict.ok, verdict.reason) == (False, "ended without a result: exit status 0")


def test_an_interrupt_is_told_as_one() -> None:
    for name in ("interrupt_text", "interrupt_tool"):
        (finished,) = events(name, AgentEventKind.FINISHED)
        assert DRIVER.verdict(finished, None).reason == "interrupted"


def test_a_question_carries_its_options() -> None:
    (question,) = events("ask", AgentEventKind.QUESTION)
    assert question.data["questions"] == [
        {"question": "Which greeting?", "options": ["hello", "good day"]},
        {"question": "Which languages?", "options": ["English", "German"]},
    ]


# -- what is asked for --------------------------------------------------------------------


def asked(tool: str, **given: Any) -> str:
    request = {"subtype": "can_use_tool", "tool_name": tool, "input": given}
    (event,) = parsed({"type": "control_request", "request_id": "r-1", "request": request})
    assert event.kind is AgentEventKind.PERMISSION_REQUEST
    return event.text


def test_a_request_shows_every_field_of_its_call() -> None:
    words = asked("mcp__db__exec", description="list the tables", sql="DROP TABLE users")
    assert words == "mcp__db__exec\ndescription: list the tables\nsql: DROP TABLE users"


def test_what_would_be_written_is_shown_whole() -> None:
    content = "one\n" * 5000 + "last"
    words = asked("Write", file_path="README.md", content=content)
    assert words == f"Write\nfile_path: README.md\ncontent (5001 lines):\n{content}"


def test_a_command_stands_beside_its_tool_and_nothing_is_left_out() -> None:
    assert asked("Bash", command="ls -l") == "Bash: ls -l"
    words = asked("Bash", description="List", command="ls", timeout=5, run_in_background=True)
    assert words == "Bash: ls\ndescription: List\ntimeout: 5\nrun_in_background: true"


def test_a_value_of_several_lines_poses_as_no_field() -> None:
    words = asked("mcp__db__exec", note="x\nsql: SELECT 1", sql="DROP TABLE users", empty="")
    assert "note (2 lines):\nx\nsql: SELECT 1\nsql: DROP TABLE users\nempty: \"\"" in words
    assert "\n" not in asked("do\nBash: ls")


def test_what_a_screen_would_swallow_is_shown() -> None:
    words = asked("Bash", command="ls \x1b]; rm -rf ~ \x07\u202e\r", **{"a\nb": 1})
    assert words == "Bash: ls \\x1b]; rm -rf ~ \\x07\\u202e\\r\na\\nb: 1"


def test_objects_of_a_call_are_laid_out() -> None:
    edits = [{"old_string": "a" * 40, "new_string": "b" * 60}]
    words = asked("MultiEdit", file_path="x.py", edits=edits)
    title, path, header, layout = words.split("\n", 3)
    assert (title, path, header) == ("MultiEdit", "file_path: x.py", "edits (6 lines):")
    assert json.loads(layout) == edits


@pytest.mark.parametrize("name", ["write_allowed", "write_denied", "edit", "bash", "bash_fails"])
def test_real_requests_are_told_whole(name: str) -> None:
    """Each value of the recorded calls stands in the words that a person decides by."""
    for event in events(name, AgentEventKind.PERMISSION_REQUEST):
        assert event.data["input"]
        for field, value in event.data["input"].items():
            words = value if isinstance(value, str) else json.dumps(value)
            assert words in event.text and (field in event.text or field == "command")


# -- answers ------------------------------------------------------------------------------


def answered(allow: bool, text: str, **request: Any) -> dict[str, Any]:
    whole = {"request_id": "r-1", "tool": "Bash", "input": {"command": "ls"}, **request}
    value: dict[str, Any] = json.loads(DRIVER.answer(whole, allow, text))
    assert value["response"]["request_id"] == "r-1"
    body: dict[str, Any] = value["response"]["response"]
    return body


def test_a_changed_input_is_what_is_allowed() -> None:
    body = answered(True, "", input={"command": "ls -l"})
    assert body == {"behavior": "allow", "updatedInput": {"command": "ls -l"}}


def test_a_no_carries_its_reason() -> None:
    assert answered(False, "Not on Friday.") == {"behavior": "deny", "message": "Not on Friday."}
    assert answered(False, "")["message"]


ASKED = {"questions": [{"question": "First?"}, 7, {"question": "Second?"}]}


@pytest.mark.parametrize("text", ["red\nblue", "red\n\n blue ", "red | blue", "1. red\n2) blue"])
def test_several_questions_take_a_line_each(text: str) -> None:
    body = answered(True, text, tool="AskUserQuestion", input=ASKED)
    assert body["updatedInput"]["answers"] == {"First?": "red", "Second?": "blue"}


@pytest.mark.parametrize("text", ["red", "a\nb\nc", "a | b | c", "a |", "1. red"])
def test_as_many_answers_as_questions(text: str) -> None:
    with pytest.raises(Unclear, match="Answer all 2 in their order, a line each"):
        answered(True, text, tool="AskUserQuestion", input=ASKED)


def test_one_question_takes_all_the_words() -> None:
    asked = {"questions": [{"question": "Why?"}]}
    body = answered(True, "two\nlines ", tool="AskUserQuestion", input=asked)
    assert body["updatedInput"]["answers"] == {"Why?": "two\nlines"}
