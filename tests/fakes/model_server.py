"""A scripted model: the Messages API on loopback, for running the real agent offline.

A play is chosen by a word in the newest prompt, its turn by how often the model has
spoken since. Nothing here thinks; what isn't in the script is answered with "Done.".
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from aiohttp import web


@dataclass(frozen=True, slots=True)
class Say:
    """The model says something and ends its turn. `pause` is seconds before its last word."""

    text: str
    pause: float = 0.0


@dataclass(frozen=True, slots=True)
class Use:
    """The model calls a tool and waits for its result. `text` is said before."""

    tool: str
    input: Mapping[str, Any] | str
    text: str = ""


@dataclass(frozen=True, slots=True)
class Fail:
    """The API answers with an error; `more` stands beside its kind and message."""

    status: int
    kind: str
    message: str
    headers: Mapping[str, str] = field(default_factory=dict)
    more: Mapping[str, Any] = field(default_factory=dict)


Turn = Say | Use | Fail
Plays = Mapping[str, Sequence[Turn]]


class ModelServer:
    """`async with ModelServer(plays) as server:` serves at `server.url` until the block ends.

    `plays` maps a word of the prompt to the turns that follow; `requests` keeps every
    body that was sent here.
    """

    def __init__(self, plays: Plays) -> None:
        self.plays = plays
        self.requests: list[dict[str, Any]] = []
        self.url = ""
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=64 << 20)
        self.serve(app)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{port}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    def serve(self, app: web.Application) -> None:
        app.router.add_post("/v1/messages", self._messages)
        app.router.add_post("/v1/messages/count_tokens", self._count)

    async def _messages(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.requests.append(body)
        turn = self._turn(body.get("messages", []))
        if isinstance(turn, Fail):
            return _refusal(turn)
        if not body.get("stream"):
            await asyncio.sleep(turn.pause if isinstance(turn, Say) else 0)
            return web.json_response(self._whole(turn, body["model"]))
        return await _stream(request, self._whole(turn, body["model"]), turn)

    async def _count(self, request: web.Request) -> web.Response:
        return web.json_response({"input_tokens": 10})

    def _turn(self, messages: Sequence[Mapping[str, Any]]) -> Turn:
        return self.turn_of(*_newest_prompt(messages))

    def turn_of(self, prompt: str, spoken: int) -> Turn:
        for word, turns in self.plays.items():
            if word in prompt and spoken < len(turns):
                return turns[spoken]
        return Say("Done.")

    def _whole(self, turn: Say | Use, model: str) -> dict[str, Any]:
        # Every answer has an id of its own: the agent merges messages of the same id.
        number = len(self.requests)
        return {
            "id": f"msg_{number}",
            "type": "message",
            "role": "assistant",
            "model": model,
            "content": _blocks(turn, f"toolu_{number}"),
            "stop_reason": "tool_use" if isinstance(turn, Use) else "end_turn",
            "stop_sequence": None,
            "usage": {"input_tokens": 10, "output_tokens": 5},
        }


def _newest_prompt(messages: Sequence[Mapping[str, Any]]) -> tuple[str, int]:
    """The newest words of the user, and how often the model has spoken after them."""
    spoken = 0
    for message in reversed(messages):
        if message["role"] == "assistant":
            spoken += 1
        words = _words(message["content"]) if message["role"] == "user" else ""
        if words:
            return words, spoken
    return "", spoken


def _words(content: str | Sequence[Mapping[str, Any]]) -> str:
    if isinstance(content, str):
        return content
    if any(block["type"] == "tool_result" for block in content):
        return ""
    texts = [block["text"] for block in content if block["type"] == "text"]
    return "\n".join(text for text in texts if not text.startswith("<system-reminder>"))


def _refusal(turn: Fail) -> web.Response:
    body = {"type": "error", "error": {"type": turn.kind, "message": turn.message}}
    return web.json_response(body, status=turn.status, headers=dict(turn.headers))


def _blocks(turn: Say | Use, call: str) -> list[dict[str, Any]]:
    said = [{"type": "text", "text": turn.text}] if turn.text else []
    if isinstance(turn, Say):
        return said
    use = {"type": "tool_use", "id": call, "name": turn.tool}
    return [*said, {**use, "input": dict(turn.input)}]


async def _stream(
    request: web.Request, whole: dict[str, Any], turn: Say | Use
) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    head = {**whole, "content": [], "stop_reason": None}
    await _send(response, {"type": "message_start", "message": head})
    for index, block in enumerate(whole["content"]):
        await _send_block(response, index, block)
    if isinstance(turn, Say) and turn.pause:
        await asyncio.sleep(turn.pause)
    delta = {"stop_reason": whole["stop_reason"], "stop_sequence": None}
    usage = {"output_tokens": 5}
    await _send(response, {"type": "message_delta", "delta": delta, "usage": usage})
    await _send(response, {"type": "message_stop"})
    return response


async def _send_block(response: web.StreamResponse, index: int, block: dict[str, Any]) -> None:
    if block["type"] == "text":
        empty: dict[str, Any] = {"type": "text", "text": ""}
        delta = {"type": "text_delta", "text": block["text"]}
    else:
        empty = {**block, "input": {}}
        delta = {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
    at = {"index": index}
    await _send(response, {"type": "content_block_start", **at, "content_block": empty})
    await _send(response, {"type": "content_block_delta", **at, "delta": delta})
    await _send(response, {"type": "content_block_stop", **at})


async def _send(response: web.StreamResponse, event: dict[str, Any]) -> None:
    text = f"event: {event['type']}\ndata: {json.dumps(event)}\n\n"
    await response.write(text.encode())
