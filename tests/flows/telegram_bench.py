"""A bot on a Telegram server of the test's, and what people do and see there."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import AsyncIterator

from tests.fakes.telegram_chats import Shown
from tests.fakes.telegram_server import GROUP, TOKEN, TelegramServer
from tests.flows.bench import Bench, Live

ANN, VIC, BOB, EVE = 100, 200, 300, 666
"""An admin, a viewer, an approver, and a stranger; a private chat has its person's number."""
GREETING = '/add "Add a greeting" --run "sh -c \'echo hello > greeting.txt\'"'


@contextlib.asynccontextmanager
async def bot(bench: Bench, server: TelegramServer, users: bool = True) -> AsyncIterator[Live]:
    """A running bot on that server; cards go to the group too."""
    bench.configure(f'[channels]\ncrew = ["console", "telegram:{GROUP}"]\n')
    roles = {str(ANN): "admin", str(VIC): "viewer", str(BOB): "approver"}
    people = {"BULLPEN_TELEGRAM__USERS": json.dumps(roles)} if users else {}
    async with bench.running(TELEGRAM_BOT_TOKEN=TOKEN, BULLPEN_TELEGRAM__API_BASE=server.url,
                             **people) as live:
        await live.until(lambda: server.calls("getMe"), "the bot to say hello")
        yield live


async def shown(server: TelegramServer, words: str, chat: int = ANN) -> Shown:
    """The newest of the bot's messages that says this, once it is there."""
    def find() -> Shown | None:
        return next((m for m in reversed(server.from_bot(chat)) if words in m.text), None)

    found: Shown = await server.until(find, f"{words!r} in chat {chat}", within=60)
    return found


async def button(server: TelegramServer, label: str, chat: int = ANN) -> Shown:
    found: Shown = await server.until(lambda: server.chats.with_button(chat, label),
                                      f"a button {label!r} in chat {chat}", within=60)
    return found


async def noted(server: TelegramServer, query: str) -> str:
    """What a press was acknowledged with."""
    await server.until(lambda: query in server.notes(), "the press to be acknowledged", within=60)
    return server.notes()[query]


async def answered(server: TelegramServer, line: str, person: int) -> str:
    """Say it in the person's own chat; the bot's next message there."""
    before = len(server.from_bot(person))
    await server.says(line, chat=person, user=person)
    await server.until(lambda: len(server.from_bot(person)) > before, "an answer", within=60)
    return server.from_bot(person)[before].text


async def press(server: TelegramServer, message: Shown, data: str, user: int) -> str:
    query: str = server.api.new_query()
    await server.api.queue({"callback_query": {
        "id": query, "from": server.api.person(user), "chat_instance": str(message.chat),
        "message": server.api.message(message), "data": data}})
    return query


async def press_as_drawn(
    server: TelegramServer, card: Shown, bench: Bench, user: int
) -> str:
    """A press of the approving button as it stood on that card at first."""
    key = bench.value("SELECT key FROM buttons WHERE command = 'approve G-1' AND message = ?",
                      str(card.id))
    return await press(server, card, key, user)


def let_in(bench: Bench, user: int, role: int) -> None:
    with contextlib.closing(sqlite3.connect(bench.data / "bullpen.db", timeout=30)) as db, db:
        db.execute("INSERT OR REPLACE INTO people VALUES ('telegram', ?, 'Guest', ?, 'test', 1)",
                   (str(user), role))
