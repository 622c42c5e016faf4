"""Telegram's own ways, against the Bot API server on loopback: keys, prompts, updates."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Sequence

import pytest

from bot.telegram.face import TelegramFace
from bot.telegram.receive import Receiver
from bot.telegram.understand import understand
from core.commands.incoming import Incoming
from core.commands.reply import Button, Reply
from core.errors import Broken, Refused, Unclear
from tests.fakes.telegram_server import GROUP, TOKEN, TelegramServer


@pytest.fixture
async def server() -> AsyncIterator[TelegramServer]:
    async with TelegramServer() as server:
        yield server


@pytest.fixture
async def face(server: TelegramServer) -> AsyncIterator[TelegramFace]:
    face = TelegramFace(TOKEN, server.url)
    yield face
    await face.close()


class Intake:
    """Where updates are stored, each once; `full` makes it refuse as a full disk does."""

    def __init__(self) -> None:
        self.rows: dict[str, str] = {}
        self.batches = 0
        self.full = False

    async def store(self, updates: Sequence[tuple[str, str]]) -> None:
        self.batches += 1
        if self.full:
            raise Broken("The disk is full.")
        for key, payload in updates:
            self.rows.setdefault(key, payload)

    def heard(self) -> list[Incoming]:
        return [i for row in self.rows.values() if (i := understand(row, "bullpen_bot"))]


@contextlib.asynccontextmanager
async def receiving(face: TelegramFace, intake: Intake) -> AsyncIterator[asyncio.Task[None]]:
    receiver = Receiver(face.wire, intake.store, poll=1, pause=(0.01, 0.05))
    task = asyncio.create_task(receiver.run())
    try:
        yield task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_words_presses_and_answers_arrive(server: TelegramServer, face: TelegramFace) -> None:
    intake = Intake()
    card = await face.post("100", Reply("Card", buttons=(Button("Show", "show 1", key="the-key"),)))
    async with receiving(face, intake):
        await server.says("/add@bullpen_bot Speed up", chat=GROUP, user=7)
        await server.press("Show")
        await server.says("name the constant", reply_to=int(card))
        await server.until(lambda: len(intake.rows) == 3, "three updates")
    added, pressed, answered = intake.heard()
    assert (added.text, added.actor.user_id, added.place.private) == ("/add Speed up", "7", False)
    assert (pressed.button, pressed.place.message) == ("the-key", card) and pressed.callback
    assert answered.place.reply_to == card and answered.genuine
    await face.acknowledge(pressed, "Shown. " * 60)
    await face.acknowledge(pressed, "twice is of no consequence")
    assert next(iter(server.notes().values())).startswith("Shown.")


async def test_an_update_is_confirmed_only_once_it_is_stored(
    server: TelegramServer, face: TelegramFace
) -> None:
    intake = Intake()
    intake.full = True
    await server.says("/status")
    async with receiving(face, intake):
        await server.until(lambda: intake.batches >= 2, "a second delivery of the same")
        assert not intake.rows
        intake.full = False
        await server.until(lambda: intake.rows, "the update to be stored")
    assert [incoming.text for incoming in intake.heard()] == ["/status"]


async def test_what_came_during_an_outage_arrives_once(
    server: TelegramServer, face: TelegramFace
) -> None:
    intake = Intake()
    server.down()
    async with receiving(face, intake):
        await server.says("/list")
        server.up()
        await server.until(lambda: intake.rows, "the command")
        await server.says("/status")
        await server.until(lambda: len(intake.rows) == 2, "the next one")
    assert [incoming.text for incoming in intake.heard()] == ["/list", "/status"]


async def test_a_refused_token_is_said_once_and_ends_the_receiver(
    server: TelegramServer, face: TelegramFace, caplog: pytest.LogCaptureFixture
) -> None:
    server.revoke()
    async with receiving(face, Intake()) as task:
        await asyncio.wait_for(asyncio.shield(task), 30)
    (line,) = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    assert "TELEGRAM_BOT_TOKEN" in line and TOKEN not in line


async def test_a_second_poller_is_told_in_one_line(
    server: TelegramServer, face: TelegramFace, caplog: pytest.LogCaptureFixture
) -> None:
    async with receiving(face, Intake()), receiving(face, Intake()):
        await server.until(
            lambda: any("Another process" in r.getMessage() for r in caplog.records), "the line"
        )
    lines = [r.getMessage() for r in caplog.records if "Another process" in r.getMessage()]
    assert lines and all("Stop it, or use another token" in line for line in lines)


async def test_people_whom_telegram_hides_are_nobody(
    server: TelegramServer, face: TelegramFace
) -> None:
    intake = Intake()
    async with receiving(face, intake):
        await server.posts_as_channel("/approve 1")
        await server.until(lambda: intake.rows, "the update")
    (incoming,) = intake.heard()
    assert not incoming.genuine


async def test_edits_files_and_other_bots(server: TelegramServer, face: TelegramFace) -> None:
    intake = Intake()
    async with receiving(face, intake):
        message = await server.says("/add One")
        await server.edits_message(message, "/add Two")
        await server.says("/add@another_bot Three")
        await server.sends_file("plan.md", "# Plan", caption="/add Four")
        await server.until(lambda: len(intake.rows) == 4, "four updates")
    first, edited, filed = intake.heard()
    assert (first.edited, edited.edited, filed.text) == (False, True, "/add Four")
    assert await face.fetch(filed.files[0]) == b"# Plan"


async def test_a_prompt_opens_the_keyboard(server: TelegramServer, face: TelegramFace) -> None:
    await face.post("100", Reply("Why?", extra={"force_reply": "the reason"}))
    assert server.screen()[0].force_reply == "the reason"


async def test_one_bot_two_menus_and_a_name(server: TelegramServer, face: TelegramFace) -> None:
    assert await face.hello() == "bullpen_bot"
    await face.set_commands([("add", "adds a task"), ("Not-Good", "x"), ("list", "")])
    assert [command["command"] for command in server.commands()] == ["add", "list"]


async def test_an_outage_is_broken_and_a_bad_token_is_told() -> None:
    face = TelegramFace(TOKEN, "http://127.0.0.1:1")
    with pytest.raises(Broken) as caught:
        await face.post("100", Reply("x"))
    await face.close()
    assert TOKEN not in str(caught.value)
    with pytest.raises(Unclear, match="BotFather"):
        TelegramFace("no token")


async def test_what_telegram_never_takes_is_refused(
    server: TelegramServer, face: TelegramFace
) -> None:
    bad = Reply("x", buttons=(Button("Go", "go", key="k" * 65),))
    with pytest.raises(Refused):
        await face.post("100", bad)
    assert not server.screen()


@pytest.mark.parametrize(
    "payload", ["", "[]", "{}", "null", '{"message": {}}', '{"callback_query": {"id": "1"}}',
                '{"poll": {}}', '{"message": {"chat": {"id": 1, "type": "private"}}}'],
)  # fmt: skip
def test_what_cannot_be_understood_is_nothing(payload: str) -> None:
    assert understand(payload) is None
