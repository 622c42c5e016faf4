"""The HTTP doors: the main one, one for sandboxes on other machines, and a socket a session."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from aiohttp import web

from bot.api import bodies
from bot.api.bell import Bell
from bot.api.bounded import Bounded
from bot.api.dashboard import Dashboard
from bot.api.entry import load_key, make_code, note_port
from bot.api.faults import unauthorized
from bot.api.gitroutes import Git
from bot.api.pace import Pace
from bot.api.policies import Check, Policy, Route, Tokens, anybody, guard, serve
from bot.api.session import Session
from bot.api.sockets import HOSTS, Sockets
from core.errors import Broken
from core.house import House

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
QUIET = logging.getLogger("bullpen.http")
"""What isn't HTTP at all is answered, and no matter for our log."""
QUIET.disabled = True
MOST = 500
"""Connections of a listener at a time."""
IDLE = 2.5
"""Times the patience: a connection that asks nothing, or never finishes asking, is closed."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where sandboxes on other machines come in: `url` is how they call it. Without a `host`
    nothing further listens: what answers there hands on to the main door."""

    url: str = ""
    host: str = ""
    port: int = 0


class Server:
    """`<data>/site` behind a cookie and, with a house, the session routes and git. On the far
    door and on the sockets nothing but what agents may reach is served. `patience`: seconds that
    the body of a request may take."""

    def __init__(
        self,
        data: Path,
        host: str,
        port: int,
        house: House | None = None,
        agents: Address | None = None,
        patience: float = 30.0,
        pace: Pace | None = None,
    ) -> None:
        self._patience = patience
        self._pace = pace or Pace()
        self._data = data
        self._key = load_key(data)
        self._main = _Listener(host, port)
        self._agents = agents or Address()
        self._far = _Listener(self._agents.host, self._agents.port)
        self._house = house
        self._dashboard = Dashboard(data / "site", self._key)
        self._bell = Bell()
        self._runners: list[web.AppRunner] = []
        self._servers: list[asyncio.Server] = []
        self._sockets: Sockets | None = None

    async def start(self) -> str:
        """Listen; returns the address as a URL. Raises Broken when a port is taken."""
        try:
            await self._listen(self._main, self.app(), "api.port")
            if self._house is not None:
                await self._serve_agents(self._house)
        except BaseException:
            await self.close()
            raise
        note_port(self._data, self._main.port)
        return f"{self._main.url}/"

    async def _serve_agents(self, house: House) -> None:
        house.store.state.listeners.append(self._bell.ring)
        if self._far.host:
            await self._listen(self._far, self.far_app(), "api.agents_port")
        house.doors.url = self._main.url
        house.doors.far_url = self._agents.url.rstrip("/") or None
        runner = await self._runner(self.socket_app())
        self._sockets = Sockets(house.session_folder, _server_of(runner))
        house.doors.open, house.doors.close = self._sockets.open, self._sockets.close

    def link(self) -> str:
        """The dashboard's address with a one-time code, good for ten minutes."""
        return f"{self._main.url}/enter?code={make_code(self._key)}"

    async def close(self) -> None:
        """At once: those who wait are told that there is nothing yet."""
        self._bell.close()
        for server in self._servers:
            server.close()
        if self._sockets is not None:
            await self._sockets.close_all()
        await asyncio.gather(*(runner.cleanup() for runner in self._runners))

    # -- what is served where --------------------------------------------------------------

    def app(self) -> web.Application:
        """The main door: everything."""
        dashboard = self._dashboard
        checks: dict[Policy, Check] = {
            Policy.OPEN: anybody,
            Policy.CODE: dashboard.with_code,
            Policy.COOKIE: dashboard.with_cookie,
        }
        routes: list[Route] = []
        if self._house is not None:
            tokens = Tokens(self._house, self._pace)
            checks |= {Policy.ATTEMPT: tokens.attempt, Policy.PLACE: tokens.place}
            session = Session(self._house, self._bell).routes()
            routes = [*Git(self._house).routes(), *session]
        health, *pages = dashboard.routes()
        handed_on = () if self._far.host else self._called()
        return self._app(
            [health, *routes, *pages], checks, lambda: {*self._main.names(), *handed_on}
        )

    def far_app(self) -> web.Application:
        """The door for other machines: session and git, nothing else."""
        house = self._of_house()
        tokens = Tokens(house, self._pace)
        checks: dict[Policy, Check] = {Policy.ATTEMPT: tokens.attempt, Policy.PLACE: tokens.place}
        routes = [*Git(house).routes(), *Session(house, self._bell).routes()]
        return self._app(routes, checks, lambda: {*self._far.names(), *self._called()})

    def socket_app(self) -> web.Application:
        """A session's socket: the session routes, for its living attempt."""
        house = self._of_house()
        tokens = Tokens(house, self._pace)

        async def of_socket(request: web.Request) -> None:
            session_id = self._sockets.session(request) if self._sockets is not None else None
            if session_id is None:
                raise unauthorized()
            await tokens.of_session(request, session_id)

        checks: dict[Policy, Check] = {Policy.ATTEMPT: of_socket, Policy.PLACE: of_socket}
        return self._app(Session(house, self._bell).routes(), checks, lambda: HOSTS)

    def _app(
        self,
        routes: Iterable[Route],
        checks: Mapping[Policy, Check],
        hosts: Callable[[], Collection[str]],
    ) -> web.Application:
        app = web.Application(middlewares=[guard(hosts, HEADERS)])
        app[bodies.PATIENCE] = self._patience
        return serve(app, routes, checks)

    def _of_house(self) -> House:
        if self._house is None:
            raise Broken("There are no sessions to serve here.")
        return self._house

    def _called(self) -> set[str]:
        """How other machines name us."""
        parts = urlsplit(self._agents.url)
        default = {"http": 80, "https": 443}.get(parts.scheme)
        if not parts.hostname:
            return set()
        name = _shown(parts.hostname)
        port = parts.port or default
        return {f"{name}:{port}".lower(), *({name.lower()} if port == default else ())}

    # -- listening -------------------------------------------------------------------------

    async def _runner(self, app: web.Application) -> web.AppRunner:
        runner = web.AppRunner(
            app,
            handle_signals=False,
            access_log=None,
            logger=QUIET,
            shutdown_timeout=0.5,
            keepalive_timeout=IDLE * self._patience,
            lingering_time=2.0,
        )
        self._runners.append(runner)
        await runner.setup()
        return runner

    async def _listen(self, listener: _Listener, app: web.Application, key: str) -> None:
        factory = Bounded(_server_of(await self._runner(app)), MOST)
        loop = asyncio.get_running_loop()
        try:
            server = await loop.create_server(factory, listener.host, listener.port)
        except OSError as error:
            raise Broken(
                f"Port {listener.port} on {listener.host} is taken or not allowed: set "
                f"{key} to another (0: any free one)."
            ) from error
        self._servers.append(server)
        listener.port = server.sockets[0].getsockname()[1]


@dataclass(slots=True)
class _Listener:
    host: str
    port: int

    @property
    def url(self) -> str:
        return f"http://{_shown(self.host)}:{self.port}"

    def names(self) -> set[str]:
        """What a request may call it: exactly these."""
        names = {_shown(self.host), "127.0.0.1", "localhost", "[::1]"}
        return {f"{name}:{self.port}".lower() for name in names}


def _server_of(runner: web.AppRunner) -> web.Server:
    if runner.server is None:
        raise Broken("The HTTP server was not set up.")
    return runner.server


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host
