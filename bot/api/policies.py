"""Who may come through which route: each has a policy, or it isn't served at all."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from aiohttp import web
from aiohttp.typedefs import Middleware

from bot.api import faults
from bot.api.bounded import admitted as admitted_as
from bot.api.bounded import heard
from bot.api.pace import Pace
from core.doors import Errand, hashed
from core.house import House
from core.model import Attempt
from core.store import doors

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
CALLER: web.RequestKey[Caller]
PERSON = "a person"


class Policy(StrEnum):
    OPEN = "open"
    """Anybody who reaches the address."""
    CODE = "code"
    """Whoever has a link that was not used yet."""
    COOKIE = "cookie"
    """Whoever has opened such a link."""
    ATTEMPT = "attempt"
    """An attempt that has not ended: what is its own."""
    PLACE = "place"
    """An attempt, or an errand of ours: what is its own."""


@dataclass(frozen=True, slots=True)
class Route:
    method: str
    path: str
    policy: Policy
    handler: Handler


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose token it was: an attempt's (then nothing else is reached), or an errand's."""

    session_id: str
    attempt: Attempt | None = None
    errand: Errand | None = None

    def folder(self, house: House) -> Path:
        if self.errand is not None:
            return self.errand.folder
        assert self.attempt is not None  # noqa: S101 - one of both
        return house.attempt_folder(self.session_id, self.attempt.number)


CALLER = web.RequestKey("caller", Caller)


class Check(Protocol):
    """Lets a request through, or says no: by ApiError, or by an answer of its own."""

    async def __call__(self, request: web.Request) -> web.StreamResponse | None: ...


def serve(
    app: web.Application, routes: Iterable[Route], checks: Mapping[Policy, Check]
) -> web.Application:
    """Add the routes, each behind the check of its policy; one without a check is a KeyError."""
    for route in routes:
        admitted = _behind(route, checks[route.policy])
        app.router.add_route(route.method, route.path, admitted)
        if route.method == "GET" and route.policy in (Policy.OPEN, Policy.COOKIE):
            app.router.add_route("HEAD", route.path, admitted)
    return app


def _behind(route: Route, check: Check) -> Handler:
    async def admitted(request: web.Request) -> web.StreamResponse:
        refusal = await check(request)
        if refusal is not None:
            return refusal
        if route.policy is not Policy.OPEN:
            admitted_as(request, request[CALLER].session_id if CALLER in request else PERSON)
        return await route.handler(request)

    admitted.policy = route.policy  # type: ignore[attr-defined]
    return admitted


async def anybody(request: web.Request) -> None:
    return None


# -- tokens --------------------------------------------------------------------------------


class Tokens:
    """Knows attempts and errands by their tokens, and the attempts of a session's socket."""

    def __init__(self, house: House, pace: Pace) -> None:
        self._house = house
        self._pace = pace

    async def attempt(self, request: web.Request) -> None:
        """Raises ApiError unless it is the token of an attempt that has not ended."""
        caller = await self._caller(request)
        if caller.attempt is None:
            raise faults.forbidden("An errand reaches its lease, its input and its repository.")
        request[CALLER] = caller

    async def place(self, request: web.Request) -> None:
        request[CALLER] = await self._caller(request)

    async def _caller(self, request: web.Request) -> Caller:
        token = given_token(request)
        if token is None:
            raise faults.unauthorized(_is_git(request))
        digest = hashed(token)
        errand = self._house.doors.errands.get(digest)
        if errand is not None:
            self._pace.take(errand.session_id)
            return Caller(errand.session_id, errand=errand)
        known = await doors.by_token(self._house.store, digest)
        if known is None or not hmac.compare_digest(known.token_hash or "", digest):
            raise faults.unauthorized(_is_git(request))
        self._pace.take(known.attempt.session_id)
        return Caller(known.attempt.session_id, attempt=known.attempt)

    async def of_session(self, request: web.Request, session_id: str) -> None:
        """Over the session's own socket: its living attempt, whose token need not be told."""
        self._pace.take(session_id)
        known = await doors.living(self._house.store, session_id)
        if known is None:
            raise faults.unauthorized()
        token = given_token(request)
        own = self._house.doors.token(session_id, known.attempt.number)
        if token is not None and not hmac.compare_digest(hashed(token), hashed(own)):
            raise faults.unauthorized()
        request[CALLER] = Caller(session_id, attempt=known.attempt)


def given_token(request: web.Request) -> str | None:
    """From `Authorization: Bearer`, for git also `Basic` with the token as password."""
    given = request.headers.getall("Authorization", [])
    if len(given) > 1:
        raise faults.invalid("One Authorization header is enough.")
    scheme, _, value = (given[0] if given else "").partition(" ")
    if scheme.lower() == "bearer":
        return value.strip() or None
    if scheme.lower() != "basic" or not _is_git(request):
        return None
    try:
        words = base64.b64decode(value.strip(), validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return words.partition(":")[2] or None


def _is_git(request: web.Request) -> bool:
    return request.path.startswith("/git/")


# -- hosts and origins ---------------------------------------------------------------------


def guard(hosts: Callable[[], Collection[str]], headers: Mapping[str, str]) -> Middleware:
    """For every request of a listener: one Host, and a known one (DNS rebinding); no foreign
    Origin; no token in the address; whatever goes wrong in the one form of an error."""

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        heard(request)
        named = request.headers.getall("Host", [])
        if len(named) != 1 or named[0].lower() not in hosts():
            return web.Response(status=400, text="This host is not served here.\n")
        try:
            _same_origin(request, named[0].lower())
            response = await handler(request)
        except web.HTTPException as error:
            if not request.path.startswith(("/api/", "/git/")):
                raise
            response = faults.answer(faults.translated(error))
        except ConnectionError:
            return web.Response(status=400)  # whoever asked is gone, nobody reads this
        except Exception as error:
            response = faults.answer(faults.translated(error))
        if not response.prepared:
            response.headers.update({**headers, **response.headers})
        return response

    return guarded


def _same_origin(request: web.Request, host: str) -> None:
    origins = request.headers.getall("Origin", [])
    if origins and [origin.lower() for origin in origins] != [f"http://{host}"]:
        raise faults.forbidden("Requests from other sites are not served.")
    if "bpa_" in request.path_qs or "bpe_" in request.path_qs:
        raise faults.invalid("A token doesn't belong into an address: send it as a header.")
