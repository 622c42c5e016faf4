"""The way out as a whole: table, outbox, Telegram face, and a server that does harm."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

from bot.clock import SystemClock
from bot.outbox import Backoff, Outbox
from bot.telegram.face import TelegramFace
from core.commands.reply import Button, Reply
from core.store import deliveries
from core.store.database import Store
from tests.fakes.telegram_server import TOKEN, TelegramServer


async def test_a_review_card_gets_through_cut_lines_and_a_flood(data_dir: Path) -> None:
    diff = "".join(f"+line {n}\n" for n in range(2000))
    card = Reply("Ready for you", code=diff, buttons=(Button("Approve", "approve G-1", gate=1),))
    async with TelegramServer() as server, contextlib.AsyncExitStack() as stack:
        store = await Store(data_dir, SystemClock().now).open()
        stack.push_async_callback(store.close)
        face = TelegramFace(TOKEN, server.url)
        stack.push_async_callback(face.close)
        outbox = Outbox(store, {"telegram": face}, SystemClock(), backoff=Backoff(0.01, 0.02))
        await store.write(
            lambda tx: deliveries.owe(tx, platform="telegram", chat="100", reply=card, urgency=0)
        )
        server.flood(1)
        server.lose_answers("sendDocument")
        running = asyncio.create_task(outbox.run())
        await server.until(lambda: len(server.screen()) == 3, "the card, and its file twice")
        await outbox.settled()
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
        assert server.hammered == 1, "one try told us of the flood"
        first, *files = server.screen()
        assert first.labels == ["Approve"] and "approve" not in (first.data_of("Approve") or "")
        assert [m.document for m in files] == ["whole.txt"] * 2, "the lost answer repeats the file"
        assert all(m.reply_to == first.id and m.silent for m in files)
        assert await store.read("SELECT 1 FROM deliveries WHERE state = 'owed'") == []
