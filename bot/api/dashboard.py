"""The static dashboard: behind a cookie, which a link with a one-time code sets."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from aiohttp import web

from bot.api.entry import COOKIE_LIFE, Codes, make_cookie, valid_cookie
from bot.api.policies import Policy, Route

COOKIE = "bullpen"
HELP = (
    "This dashboard opens with a link of its own: run `bullpen open`, or look at what "
    "`bullpen up` printed."
)


class Dashboard:
    """Serves `<data>/site`."""

    def __init__(self, site: Path, key: bytes) -> None:
        self._site = site
        self._key = key
        self._codes = Codes(key)

    def routes(self) -> tuple[Route, ...]:
        return (
            Route("GET", "/api/health", Policy.OPEN, health),
            Route("GET", "/enter", Policy.CODE, self.enter),
            Route("GET", "/{path:.*}", Policy.COOKIE, self.page),
        )

    async def with_code(self, request: web.Request) -> web.Response | None:
        if self._codes.use(request.query.get("code", "")):
            return None
        words = f"That link was used before, or is too old. {HELP}\n"
        return web.Response(status=403, text=words)

    async def with_cookie(self, request: web.Request) -> web.Response | None:
        if valid_cookie(self._key, request.cookies.get(COOKIE, "")):
            return None
        return web.Response(status=401, text=HELP + "\n")

    async def enter(self, request: web.Request) -> web.Response:
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

    async def page(self, request: web.Request) -> web.StreamResponse:
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


async def health(request: web.Request) -> web.Response:
    return web.json_response({"status": "ok", "timestamp": datetime.now(UTC).isoformat()})
