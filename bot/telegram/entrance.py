"""Telegram's inward side: polling into the intake, and reading what was stored."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from bot.telegram.errors import NoAccess
from bot.telegram.face import TelegramFace
from bot.telegram.receive import Receiver
from bot.telegram.understand import understand
from core.commands.incoming import File, Incoming
from core.commands.verbs import FORMS
from core.errors import BullpenError

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds between two tries to reach Telegram at the start."""

log = logging.getLogger(__name__)
Keep = Callable[[str, str, Sequence[tuple[str, str]]], Awaitable[None]]


class TelegramEntrance:
    """`run()` polls until cancelled; the rest is what the reception asks of a face."""

    platform = "telegram"

    def __init__(self, face: TelegramFace) -> None:
        self._face = face
        self._username: str | None = None

    async def run(self, keep: Keep) -> None:
        bot = str(self._face.bot_id)
        if not await self._introduce():
            return
        await Receiver(self._face.wire, lambda updates: keep("telegram", bot, updates)).run()

    async def close(self) -> None:
        """No call goes out any more."""
        await self._face.close()

    async def _introduce(self) -> bool:
        """Learn the bot's own name, without which `/add@another` can't be told from ours.

        Tried until Telegram answers; False when it refuses the token."""
        pause = FIRST_PAUSE
        while True:
            try:
                self._username = await self._face.hello()
                await self._face.set_commands([(form.name, form.help) for form in FORMS.values()])
                return True
            except NoAccess as error:
                log.error("%s Telegram is off until then; everything else goes on.", error)
                return False
            except BullpenError as error:
                if pause == FIRST_PAUSE:
                    log.warning("%s Trying again until it works.", error)
            await asyncio.sleep(pause)
            pause = min(LONGEST_PAUSE, pause * 2)

    def understand(self, payload: str) -> Incoming | None:
        return understand(payload, self._username)

    async def acknowledge(self, incoming: Incoming, note: str) -> None:
        await self._face.acknowledge(incoming, note)

    async def fetch(self, file: File) -> bytes:
        return await self._face.fetch(file)
