"""A Face that plays a script: what it shows is a list, what goes wrong is said beforehand."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from core.commands.reply import Reply
from core.errors import MessageGone


@dataclass
class Card:
    """A message as it stands; `versions` holds what it said before."""

    id: str
    chat: str
    reply: Reply
    silent: bool = False
    reply_to: str | None = None
    versions: list[Reply] = field(default_factory=list)


class FakeFace:
    """`troubles` are raised one by one before a call does anything; `after` once it has."""

    def __init__(self, platform: str = "fake") -> None:
        self.platform = platform
        self.cards: list[Card] = []
        self.troubles: dict[str, list[Exception]] = {}
        self.after: dict[str, list[Exception]] = {}
        self.calls: list[tuple[str, str]] = []
        self.held: dict[str, asyncio.Event] = {}
        self.entered: dict[str, asyncio.Event] = {}

    def shown(self, chat: str) -> list[str]:
        """The titles that stand in a chat."""
        return [card.reply.title for card in self.cards if card.chat == chat]

    def card(self, chat: str, message: str) -> Card | None:
        return next((c for c in self.cards if (c.chat, c.id) == (chat, message)), None)

    def forget(self, chat: str, message: str) -> None:
        """Somebody deleted the message."""
        self.cards = [c for c in self.cards if (c.chat, c.id) != (chat, message)]

    def hold(self, chat: str) -> asyncio.Event:
        """Calls to that chat wait until the returned event is set; `entered[chat]` tells when
        the first has come."""
        self.entered[chat] = asyncio.Event()
        self.held[chat] = asyncio.Event()
        return self.held[chat]

    async def post(
        self, chat: str, reply: Reply, *, silent: bool = False, reply_to: str | None = None
    ) -> str:
        await self._enter("post", chat)
        card = Card(str(len(self.calls)), chat, reply, silent, reply_to)
        self.cards.append(card)
        _raise(self.after.get(chat))
        return card.id

    async def edit(self, chat: str, message: str, reply: Reply) -> None:
        await self._enter("edit", chat)
        card = self.card(chat, message)
        if card is None:
            raise MessageGone("That message is gone.")
        if card.reply != reply:
            card.versions.append(card.reply)
            card.reply = reply

    async def _enter(self, call: str, chat: str) -> None:
        self.calls.append((call, chat))
        if chat in self.held:
            self.entered[chat].set()
            await self.held[chat].wait()
        _raise(self.troubles.get(chat))


def _raise(troubles: list[Exception] | None) -> None:
    if troubles:
        raise troubles.pop(0)
