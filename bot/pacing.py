"""How fast a platform may be written to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from aiolimiter import AsyncLimiter


@dataclass(frozen=True, slots=True)
class Pace:
    """Messages and seconds, so (3, 3) is one a second with bursts of three. None: unlimited."""

    chat: tuple[float, float] | None = None
    group: tuple[float, float] | None = None
    overall: tuple[float, float] | None = None


UNPACED = Pace()

PACES: Mapping[str, Pace] = {
    # Telegram: one a second in a chat, 20 a minute in a group, about 30 a second in all;
    # edits count as well.
    "telegram": Pace(chat=(3, 3), group=(20, 60), overall=(30, 1)),
    "slack": Pace(chat=(3, 3)),
}


class Pacer:
    """Keeps one platform's pace; a chat that has to wait holds no other one up."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._overall = AsyncLimiter(*pace.overall) if pace.overall else None
        self._chats: dict[str, AsyncLimiter] = {}

    async def turn(self, chat: str) -> None:
        """Returns when one message may go to that chat. A group's id begins with a minus."""
        rate = (self._pace.group if chat.startswith("-") else None) or self._pace.chat
        if rate is not None:
            limiter = self._chats.get(chat)
            if limiter is None:
                limiter = self._chats[chat] = AsyncLimiter(*rate)
            await limiter.acquire()
        if self._overall is not None:
            await self._overall.acquire()
