"""Calls to the Bot API: one session, our errors, updates as raw JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from aiogram import Bot
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.telegram import TelegramAPIServer
from aiogram.exceptions import AiogramError
from aiogram.methods import TelegramMethod
from aiogram.utils.token import TokenValidationError
from aiohttp import ClientError

from bot.telegram.errors import ours
from core.errors import Broken, Refused, Unclear

T = TypeVar("T")

PUBLIC = "https://api.telegram.org"
CALL_TIMEOUT = 30
DOWNLOAD_LIMIT = 20 << 20


class RawUpdates(TelegramMethod[list[dict[str, Any]]]):
    """getUpdates without decoding: an update in a shape that the library doesn't know must
    not stop those behind it."""

    __returning__ = list[dict[str, Any]]
    __api_method__ = "getUpdates"

    offset: int | None = None
    timeout: int = 0
    limit: int = 100
    allowed_updates: list[str] = []  # noqa: RUF012 - a field of a model


class Wire:
    """One bot's connection. Every error that leaves is one of ours."""

    def __init__(self, token: str, base_url: str = PUBLIC) -> None:
        """Raises Unclear when that is no token."""
        session = AiohttpSession(api=TelegramAPIServer.from_base(base_url))
        try:
            self._bot = Bot(token, session=session)
        except TokenValidationError:
            raise Unclear(
                "TELEGRAM_BOT_TOKEN is no token: it looks like 123456:ABC-DEF, from @BotFather."
            ) from None
        self._token = token
        self.bot_id = str(self._bot.id)

    async def call(self, method: TelegramMethod[T], timeout: int = CALL_TIMEOUT) -> T:
        try:
            return await self._bot(method, request_timeout=timeout)
        except (AiogramError, ClientError, OSError, TimeoutError) as error:
            # Not "from": the original may carry the token in its address.
            raise ours(error, self._token) from None

    async def updates(
        self, offset: int | None, timeout: int, kinds: Sequence[str]
    ) -> list[dict[str, Any]]:
        """What is new from `offset` on, waiting up to `timeout` seconds for it. All before
        `offset` is confirmed by that."""
        method = RawUpdates(offset=offset, timeout=timeout, allowed_updates=list(kinds))
        return await self.call(method, timeout + 10)

    async def download(self, path: str) -> bytes:
        """The content of a file, at most 20 MB. Raises Refused above."""
        url = self._bot.session.api.file_url(self._token, path)
        got = bytearray()
        try:
            async for chunk in self._bot.session.stream_content(url, timeout=CALL_TIMEOUT):
                got += chunk
                if len(got) > DOWNLOAD_LIMIT:
                    raise Refused("That file is larger than 20 MB: put it where Bullpen can read.")
        except (ClientError, OSError, TimeoutError) as error:
            raise Broken(f"The file can't be fetched: {type(error).__name__}.") from None
        return bytes(got)

    async def close(self) -> None:
        await self._bot.session.close()
