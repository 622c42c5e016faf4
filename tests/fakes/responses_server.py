"""A scripted model behind OpenAI's Responses API on loopback: what the real Codex talks to.

The same plays as `model_server`: by a word in the newest prompt, and by how often the model
has spoken since. `Use` names a function of the agent's and its arguments.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from tests.fakes.model_server import Fail, ModelServer, Say, Use

USAGE = {"input_tokens": 100, "output_tokens": 5, "total_tokens": 105,
         "input_tokens_details": {"cached_tokens": 40},
         "output_tokens_details": {"reasoning_tokens": 0}}
_OURS = ("<environment_context>", "# AGENTS.md", "<user_instructions>", "<permissions")
"""How the words begin that Codex puts before a person's, in the same role."""

Item = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Search:
    """The model looks something up by itself, and says so before it speaks."""

    query: str
    text: str


class ResponsesServer(ModelServer):
    """Its address for a provider of Codex's is `server.url + "/v1"`."""

    def serve(self, app: web.Application) -> None:
        app.router.add_post("/v1/responses", self._responses)

    async def _responses(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.requests.append(body)
        turn = self.turn_of(*newest_prompt(body.get("input", [])))
        if isinstance(turn, Fail):
            error = {"type": turn.kind, "message": turn.message, **dict(turn.more)}
            return web.json_response({"error": error}, status=turn.status,
                                     headers=dict(turn.headers))
        return await _stream(request, f"resp_{len(self.requests)}", turn)


def newest_prompt(items: Sequence[Item]) -> tuple[str, int]:
    """The newest words of the user, and how often the model has spoken after them."""
    spoken, called = 0, False
    for item in reversed(items):
        if item.get("type") in ("function_call", "custom_tool_call"):
            spoken, called = spoken + 1, True
        elif item.get("role") == "assistant":
            spoken, called = spoken + (not called), False
        elif item.get("role") == "user" and (words := _words(item)):
            return words, spoken
    return "", spoken


def _words(item: Item) -> str:
    content = item.get("content", "")
    texts = [content] if isinstance(content, str) else [part.get("text", "") for part in content]
    return "\n".join(text for text in texts if not text.lstrip().startswith(_OURS))


def _items(turn: Say | Use | Search, name: str) -> list[dict[str, Any]]:
    if isinstance(turn, Search):
        return [{"type": "web_search_call", "id": f"ws_{name}", "status": "completed",
                 "action": {"type": "search", "query": turn.query}},
                *_items(Say(turn.text), name)]
    said = [{"type": "message", "role": "assistant", "id": f"msg_{name}",
             "content": [{"type": "output_text", "text": turn.text}]}] if turn.text else []
    if isinstance(turn, Say):
        return said
    if isinstance(turn.input, str):
        call = {"type": "custom_tool_call", "call_id": f"call_{name}", "name": turn.tool,
                "input": turn.input}
    else:
        call = {"type": "function_call", "call_id": f"call_{name}", "name": turn.tool,
                "arguments": json.dumps(dict(turn.input))}
        if "/" in turn.tool:
            call["namespace"], call["name"] = turn.tool.split("/")
    return [*said, call]


async def _stream(request: web.Request, name: str, turn: Say | Use | Search) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    await _send(response, {"type": "response.created", "response": {"id": name}})
    for item in _items(turn, name):
        await _send(response, {"type": "response.output_item.done", "item": item})
    if isinstance(turn, Say) and turn.pause:
        await asyncio.sleep(turn.pause)
    await _send(response, {"type": "response.completed",
                           "response": {"id": name, "usage": USAGE}})
    return response


async def _send(response: web.StreamResponse, event: Mapping[str, Any]) -> None:
    data = f"event: {event['type']}\ndata: {json.dumps(event)}\n\n"
    await response.write(data.encode())
