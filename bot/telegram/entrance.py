"""Telegram's inward side: polling into the intake, and reading what was stored."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence

from bot.telegram.face import TelegramFace
from bot.telegram.receive import Receiver
from bot.telegram.understand import understand
from core.commands.incoming import File, Incoming
from core.commands.verbs import FORMS
from core.errors import BullpenError

log = logging.getLogger(__name__)
Keep = Callable[[str, str, Sequence[tuple[str, str]]], Awaitable[None]]


class TelegramEntrance:
    """`run()` polls until cancelled; the rest is what the reception asks of a face."""

    def __init__(self, face: TelegramFace) -> None:
        self._face = face
        self._username: str | None = None

    async def run(self, keep: Keep) -> None:
        bot = str(self._face.bot_id)
        try:
            self._username = await self._face.hello()
            await self._face.set_commands([(form.name, form.help) for form in FORMS.values()])
        except BullpenError as error:
            log.warning("%s", error)
        await Receiver(self._face.wire, lambda updates: keep("telegram", bot, updates)).run()

    def understand(self, payload: str) -> Incoming | None:
        return understand(payload, self._username)

    async def acknowledge(self, incoming: Incoming, note: str) -> None:
        await self._face.acknowledge(incoming, note)

    async def fetch(self, file: File) -> bytes:
        return await self._face.fetch(file)
