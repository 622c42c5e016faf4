"""The model call, against an API on this machine that answers as it is told."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest
from aiohttp import web

from core.drivers.model_call import ModelCallDriver
from core.errors import Unclear
from core.model import AgentEventKind
from core.ports import Line
from tests.agent_bench import Played, brief, play

DRIVER = ModelCallDriver()
KEY = "sk-a-very-secret-key"
CLAUDE = {
    "type": "message", "model": "claude-x", "stop_reason": "end_turn",
    "content": [{"type": "text", "text": "A plan.\n"}, {"type": "text", "text": "In two parts."}],
    "usage": {"input_tokens": 10, "cache_creation_input_tokens": 3,
              "cache_read_input_tokens": 40, "output_tokens": 7},
}
CHAT = {
    "model": "gpt-x",
    "choices": [{"finish_reason": "stop", "message": {"role": "assistant", "content": "A plan."}}],
    "usage": {"prompt_tokens": 50, "completion_tokens": 7,
              "prompt_tokens_details": {"cached_tokens": 40}},
}


@dataclass
class Api:
    """Gives these answers in turn: a status, a body, headers."""

    answers: Sequence[tuple[int, Any, Mapping[str, str]]]
    requests: list[tuple[str, Mapping[str, str], dict[str, Any]]] = field(default_factory=list)
    url: str = ""
    _runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_post("/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None,
                        trace: TracebackType | None) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        self.requests.append((request.path, dict(request.headers), await request.json()))
        status, body, headers = self.answers[min(len(self.requests), len(self.answers)) - 1]
        if body is None:
            await asyncio.Event().wait()  # never
        text = body if isinstance(body, str) else json.dumps(body)
        return web.Response(status=status, text=text, headers=dict(headers),
                            content_type="application/json")


async def run(api: Api, workspace: Path, options: dict[str, Any] | None = None,
              **told: Any) -> Played:
    async with api:
        given = {"base_url": api.url, "model": "scripted"} | (options or {})
        env = {"PATH": os.environ["PATH"], "ANTHROPIC_API_KEY": KEY, "OPENAI_API_KEY": KEY}
        asked = brief(workspace, "Write a plan.", options=given, **told)
        played = await play(DRIVER, asked, env, lambda event: ())
    plan = DRIVER.plan(asked)
    shown = [*plan.argv, *plan.env.values(), plan.first_input.decode(), played.errors,
             *(line.text for line in played.lines)]
    assert not any(KEY in words for words in shown), "the key was shown"
    return played


def ok(body: Any) -> Api:
    return Api([(200, body, {})])


async def test_a_prompt_and_an_artifact_become_an_artifact(workspace: Path) -> None:
    artifacts = workspace.parent / "artifacts"
    (artifacts / "brief.md").write_text("Make it blue.")
    api = ok(CLAUDE)
    played = await run(api, workspace, {"system": "Be short.", "temperature": 0.2},
                       input=artifacts / "brief.md", output=artifacts / "plan.md",
                       instructions="Only TASK-001.")
    assert played.verdict.ok, played.errors
    assert played.verdict.summary == "A plan.\nIn two parts."
    assert (artifacts / "plan.md").read_text() == "A plan.\nIn two parts.\n"
    assert sorted(path.name for path in artifacts.iterdir()) == ["brief.md", "plan.md"]
    path, headers, body = api.requests[0]
    assert path == "/v1/messages" and headers["x-api-key"] == KEY
    assert body["system"] == "Be short.\n\nOnly TASK-001." and body["temperature"] == 0.2
    (message,) = body["messages"]
    assert "Write a plan." in message["content"] and "Make it blue." in message["content"]
    (used,) = played.of(AgentEventKind.USAGE)
    assert used.data == {"tokens_in": 53, "tokens_out": 7, "cached": 40, "model": "claude-x"}


@pytest.mark.parametrize("slash", ["", "/"])
async def test_an_openai_compatible_server(slash: str, workspace: Path) -> None:
    api = ok(CHAT)
    async with api:
        base = f"{api.url}/v1{slash}"
        asked = brief(workspace, "Write a plan.", instructions="Only TASK-001.", options={
            "api": "openai", "base_url": base, "model": "gpt-x", "max_tokens": 99,
            "extra": {"seed": 1}})
        env = {"PATH": os.environ["PATH"], "OPENAI_API_KEY": KEY}
        played = await play(DRIVER, asked, env, lambda event: ())
    assert played.verdict.summary == "A plan.", played.errors
    path, headers, body = api.requests[0]
    assert path == "/v1/chat/completions" and headers["Authorization"] == f"Bearer {KEY}"
    assert body == {"model": "gpt-x", "max_tokens": 99, "seed": 1, "messages": [
        {"role": "system", "content": "Only TASK-001."},
        {"role": "user", "content": "Write a plan."}]}
    (used,) = played.of(AgentEventKind.USAGE)
    assert used.data == {"tokens_in": 50, "tokens_out": 7, "cached": 40, "model": "gpt-x"}


@pytest.mark.parametrize(("status", "kind"), [(529, "overloaded_error"), (503, "x"), (429, "x")])
async def test_what_passes_is_tried_again(status: int, kind: str, workspace: Path) -> None:
    busy = {"type": "error", "error": {"type": kind, "message": "Overloaded"}}
    api = Api([(status, busy, {"retry-after": "0"}), (200, CLAUDE, {})])
    played = await run(api, workspace)
    assert played.verdict.ok and len(api.requests) == 2
    assert any("Overloaded: try 2 of 4" in e.text for e in played.of(AgentEventKind.TEXT))


@pytest.mark.parametrize(("headers", "known"), [
    ({"retry-after": "3600"}, True), ({"anthropic-ratelimit-unified-reset": "1830000000"}, True),
    ({"retry-after": "Fri, 01 Jan 2100 00:00:00 GMT"}, True), ({}, False)])
async def test_a_limit_says_when_it_is_over(
    headers: dict[str, str], known: bool, workspace: Path
) -> None:
    refusal = {"error": {"type": "rate_limit_error", "message": "Too much for today."}}
    api = Api([(429, refusal, headers)])
    played = await run(api, workspace, {"tries": 4 if known else 1})
    assert not played.verdict.ok and len(api.requests) == 1
    assert "Too much for today." in (played.verdict.reason or "")
    (limit,) = played.of(AgentEventKind.LIMIT)
    assert (limit.data["reset_at"] is not None) is known


async def test_an_empty_purse_is_a_limit_without_an_end(workspace: Path) -> None:
    body = {"error": {"code": "insufficient_quota", "message": "You exceeded your quota."}}
    api = Api([(429, body, {"retry-after": "1"})])
    played = await run(api, workspace)
    (limit,) = played.of(AgentEventKind.LIMIT)
    assert limit.data["reset_at"] is None and len(api.requests) == 1


@pytest.mark.parametrize(("status", "body", "words"), [
    (401, {"error": {"message": f"invalid key {KEY}"}}, "refused (401): invalid key •••"),
    (400, {"error": "bad\nmodel"}, "refused (400): bad model"),
    (404, "<html>nothing</html>", "<html>nothing</html>"),
    (302, "", "refused (302)"),
    (200, "no json", "is options.base_url right?"),
    (200, "[" * 100_000, "is options.base_url right?"),
    (200, {"content": "?", "usage": [1]}, "gave no words"),
    (200, CLAUDE | {"stop_reason": "max_tokens"}, "raise options.max_tokens"),
])
async def test_what_fails_is_told_in_one_line_and_leaves_no_artifact(
    status: int, body: Any, words: str, workspace: Path
) -> None:
    output = workspace.parent / "artifacts" / "plan.md"
    output.write_text("The old one.")
    played = await run(Api([(status, body, {"location": "/elsewhere"})]), workspace, output=output)
    reason = played.verdict.reason or ""
    assert not played.verdict.ok and words in reason and "\n" not in reason
    assert output.read_text() == "The old one." and not played.errors


async def test_a_model_that_never_answers(workspace: Path) -> None:
    api = Api([(200, None, {})])
    played = await run(api, workspace, {"timeout": 0.5})
    assert "no answer within 0.5 s" in (played.verdict.reason or "") and len(api.requests) == 1


def test_its_signs_of_life_are_nothing_to_tell() -> None:
    assert list(DRIVER.parse(Line("out", 0, '{"model_call": "waiting", "seconds": 15}', 1))) == []


async def test_nobody_there(workspace: Path) -> None:
    played = await run(ok(CLAUDE), workspace, {"base_url": "http://127.0.0.1:9", "tries": 1})
    assert "can't be reached" in (played.verdict.reason or "")


async def test_a_link_or_a_pipe_is_no_input(workspace: Path) -> None:
    artifacts = workspace.parent / "artifacts"
    (artifacts / "secret").write_text("a secret")
    (artifacts / "link.md").symlink_to(artifacts / "secret")
    os.mkfifo(artifacts / "pipe.md")
    for name in ("link.md", "pipe.md", "gone.md", "."):
        api = ok(CLAUDE)
        played = await run(api, workspace, input=artifacts / name)
        assert not played.verdict.ok and not api.requests


async def test_a_link_in_the_outputs_place_is_replaced_not_followed(workspace: Path) -> None:
    artifacts = workspace.parent / "artifacts"
    (artifacts / "victim").write_text("untouched")
    (artifacts / "plan.md").symlink_to(artifacts / "victim")
    played = await run(ok(CLAUDE), workspace, output=artifacts / "plan.md")
    assert played.verdict.ok
    assert (artifacts / "victim").read_text() == "untouched"
    assert not (artifacts / "plan.md").is_symlink()


async def test_without_its_key_it_says_so(workspace: Path) -> None:
    asked = brief(workspace, "x", options={"model": "m", "key_variable": "MY_KEY"})
    played = await play(DRIVER, asked, {"PATH": os.environ["PATH"]}, lambda event: ())
    assert "MY_KEY" in (played.verdict.reason or "")


@pytest.mark.parametrize(("options", "words"), [
    ({}, "needs its model"), ({"model": "m", "api": "soap"}, "options.api"),
    ({"model": "m", "extra": 1}, "options.extra"), ({"model": "m", "tries": "x"}, "options.tries"),
    ({"model": "m", "timeout": -1}, "options.timeout"),
    ({"model": "m", "max_tokens": True}, "options.max_tokens")])
def test_what_is_configured_wrong_is_said(options: dict[str, Any], words: str) -> None:
    with pytest.raises(Unclear, match=words):
        DRIVER.plan(brief(Path("/workspace"), options=options))
