"""A stand-in for the routes that a place elsewhere uses: lease, input, artifacts, memory, git.

It serves one or more attempts by their tokens, from their folders: inputs are those that
`send` has left there. It can be closed and opened again on the same port.
"""

from __future__ import annotations

import asyncio
import base64
import json
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from core.git.serving import Asked, exchange
from core.ports import Door, Order


@dataclass
class Attempt:
    folder: Path
    session: str
    holder: str | None = None
    artifacts: dict[str, bytes] = field(default_factory=dict)
    memory: bytes = b""
    asked: list[str] = field(default_factory=list)


class AgentsApi:
    def __init__(self, host: str = "127.0.0.1") -> None:
        self.attempts: dict[str, Attempt] = {}
        self.host, self.port = host, 0
        self._runner: web.AppRunner | None = None

    async def open(self) -> AgentsApi:
        app = web.Application(client_max_size=32 << 20)
        app.router.add_post("/api/session/lease", self._lease)
        app.router.add_get("/api/session/input", self._input)
        app.router.add_put("/api/session/artifacts/{name}", self._artifact)
        app.router.add_get("/api/session/memory", self._memory)
        app.router.add_put("/api/session/memory", self._remember)
        app.router.add_route("*", "/git/{session}.git/{rest:.+}", self._git)
        self._runner = web.AppRunner(app, handle_signals=False, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, self.host, self.port).start()
        self.port = self._runner.addresses[0][1]
        return self

    async def close(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def door(self, order: Order) -> Door:
        """A way back for that order, as the orchestrator would give one."""
        token = f"bpa_{len(self.attempts):064x}"
        self.attempts[token] = Attempt(order.folder, order.session_id)
        return Door(token, self.url)

    def _of(self, request: web.Request) -> Attempt:
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        if kind == "Basic":
            token = base64.b64decode(token).decode().partition(":")[2]
        if token not in self.attempts:
            raise web.HTTPUnauthorized(headers={"WWW-Authenticate": "Basic"})
        attempt = self.attempts[token]
        attempt.asked.append(f"{request.method} {request.path}")
        return attempt

    async def _lease(self, request: web.Request) -> web.Response:
        attempt, holder = self._of(request), (await request.json())["holder"]
        attempt.holder = attempt.holder or holder
        return web.Response(status=200 if attempt.holder == holder else 409)

    async def _input(self, request: web.Request) -> web.Response:
        attempt, after = self._of(request), int(request.query["after"])
        for _ in range(100):
            files = sorted((attempt.folder / "input").glob("[0-9]*"))
            found = [file for file in files if int(file.name[:6]) > after and file.suffix != ".new"]
            if found:
                break
            await asyncio.sleep(0.05)
        inputs = [{"number": int(file.name[:6]), "last": file.suffix == ".last",
                   "data": base64.b64encode(file.read_bytes()).decode()} for file in found]
        inputs = _unbroken(inputs, after)
        return web.Response(text=json.dumps({"inputs": inputs, "ended": False}),
                            content_type="application/json")

    async def _artifact(self, request: web.Request) -> web.Response:
        self._of(request).artifacts[request.match_info["name"]] = await request.read()
        return web.json_response({})

    async def _memory(self, request: web.Request) -> web.Response:
        return web.Response(body=self._of(request).memory)

    async def _remember(self, request: web.Request) -> web.Response:
        self._of(request).memory = await request.read()
        return web.json_response({})

    async def _git(self, request: web.Request) -> web.StreamResponse:
        attempt = self._of(request)
        info = request.match_info["rest"] == "info/refs"
        service = request.query.get("service", "") if info else request.match_info["rest"]
        asked = Asked(service, info)
        answer = await exchange(attempt.folder / "exchange.git", asked, request.content.iter_any())
        try:
            response = web.StreamResponse(status=answer.status, headers=answer.headers)
            await response.prepare(request)
            async for chunk in answer.body():
                await response.write(chunk)
            await response.write_eof()
            return response
        finally:
            await answer.close()


def _unbroken(inputs: list[dict[str, object]], after: int) -> list[dict[str, object]]:
    """Those that follow each other: what was sent too early waits for the one before it."""
    found = []
    for one in inputs:
        if one["number"] == after + len(found) + 1:
            found.append(one)
    return found
