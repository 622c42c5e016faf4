"""An agent that asks: questions, permissions, and who may say what."""

from __future__ import annotations

import json

import pytest

from tests.flows.bench import Bench

SANDBOXES = ("host", "auto")


@pytest.fixture(autouse=True)
def claude(bench: Bench) -> None:
    bench.install_claude()


def test_a_question_waits_and_its_answer_reaches_the_agent(bench: Bench) -> None:
    ran = bench.up('/add "Make a drink"', "ask: Tea or coffee?", "/inbox", "/approve 1",
                   "/answer G-1", "/answer G-1 tea", "/approve G-1", "/approve 1",
                   "/answer G-2 tea")
    ran.said("claude takes it", "❓ G-1", "Tea or coffee?", "/answer G-1 yes", "/answer G-1 …",
             "1 waits for you", "G-1 is a question: /answer G-1 TEXT", "Say the answer",
             "G-1 answered. claude goes on")
    ran.said("TASK-001 is ready for you", "done · merged")
    ran.said("G-1 was answered by", "G-2 was approved by")
    assert bench.file("ANSWER.md") == "tea\n"


SEVERAL = [
    {"question": "Which drink?", "header": "Drink", "multiSelect": False, "options": [
        {"label": "tea", "description": "warm, from leaves"}, {"label": "coffee"}]},
    {"question": "Which sides?", "header": "Sides", "multiSelect": True, "options": [
        {"label": "cake", "description": "sweet"}, {"label": "bread", "description": "plain"}]}]


@pytest.mark.parametrize("answer", ["tea | cake, bread", "1. tea | 2. cake, bread"])
def test_several_questions_stand_with_their_choices_and_each_has_an_answer(
    bench: Bench, answer: str
) -> None:
    _play(bench, [{"ask_all": SEVERAL}, {"say": "Served."}])
    ran = bench.up('/add "Serve"', "/answer G-1 tea", "/answer G-1 a | b | c",
                   f"/answer G-1 {answer}", "/approve 1")
    ran.said("❓ G-1", "1. Which drink?", "· tea: warm, from leaves", "· coffee",
             "2. Which sides? (one or more of them)", "· cake: sweet", "· bread: plain",
             "(Answer all 2 in their order, a line each, or in one line with | between them.)",
             "Answer all 2 in their order", "that were 1.", "that were 1.",
             "G-1 answered. claude goes on", "TASK-001 is ready for you", "done · merged")
    assert bench.file("ANSWER.md") == "Which drink? = tea\nWhich sides? = cake, bread\n"


def test_the_choices_of_one_question_stand_below_it(bench: Bench) -> None:
    _play(bench, [{"ask_all": SEVERAL[:1]}, {"say": "Served."}])
    ran = bench.up('/add "Serve"', "/answer G-1 tea", "/approve 1")
    ran.said("❓ G-1", "Which drink?", "· tea: warm, from leaves", "· coffee", "done · merged")
    assert bench.file("ANSWER.md") == "Which drink? = tea\n"


@pytest.mark.parametrize("said", ["always", "session", "Always"])
def test_a_permission_that_can_only_be_given_once_says_so(bench: Bench, said: str) -> None:
    ran = bench.up('/add "Run it"', "permission: echo it ran > ran.txt", f"/approve 1 {said}")
    ran.said(f"G-1 approved, this once: claude can't be told `{said.lower()}`. claude goes on.")


def test_a_permission_is_given(bench: Bench) -> None:
    ran = bench.up('/add "Run it"', "permission: echo it ran > ran.txt", "/approve 1",
                   "/approve 1")
    ran.said("🔐 G-1", "wants to use a tool", "echo it ran > ran.txt", "/approve G-1",
             "G-1 approved. claude goes on.", "TASK-001 is ready for you", "done · merged")
    assert bench.file("ran.txt") == "it ran\n"


def test_a_permission_is_denied_and_the_agent_goes_on_without(bench: Bench) -> None:
    ran = bench.up('/add "Run it"', "permission: echo it ran > ran.txt",
                   "/reject 1 use the other one", "/diff 1", "/approve 1")
    ran.said("G-1 denied", "TASK-001 is ready for you", "NOTES.md", "done · merged")
    assert bench.file("ran.txt") is None
    assert bench.file("NOTES.md") is not None


def test_where_two_gates_are_open_they_are_listed(bench: Bench) -> None:
    _play(bench, [
        {"emit": _request("first-request", "echo one")},
        {"permission": "echo two > two.txt"}, {"say": "Both were answered."}])
    ran = bench.up('/add "Ask twice"', "/approve 1", "/approve", "/approve G-1", "/approve G-2",
                   "/approve G-3")
    ran.said("🔐 G-1", "🔐 G-2", "TASK-001 has several open gates.", "/gate G-1", "Which one?",
             "G-1 approved", "G-2 approved", "G-3 · TASK-001 is ready for you", "done · merged")
    assert bench.file("two.txt") == "two\n"


def test_the_end_of_the_agent_ends_its_questions(bench: Bench) -> None:
    ran = bench.up('/add "Make a drink"', "ask: Tea or coffee?", "/kill 1", "/answer G-1 tea",
                   status=1)
    ran.said("TASK-001 killed", "G-1 is off")
    assert [row["state"] for row in bench.rows("SELECT state FROM gates")] == ["cancelled"]


def test_a_rejected_change_goes_on_in_the_same_conversation(bench: Bench) -> None:
    ran = bench.up('/add "Write a note"', "/reject 1 name the author", "/approve 1")
    ran.said("claude is on it", "TASK-001 is ready for you", "sent back to claude",
             "G-2 · TASK-001", "done · merged")
    _, second = bench.prompts()
    assert "name the author" in second and "Write a note" not in second
    (memory,) = (bench.data / "sessions").glob("*/home/.fake-claude/*")
    assert len(json.loads(memory.read_text())) == 2, "one conversation, two prompts"


def test_an_error_of_the_agent_fails_the_task_in_its_words(bench: Bench) -> None:
    ran = bench.up('/add "Try"', "fail: the model is overloaded", status=1)
    ran.said("TASK-001 failed", "the model is overloaded")


def test_an_agent_that_crashes(bench: Bench) -> None:
    _play(bench, [{"stderr": "segmentation fault, sorry"}, {"crash": 7}])
    ran = bench.up('/add "Crash"', status=1)
    ran.said("TASK-001 failed", "exit status 7", "segmentation fault, sorry")
    page = (bench.data / "site" / "tasks" / "TASK-001.html").read_text()
    (session,) = bench.rows("SELECT reason FROM sessions")
    assert page.count(f"<p>{session['reason']}</p>") == 1, "once for its session"


def _play(bench: Bench, acts: list[dict[str, object]]) -> None:
    script = bench.shown / "play.json"
    script.write_text(json.dumps(acts))
    bench.configure(f'[agents.claude]\ndriver = "claude"\n[agents.claude.environment]\n'
                    f'FAKE_CLAUDE_SCRIPT = "{script}"\n', "config/agents.toml")


def _request(name: str, command: str) -> dict[str, object]:
    return {"type": "control_request", "request_id": name, "request": {
        "subtype": "can_use_tool", "tool_name": "Bash", "display_name": "Bash",
        "input": {"command": command, "description": "a command"}, "tool_use_id": name}}


def test_every_field_of_a_call_is_shown_before_it_is_allowed(bench: Bench) -> None:
    request = _request("exec", "")
    given = {"description": "list the tables", "sql": "DROP TABLE users"}
    request["request"] = {"subtype": "can_use_tool", "tool_name": "mcp__db__exec",
                          "input": given, "tool_use_id": "exec"}
    _play(bench, [{"emit": request}, {"permission": f"true {'long ' * 400} && rm -rf data"}])
    ran = bench.up('/add "Ask"', "/gate G-1", "/gate G-2", "/approve G-1", "/approve G-2",
                   "/approve 1")
    ran.said("🔐 G-1", "description: list the tables", "sql: DROP TABLE users", "🔐 G-1",
             "sql: DROP TABLE users", "🔐 G-2", "characters more: read G-2.txt", "-- G-2.txt --",
             "&& rm -rf data", "G-1 approved", "G-2 approved")
