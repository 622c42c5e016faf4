"""A chat for tests that start the bot as a process: the Bot API server in a thread of its own.

The test speaks and presses from outside; the server can be taken off its port and put back,
with every chat as it was.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from tests.bot_bench import PATIENCE
from tests.fakes.telegram_chats import Shown
from tests.fakes.telegram_server import CHAT, TOKEN, TelegramServer

T = TypeVar("T")


class Chat:
    """`with Chat() as chat:`; give `chat.settings` to the bot."""

    def __init__(self) -> None:
        self._server = TelegramServer()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="chat")

    def __enter__(self) -> Chat:
        self._thread.start()
        self._await(self._server.start())
        return self

    def __exit__(self, *_: object) -> None:
        self._await(self._server.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)
        self._loop.close()

    @property
    def settings(self) -> dict[str, str]:
        """What makes a bot speak here, with the one person in it as its admin."""
        return {"TELEGRAM_BOT_TOKEN": TOKEN, "BULLPEN_TELEGRAM__API_BASE": self._server.url,
                "BULLPEN_TELEGRAM__USERS": f'{{"{CHAT}": "admin"}}'}

    # -- the person ----------------------------------------------------------------------

    def says(self, *texts: str) -> None:
        for text in texts:
            self._await(self._server.says(text))

    def press(self, label: str) -> None:
        self._await(self._server.press(label))

    # -- the server ----------------------------------------------------------------------

    def off(self) -> None:
        """Nobody answers on its port any more."""
        self._await(self._server.stop())

    def on(self) -> None:
        """On the same port again."""
        self._await(self._server.start(self._server.port))

    def flood(self, seconds: int) -> None:
        self._now(lambda: self._server.flood(seconds))

    def lose_answers(self, method: str) -> None:
        self._now(lambda: self._server.lose_answers(method))

    @property
    def hammered(self) -> int:
        """How often it was written to in a flood."""
        return self._server.hammered

    def confirmed(self) -> bool:
        """Whether the bot has confirmed everything that was said to it."""
        return not self._now(lambda: list(self._server.api._updates))

    # -- the screen ----------------------------------------------------------------------

    def screen(self) -> list[Shown]:
        """What the bot's messages show now, oldest first."""
        return self._now(self._server.from_bot)

    def titles(self) -> list[str]:
        """The first line of each."""
        return [message.text.split("\n")[0] for message in self.screen()]

    def shows(self, text: str) -> list[str]:
        return [title for title in self.titles() if text in title]

    def picture(self) -> str:
        """The whole screen, for a test that has failed."""
        return "\n".join(["-- chat", *(f"{m.id}: {m.text!r} {m.labels}" for m in self.screen())])

    # -- threads -------------------------------------------------------------------------

    def _await(self, act: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(act, self._loop).result(PATIENCE)

    def _now(self, act: Callable[[], T]) -> T:
        async def do() -> T:
            return act()

        return self._await(do())
