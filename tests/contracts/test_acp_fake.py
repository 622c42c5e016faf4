"""The bridge of the Agent Client Protocol, with a scripted agent behind it."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from core.drivers.acp import AcpDriver
from core.model import AgentEvent, AgentEventKind
from tests.agent_bench import END, Played, React, brief, play, when_finished
from tests.sandbox_bench import ORDERS, SANDBOXES, Bench

AGENT = Path(__file__).parents[1] / "fakes" / "acp_agent.py"
DRIVER = AcpDriver()
K = AgentEventKind


async def run(
    workspace: Path, acts: list[Any], react: React = when_finished, prompt: str = "Do it.",
    options: dict[str, Any] | None = None, agent: dict[str, Any] | None = None, **more: Any
) -> Played:
    """One attempt of the scripted agent with these acts; `agent` says what it is."""
    file = workspace.parent / "play.json"
    file.write_text(json.dumps({"acts": acts, **(agent or {})}))
    env = {"PATH": os.environ["PATH"], "HOME": str(workspace.parent / "home"),
           "FAKE_ACP": str(file)}
    told = brief(workspace, prompt, options={
        "command": [sys.executable, str(AGENT)], **(options or {})}, **more)
    return await play(DRIVER, told, env, react)


def last(workspace: Path) -> dict[str, Any]:
    """What the agent noted of what it was given."""
    found: dict[str, Any] = json.loads((workspace.parent / "home/fake-acp-last.json").read_text())
    return found


def kinds(played: Played) -> list[str]:
    return [event.kind.value for event in played.events]


def texts(played: Played, kind: AgentEventKind = K.TEXT) -> list[str]:
    return [event.text for event in played.of(kind)]


def answering(allow: bool, text: str = "") -> React:
    def react(event: AgentEvent) -> bytes | tuple[()] | None:
        if event.kind is K.PERMISSION_REQUEST:
            return DRIVER.answer(json.loads(json.dumps(event.data["request"])), allow, text)
        return when_finished(event)

    return react


def at(word: str, said: bytes) -> React:
    """Says it once, when the agent says that word."""
    def react(event: AgentEvent) -> bytes | tuple[()] | None:
        return said if event.text == word else when_finished(event)

    return react


# -- what it says ------------------------------------------------------------------------------


async def test_words_are_told_in_lines_and_its_last_ones_are_the_answer(workspace: Path) -> None:
    played = await run(workspace, [
        {"think": "Hm."}, {"chunks": ["I ", "be", "gin.\nFirst", " this"]},
        {"terminal": "echo hi"}, {"chunks": ["All ", "is\n", "\n", "done."]}])
    assert played.verdict.ok and played.verdict.summary == "All is\n\ndone."
    assert texts(played) == ["Hm.", "I begin.", "First this", "All is", "done."]
    (started,) = played.of(K.STARTED)
    assert started.text == "fake 1.2 started" and len(started.data["driver_session"]) == 36
    assert played.end.status == 0 and played.errors == ""


async def test_an_unfinished_line_is_told_after_a_pause(workspace: Path) -> None:
    played = await run(workspace, [{"chunks": ["Waiting"]}, {"hang": 60}],
                       at("Waiting", DRIVER.interrupt()))
    assert texts(played) == ["Waiting"]


async def test_a_plan_is_told_when_it_changes(workspace: Path) -> None:
    steps = ["look", "write"]
    played = await run(workspace, [
        {"plan": steps}, {"plan": steps}, {"plan": steps, "done": 1}, {"say": "."}])
    assert texts(played)[:-1] == ["Plan:\n· look\n· write", "Plan:\n✓ look\n· write"]


async def test_an_update_of_tomorrow_is_kept_and_noise_is_not(workspace: Path) -> None:
    news = {"sessionUpdate": "weather", "sky": "blue"}
    played = await run(workspace, [
        {"update": news},
        {"update": {"sessionUpdate": "available_commands_update", "availableCommands": []}},
        {"update": {"sessionUpdate": "current_mode_update", "currentModeId": "plan"}}])
    assert [json.loads(texts(played)[0]), *texts(played)[1:]] == [news, "Mode: plan"]


async def test_what_it_used_is_told(workspace: Path) -> None:
    cost = {"sessionUpdate": "usage_update", "used": 9, "size": 99,
            "cost": {"amount": 0.5, "currency": "USD"}}
    used = {"input_tokens": 10, "output_tokens": 5, "cached_read_tokens": 30, "total_tokens": 45}
    played = await run(workspace, [{"update": cost}, {"usage": used}])
    assert played.of(K.USAGE)[-1].data == {
        "tokens_in": 40, "tokens_out": 5, "cached": 30, "cost_usd": 0.5}


async def test_a_call_is_told_once_with_its_input_and_its_change(workspace: Path) -> None:
    target = workspace / "a.txt"
    target.write_text("one\ntwo\n")
    played = await run(workspace, [
        {"edit": str(target), "old": "one\ntwo\n", "new": "one\n2\n3\n"}])
    (call,) = played.of(K.TOOL_CALL)
    (change,) = played.of(K.FILE_CHANGE)
    assert call.data["input"] == {"path": str(target)} and call.data["kind"] == "edit"
    assert change.data == {"path": str(target), "added": 2, "removed": 1}
    assert kinds(played) == ["started", "tool_call", "tool_result", "file_change", "finished"]


# -- permissions -------------------------------------------------------------------------------


@pytest.mark.parametrize(("allow", "text", "chosen"), [
    (True, "", "yes"), (True, "Always, please.", "ever"), (False, "Denied.", "no")])
async def test_a_permission_is_answered_with_the_option_that_is_meant(
    allow: bool, text: str, chosen: str, workspace: Path
) -> None:
    played = await run(workspace, [{"permission": "touch made"}, {"say": "Over."}],
                       answering(allow, text))
    (asked,) = played.of(K.PERMISSION_REQUEST)
    assert "command: touch made" in asked.text and "Always allow" in asked.text
    assert last(workspace)["chosen"] == chosen
    assert (workspace / "made").exists() is allow
    assert played.verdict.ok and len(played.of(K.FINISHED)) == 1


async def test_the_reason_of_a_no_is_the_next_prompt(workspace: Path) -> None:
    played = await run(workspace, [[{"permission": "touch a"}], [{"say": "Well then."}]],
                       answering(False, "use b"))
    assert last(workspace)["blocks"] == ["You may not do this: Run touch a\nuse b"]
    assert played.verdict.summary == "Well then." and len(played.of(K.FINISHED)) == 1


async def test_an_agent_that_stops_when_it_is_denied_has_not_succeeded(workspace: Path) -> None:
    played = await run(workspace, [{"permission": "touch a"}], answering(False),
                       agent={"stops_when_denied": True})
    assert not played.verdict.ok and "not allowed" in (played.verdict.reason or "")


async def test_an_interrupt_cancels_what_waits_for_an_answer(workspace: Path) -> None:
    waiting: list[AgentEvent] = []

    def react(event: AgentEvent) -> bytes | tuple[()] | None:
        if event.kind is K.PERMISSION_REQUEST:
            waiting.append(event)
            return DRIVER.interrupt() if len(waiting) == 2 else ()
        return when_finished(event)

    played = await run(workspace, [{"together": ["touch a", "touch b"]}], react)
    assert played.verdict.reason == "interrupted"
    assert last(workspace)["chosen"] is None and not list(workspace.iterdir())


async def test_where_the_input_has_ended_nobody_answers(workspace: Path) -> None:
    played = await run(workspace, [{"permission": "touch a"}, {"say": "Over."}],
                       lambda e: END if e.kind is K.PERMISSION_REQUEST else ())
    assert last(workspace)["chosen"] is None and played.verdict.summary == "Over."


async def test_what_can_not_be_shown_whole_is_not_allowed(workspace: Path) -> None:
    played = await run(workspace, [{"permission": f"true {'x' * (500 << 10)}"}])
    assert not played.of(K.PERMISSION_REQUEST) and played.of(K.ERROR)
    assert last(workspace)["chosen"] is None


# -- prompts and ends --------------------------------------------------------------------------


async def test_what_is_said_meanwhile_is_heard_after_its_turn(workspace: Path) -> None:
    played = await run(workspace, [[{"say": "One."}, {"terminal": "true"}, {"sleep": 0.5}],
                                   [{"say": "Two."}]],
                       at("One.", DRIVER.say("And this.")))
    assert last(workspace)["blocks"] == ["And this."]
    assert played.verdict.summary == "Two." and len(played.of(K.FINISHED)) == 1


async def test_what_is_said_after_its_result_begins_a_further_turn(workspace: Path) -> None:
    """And is told as such before it has said a word: whoever waits for its end goes on waiting."""
    said = []

    def react(event: AgentEvent) -> bytes | tuple[()] | None:
        if event.kind is not K.FINISHED:
            return ()
        said.append(event.text)
        return END if said[1:] else DRIVER.say("And this.")

    played = await run(workspace, [[{"say": "One."}], [{"sleep": 0.5}, {"say": "Two."}]], react)
    turns = [kind for kind in kinds(played) if kind in ("started", "finished")]
    assert turns == ["started", "finished", "started", "finished"] and said == ["One.", "Two."]
    assert len({event.data["driver_session"] for event in played.of(K.STARTED)}) == 1


async def test_an_interrupt_ends_the_turn_and_what_follows_it_is_heard(workspace: Path) -> None:
    only = await run(workspace, [{"say": "Waiting"}, {"terminal": "true"}, {"hang": 60}],
                     at("Waiting", DRIVER.interrupt()))
    assert only.verdict.reason == "interrupted" and only.end.status == 0
    more = await run(workspace, [[{"say": "Waiting"}, {"terminal": "true"}, {"hang": 60}],
                                 [{"say": "Then so."}]],
                     at("Waiting", DRIVER.interrupt() + DRIVER.say("Do that instead.")))
    assert more.verdict.summary == "Then so."


@pytest.mark.parametrize(("stop", "words"), [
    ("refusal", "refused"), ("max_tokens", "most tokens"),
    ("max_turn_requests", "most requests"), ("cancelled", "interrupted")])
async def test_a_turn_that_stops_early_has_failed(stop: str, words: str, workspace: Path) -> None:
    played = await run(workspace, [{"say": "Half."}, {"stop": stop}])
    assert not played.verdict.ok and words in (played.verdict.reason or "")
    assert played.verdict.summary == "Half."


async def test_a_limit_is_told_with_its_end(workspace: Path) -> None:
    error = {"code": -32603, "message": "Internal error",
             "data": {"details": "Rate limit reached, resets_at 1795300000"}}
    played = await run(workspace, [{"error": error}])
    assert played.of(K.LIMIT)[0].data == {"reset_at": 1_795_300_000_000}
    assert not played.verdict.ok and "Rate limit" in (played.verdict.reason or "")


async def test_any_other_error_is_the_reason(workspace: Path) -> None:
    played = await run(workspace, [{"error": {"code": -32603, "message": "no such model"}}])
    assert kinds(played) == ["started", "error", "finished"]
    assert played.verdict.reason == "no such model"


async def test_rules_come_first_and_the_tools_know_the_way_back(
    workspace: Path,
) -> None:
    await run(workspace, [{"say": "."}], instructions="One task alone.",
              mcp=("sh", "-c", "bullpen mcp"))
    told = last(workspace)
    assert told["blocks"] == ["One task alone.", "Do it."]
    (server,) = told["mcp"]
    assert server["name"] == "bullpen" and server["args"] == ["-c", "bullpen mcp"]
    assert server["command"].startswith("/")
    assert {"name": "BULLPEN_TASK", "value": "TASK-001", "field_meta": None} in server["env"]


# -- going on ----------------------------------------------------------------------------------


@pytest.mark.parametrize("agent", [{"loads": True}, {"loads": False, "resumes": True}])
async def test_a_conversation_goes_on_and_what_was_said_is_not_told_again(
    agent: dict[str, Any], workspace: Path
) -> None:
    first = await run(workspace, [{"say": "One."}], agent=agent)
    session = first.of(K.STARTED)[0].data["driver_session"]
    again = await run(workspace, [{"say": "Two."}], agent=agent, resume=session,
                      instructions="Rules.", whole="All of it.", prompt="Go on.")
    assert texts(again) == ["Two."] and last(workspace)["blocks"] == ["Go on."]
    (started,) = again.of(K.STARTED)
    assert started.data["driver_session"] == session and "goes on" in started.text


@pytest.mark.parametrize("agent", [{"loads": False}, {"loads": True}])
async def test_a_lost_conversation_begins_again_with_all_that_was_said(
    agent: dict[str, Any], workspace: Path
) -> None:
    played = await run(workspace, [{"say": "So."}], agent=agent, resume="no-such-session",
                       instructions="Rules.", whole="All of it.", prompt="Go on.")
    assert last(workspace)["blocks"] == ["Rules.", "All of it."]
    assert "can't go on with its conversation" in texts(played)[0]
    assert played.of(K.STARTED)[0].data["driver_session"] != "no-such-session"
    assert played.verdict.ok


# -- the beginning -----------------------------------------------------------------------------


async def test_another_version_is_named(workspace: Path) -> None:
    played = await run(workspace, [{"say": "."}], agent={"version": 7})
    assert "version 7" in (played.verdict.reason or "") and "version 1" in texts(played, K.ERROR)[0]


async def test_a_login_is_asked_for_by_name_and_given_as_configured(workspace: Path) -> None:
    agent = {"login": ["api-key", "browser"]}
    without = await run(workspace, [{"say": "."}], agent=agent)
    assert "options.auth_method" in (without.verdict.reason or "")
    assert "api-key (Api-Key), browser (Browser)" in (without.verdict.reason or "")
    wrong = await run(workspace, [{"say": "."}], agent=agent, options={"auth_method": "mail"})
    assert "no such way: mail" in (wrong.verdict.reason or "")
    right = await run(workspace, [{"say": "."}], agent=agent, options={"auth_method": "api-key"})
    assert right.verdict.ok


async def test_mode_and_model_are_set_where_the_agent_knows_them(workspace: Path) -> None:
    agent = {"modes": ["ask", "code"], "models": ["small", "large"]}
    played = await run(workspace, [{"say": "."}], agent=agent,
                       options={"mode": "Code", "model": "large"})
    assert (last(workspace)["mode"], last(workspace)["model"]) == ("code", "large")
    assert played.of(K.STARTED)[0].data["model"] == "large"
    wrong = await run(workspace, [{"say": "."}], agent=agent, options={"mode": "yolo"})
    assert wrong.verdict.reason == "It has no mode yolo. It has: ask, code."
    none = await run(workspace, [{"say": "."}], options={"model": "large"})
    assert none.verdict.ok and "choose its model" in texts(none)[0]


async def test_an_agent_that_begins_nothing_is_ended_with_a_word(workspace: Path) -> None:
    played = await run(workspace, [{"say": "."}], agent={"mute": True},
                       options={"start_timeout": 1})
    assert played.verdict.reason == "It began no conversation within 1 s."


async def test_its_errors_before_its_first_line_are_shown(workspace: Path) -> None:
    played = await run(workspace, [{"say": "."}], agent={"says_first": "no licence", "fails": 3})
    assert "exit status 3" in (played.verdict.reason or "")
    assert "no licence" in (played.verdict.reason or "") and "no licence" in played.errors


async def test_a_program_that_is_not_there_is_named(workspace: Path) -> None:
    played = await run(workspace, [], options={"command": "/no/such/agent --acp"})
    assert "/no/such/agent can't be started" in (played.verdict.reason or "")


# -- files and terminals -----------------------------------------------------------------------


async def test_files_of_its_task_are_read_and_written(workspace: Path) -> None:
    notes = workspace.parent / "artifacts" / "notes.md"
    notes.write_text("one\ntwo\nthree\n")
    played = await run(workspace, [
        {"write": str(workspace / "new" / "a.txt"), "content": "1\n2\n"},
        {"read": str(notes), "line": 2, "limit": 1}, {"read": str(workspace / "none.txt")}])
    assert (workspace / "new" / "a.txt").read_text() == "1\n2\n"
    assert texts(played, K.TOOL_RESULT)[1:] == ["two\n", "-32002 Resource not found"]
    (change,) = played.of(K.FILE_CHANGE)  # not again for the diff of the same call
    assert change.data["added"] == 2


async def test_nothing_outside_is_read_or_written(workspace: Path) -> None:
    secret = workspace.parent / "secret.txt"
    secret.write_text("the key")
    (workspace / "link").symlink_to(secret)
    (workspace / "out").symlink_to(workspace.parent)
    (workspace / "pipe").unlink(missing_ok=True)
    os.mkfifo(workspace / "pipe")
    paths = [str(secret), "../secret.txt", f"{workspace}/../secret.txt", f"{workspace}/link",
             f"{workspace}/out/secret.txt", "/etc/passwd", f"{workspace}/a\0b",
             f"{workspace}/pipe", str(workspace), f"{workspace}-2/x"]
    played = await run(workspace, [
        *({"read": path} for path in paths),
        *({"write": path, "content": "mine"} for path in paths)])
    results = played.of(K.TOOL_RESULT)
    assert len(results) == 2 * len(paths) and all(result.data["is_error"] for result in results)
    assert all("-32602" in result.text for result in results)
    assert "the key" not in json.dumps([event.text for event in played.events])
    assert secret.read_text() == "the key" and not played.of(K.FILE_CHANGE)
    assert any("Refused (fs/read_text_file)" in text for text in texts(played))


async def test_a_command_runs_in_the_workspace_with_its_output_kept_short(workspace: Path) -> None:
    played = await run(workspace, [
        {"terminal": "pwd; echo $GREETING; exit 3"},
        {"terminal": "seq", "args": ["1", "100000"], "limit": 100}])
    first, second = texts(played, K.TOOL_RESULT)
    assert first == f"{workspace}\nhello\n"
    assert len(second) <= 100 and second.endswith("100000\n")
    assert last(workspace)["truncated"] is True
    outside = await run(workspace, [{"terminal": "ls", "cwd": "/etc"}])
    assert "outside of the workspace" in texts(outside, K.TOOL_RESULT)[0]


async def test_a_command_is_killed_and_none_outlives_the_bridge(workspace: Path) -> None:
    played = await run(workspace, [
        {"terminal": "echo $$ > killed; sleep 1000", "wait": False},
        {"background": "echo $$ > left; sleep 1000"}, {"terminal": "sleep 0.3"}])
    assert played.verdict.ok
    for name in ("killed", "left"):
        if (workspace / name).exists():
            assert await gone(int((workspace / name).read_text()))


async def gone(pid: int) -> bool:
    """Whether that process has ended; it is nobody's child here, so init may still reap it."""
    for _ in range(200):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        await asyncio.sleep(0.05)
    return False


# -- an agent that breaks or means harm --------------------------------------------------------


@pytest.mark.parametrize(("act", "words"), [
    ({"crash": 7}, "exit status 7"), ({"kill": "SIGKILL"}, "signal 9 (SIGKILL)"),
    ({"close": True}, "closed its output")])
async def test_its_end_in_the_middle_of_its_work_is_told(
    act: dict[str, Any], words: str, workspace: Path
) -> None:
    played = await run(workspace, [{"stderr": "out of luck"}, {"chunks": ["Half a li"]}, act],
                       lambda event: ())
    assert not played.verdict.ok and words in (played.verdict.reason or "")
    assert texts(played)[0] == "Half a li"
    assert "close" in act or "out of luck" in (played.verdict.reason or "")


async def test_output_held_open_by_what_it_started_does_not_hang_us(workspace: Path) -> None:
    played = await run(workspace, [
        {"spawn": "echo $$ > child; exec sleep 1000"}, {"sleep": 0.5}, {"crash": 1}],
        lambda event: ())
    assert "exit status 1" in (played.verdict.reason or "")
    os.kill(int((workspace / "child").read_text()), signal.SIGKILL)


HOSTILE = ["{", "[1, 2]", "null", "0", '"text"', "[" * 5000, '{"a":' * 5000, "\ufffd\0\x1b]0;x\x07",
           '{"jsonrpc": "2.0", "id": [1], "result": {}}', '{"jsonrpc": "2.0", "id": 0}',
           '{"jsonrpc": "2.0", "id": 99, "error": "no"}', '{"id": {}, "method": {}}',
           '{"id": 1, "error": {"code": "x", "message": 3}}',
           '{"jsonrpc": "2.0", "method": "session/update"}',
           '{"jsonrpc": "2.0", "method": "session/update", "params": {"update": []}}',
           '{"jsonrpc": "2.0", "method": "session/update", "params": {"update": {'
           '"sessionUpdate": "tool_call", "toolCallId": {}, "content": 3, "rawInput": "\\ud800"}}}',
           '{"jsonrpc": "2.0", "id": 5, "method": "session/request_permission", "params": 3}',
           '{"jsonrpc": "2.0", "id": 6, "method": "fs/read_text_file", "params": {"path": {}}}',
           '{"jsonrpc": "2.0", "id": 7, "method": "no/such", "params": null}']


async def test_no_line_of_an_agents_breaks_the_bridge(workspace: Path) -> None:
    played = await run(workspace, [*({"raw": line} for line in HOSTILE), {"say": "Still here."}])
    assert played.verdict.ok and played.verdict.summary == "Still here."
    told = "\n".join(texts(played))
    assert "[1, 2]" in told and '"no/such"' not in told and "Refused (no/such)" in told
    assert "Traceback" not in played.errors


async def test_a_message_without_an_end_is_not_taken_in(workspace: Path) -> None:
    played = await run(workspace, [{"flood": 40 << 20}], lambda event: ())
    assert "more than 32 MB" in (played.verdict.reason or "")


async def test_a_long_message_is_taken_in_and_told_in_short(workspace: Path) -> None:
    words = "word " * (400 << 10)
    played = await run(workspace, [{"chunks": [words]}, {"terminal": "yes | head -c 900000"}])
    assert played.verdict.ok
    assert "".join(texts(played)) == words and max(len(t) for t in texts(played)) <= 16 << 10
    assert len(texts(played, K.TOOL_RESULT)[0]) < 70_000
    assert max(len(line.text) for line in played.lines) < 1 << 20


# -- in a sandbox ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in SANDBOXES if name not in ORDERS])
async def test_in_every_sandbox_that_shows_the_interpreter(name: str, tmp_path: Path) -> None:
    """Where what is inside comes from an image, options.python names its interpreter."""
    bench = Bench(SANDBOXES[name](tmp_path), tmp_path)
    for folder in ("home", "artifacts", "workspace"):
        (tmp_path / folder).mkdir()
    workspace = tmp_path / "workspace"
    shutil.copy(AGENT, workspace / "agent.py")
    (workspace / "core").mkdir()  # in a workspace, no module of ours is what it seems
    (workspace / "core" / "__init__.py").write_text("raise SystemExit(9)")
    (workspace / "acp.py").write_text("raise SystemExit(9)")
    words = [sys.executable, "-I", str(workspace / "agent.py")]
    plan = DRIVER.plan(brief(workspace, "permission: touch made", options={"command": words}))
    order = bench.order(
        *plan.argv, workspace=workspace, first_input=plan.first_input, input_open=True, grace=3.0,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path / "home"), **plan.env},
        writable=(tmp_path / "home", tmp_path / "artifacts"), readable=plan.readable)
    handle = await bench.start(order)
    try:
        await bench.said(order, '"permission-1"')
        (asked,) = [event for line in await bench.lines(order) for event in DRIVER.parse(line)
                    if event.kind is K.PERMISSION_REQUEST]
        await bench.sandbox.send(order.folder, 1, DRIVER.answer(asked.data["request"], True, ""))
        await bench.said(order, '"finished"')
        await bench.sandbox.send(order.folder, 2, b"", last=True)
        end = await bench.end(order, handle)
    finally:
        await bench.clean()
    assert end.status == 0, await bench.lines(order)
    assert (workspace / "made").exists() and (workspace / "NOTES.md").exists()
