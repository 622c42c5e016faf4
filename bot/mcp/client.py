"""The session routes as this attempt reaches them; goes on when the bot has been away."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import aiohttp

from core.errors import Broken, Refused

PATIENCE = 120.0
"""Seconds for which a call is tried again while nobody answers; a question is, for ever."""
WAIT = 30
"""Seconds of one look for an answer."""
_PAUSES = (0.2, 0.5, 1.0, 2.0, 5.0)


class Away(Broken):
    """Nobody answers just now."""


class Client:
    """Over BULLPEN_SOCKET where that is set, else over BULLPEN_API, with BULLPEN_TOKEN."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._socket = environ.get("BULLPEN_SOCKET", "")
        self._url = "http://localhost" if self._socket else environ.get("BULLPEN_API", "")
        token = environ.get("BULLPEN_TOKEN", "")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        if not self._url:
            raise Broken(
                "Neither BULLPEN_SOCKET nor BULLPEN_API is set: this server is started by an "
                "agent that Bullpen has started."
            )

    async def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        data: bytes | None = None,
        patience: float = PATIENCE,
    ) -> Any:
        """The answer: JSON as values, anything else as bytes. Raises Refused with the server's
        words, or Broken where nobody answers in that time (seconds)."""
        end = asyncio.get_running_loop().time() + patience
        tries = 0
        while True:
            try:
                return await self._once(method, path, body, data)
            except Away:
                pause = _PAUSES[min(tries, len(_PAUSES) - 1)]
                if asyncio.get_running_loop().time() + pause > end:
                    raise
                tries += 1
                await asyncio.sleep(pause)

    async def _once(self, method: str, path: str, body: object, data: bytes | None) -> Any:
        connector = aiohttp.UnixConnector(self._socket) if self._socket else None
        timeout = aiohttp.ClientTimeout(total=WAIT + 60)
        try:
            async with (
                aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
                session.request(
                    method,
                    f"{self._url}/api/session/{path}",
                    json=body,
                    data=data,
                    headers=self._headers,
                    allow_redirects=False,
                ) as answer,
            ):
                return await _understood(answer)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Away(f"Bullpen doesn't answer: {str(error) or type(error).__name__}.") from None


async def _understood(answer: aiohttp.ClientResponse) -> Any:
    if answer.content_type != "application/json":
        data = await answer.read()
        if answer.status >= 400:
            raise Refused(f"Bullpen said {answer.status}.")
        return data
    value = await answer.json()
    if answer.status == 503:
        raise Away(value["error"]["message"])
    if answer.status >= 400:
        raise Refused(value["error"]["message"])
    return value


def artifact(name: str) -> str:
    """The route of an artifact; its name may hold anything, and the server judges it."""
    return f"artifacts/{quote(name, safe='')}"


def client() -> Client:
    return Client(os.environ)
