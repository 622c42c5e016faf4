"""The HTTP door: the dashboard behind a cookie, and whether the bot is well."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

from aiohttp import web

from bot.api.entry import (
    COOKIE_LIFE,
    Codes,
    load_key,
    make_code,
    make_cookie,
    note_port,
    valid_cookie,
)
from core.errors import Broken

COOKIE = "bullpen"
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
HELP = (
    "This dashboard opens with a link of its own: run `bullpen open`, or look at what "
    "`bullpen up` printed."
)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Server:
    """Serves `<data>/site`. Every route checks the Host; all but health and entry the cookie."""

    def __init__(self, data: Path, host: str, port: int) -> None:
        self._data = data
        self._site = data / "site"
        self._key = load_key(data)
        self._codes = Codes(self._key)
        self._host = host
        self._port = port
        self._runner: web.AppRunner | None = None

    async def start(self) -> str:
        """Listen; returns the address as a URL. Raises Broken when the port is taken."""
        app = web.Application(middlewares=[self._guard], client_max_size=1 << 20)
        app.router.add_get("/api/health", self._health)
        app.router.add_get("/enter", self._enter)
        app.router.add_get("/{path:.*}", self._page)
        self._runner = web.AppRunner(
            app, handle_signals=False, access_log=None, shutdown_timeout=0.5
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self._port)
        try:
            await site.start()
        except OSError as error:
            await self._runner.cleanup()
            raise Broken(
                f"Port {self._port} on {self._host} is taken or not allowed: set "
                "api.port to another (0: any free one)."
            ) from error
        self._port = self._runner.addresses[0][1]
        note_port(self._data, self._port)
        return f"http://{self._shown()}:{self._port}/"

    def link(self) -> str:
        """The dashboard's address with a one-time code, good for ten minutes."""
        return f"http://{self._shown()}:{self._port}/enter?code={make_code(self._key)}"

    async def close(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    def _shown(self) -> str:
        return f"[{self._host}]" if ":" in self._host else self._host

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Only hosts that are ours (DNS rebinding), and one Host header."""
        hosts = request.headers.getall("Host", [])
        if len(hosts) != 1 or hosts[0].lower() not in self._hosts():
            return web.Response(status=400, text="This host is not served here.\n")
        response = await handler(request)
        response.headers.update(HEADERS)
        return response

    def _hosts(self) -> set[str]:
        names = {self._shown(), "127.0.0.1", "localhost", "[::1]"}
        return {f"{name}:{self._port}".lower() for name in names}

    async def _health(self, request: web.Request) -> web.Response:
        return web.json_response({"status": "ok", "timestamp": datetime.now(UTC).isoformat()})

    async def _enter(self, request: web.Request) -> web.Response:
        if not self._codes.use(request.query.get("code", "")):
            words = f"That link was used before, or is too old. {HELP}\n"
            return web.Response(status=403, text=words)
        response = web.Response(status=303, headers={"Location": "/"})
        response.set_cookie(
            COOKIE,
            make_cookie(self._key),
            max_age=COOKIE_LIFE,
            httponly=True,
            samesite="Strict",
            path="/",
        )
        return response

    async def _page(self, request: web.Request) -> web.StreamResponse:
        if not valid_cookie(self._key, request.cookies.get(COOKIE, "")):
            return web.Response(status=401, text=HELP + "\n")
        path = self._file(request.match_info["path"])
        if path is None:
            return web.Response(status=404, text="There is no such page.\n")
        return web.FileResponse(path)

    def _file(self, name: str) -> Path | None:
        """A regular file below the site folder; nothing hidden, no way out of it."""
        parts = [part for part in name.split("/") if part]
        if any(part.startswith(".") or "\0" in part for part in parts):
            return None
        path = self._site.joinpath(*parts)
        if path.is_dir():
            path = path / "index.html"
        inside = path.resolve().is_relative_to(self._site.resolve())
        return path if inside and path.is_file() else None
