"""Where people are: the Face port."""

from __future__ import annotations

from typing import Protocol

from core.commands.reply import Reply


class Face(Protocol):
    platform: str

    async def post(
        self, chat: str, reply: Reply, *, silent: bool = False, reply_to: str | None = None
    ) -> str:
        """Send a new message; returns its id. Raises Flooded, ChatGone or Broken; Refused for
        what the platform will never take."""

    async def edit(self, chat: str, message: str, reply: Reply) -> None:
        """Replace a message. Unchanged content is no error. Raises MessageGone, and as post."""
