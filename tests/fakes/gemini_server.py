"""A scripted model behind Google's Gemini API on loopback: what the real Gemini CLI talks to.

The same plays as `model_server`: by a word in the newest prompt, and by how often the model
has spoken since.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any

from aiohttp import web

from tests.fakes.model_server import Fail, ModelServer, Say, Turn, Use


class GeminiServer(ModelServer):
    """Its address is `server.url`, as GOOGLE_GEMINI_BASE_URL."""

    def serve(self, app: web.Application) -> None:
        app.router.add_post("/v1beta/models/{call}", self._call)

    async def _call(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        method = request.match_info["call"].partition(":")[2]
        if method == "countTokens":
            return web.json_response({"totalTokens": 10})
        self.requests.append(body)
        prompt, spoken = newest_prompt(body.get("contents", []))
        turn: Turn = self.turn_of(prompt, spoken)
        if isinstance(turn, Fail):
            error = {"code": turn.status, "message": turn.message, "status": turn.kind}
            return web.json_response({"error": {**error, **dict(turn.more)}}, status=turn.status,
                                     headers=dict(turn.headers))
        if method == "generateContent":
            return web.json_response(_answer(turn, last=True))
        return await _stream(request, turn)


def newest_prompt(contents: Sequence[Mapping[str, Any]]) -> tuple[str, int]:
    """The newest words of the user, and how often the model has spoken after them."""
    spoken = 0
    for content in reversed(contents):
        parts = content.get("parts", [])
        if content.get("role") == "model":
            spoken += 1
        elif not any("functionResponse" in part for part in parts):
            texts = [part.get("text", "") for part in parts]
            words = "\n".join(text for text in texts if not text.startswith("<session_context>"))
            if words:
                return words, spoken
    return "", spoken


def _answer(turn: Say | Use, last: bool) -> dict[str, Any]:
    parts: list[dict[str, Any]] = [{"text": turn.text}] if turn.text else []
    if isinstance(turn, Use):
        parts.append({"functionCall": {"name": turn.tool, "args": turn.input}})
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": parts}, "index": 0}
    if last:
        candidate["finishReason"] = "STOP"
    usage = {"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 15}
    return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "scripted"}


async def _stream(request: web.Request, turn: Say | Use) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    if isinstance(turn, Say) and turn.pause:
        await asyncio.sleep(turn.pause)
    await response.write(f"data: {json.dumps(_answer(turn, last=True))}\n\n".encode())
    return response
