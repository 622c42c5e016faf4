"""What every Face does, run over the console, Telegram against its server, and the fake."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Protocol

import pytest

from bot.console import ConsoleFace
from bot.telegram.face import TelegramFace
from core.commands.reply import Attachment, Button, Reply, Table
from core.errors import ChatGone, Flooded, MessageGone
from core.ports import Face
from tests.fakes.face import FakeFace
from tests.fakes.telegram_server import TOKEN, TelegramServer


class Screen(Protocol):
    """What a person at the other end sees, and how the platform can be harmed."""

    face: Face

    def read(self) -> str: ...
    def harm(self, how: str) -> None: ...


@dataclass
class Telegram:
    face: TelegramFace
    server: TelegramServer

    def read(self) -> str:
        shown = self.server.screen()
        return "\n".join(f"{m.text} {m.labels} {m.document} {m.content}" for m in shown)

    def harm(self, how: str) -> None:
        {"flood": lambda: self.server.flood(30), "gone": self.server.block}[how]()


@dataclass
class Console:
    face: ConsoleFace
    out: io.StringIO

    def read(self) -> str:
        return self.out.getvalue()

    def harm(self, how: str) -> None:
        assert how == "gone", "a terminal floods nobody"
        self.out.close()


@dataclass
class Fake:
    face: FakeFace

    def read(self) -> str:
        return "\n".join(str(card.reply) for card in self.face.cards)

    def harm(self, how: str) -> None:
        trouble = Flooded("Wait.", 30) if how == "flood" else ChatGone("Gone.")
        self.face.troubles["100"] = [trouble]


@pytest.fixture(params=["console", "telegram", "fake"])
async def screen(request: pytest.FixtureRequest) -> AsyncIterator[Screen]:
    async with AsyncExitStack() as stack:
        if request.param == "telegram":
            server = await stack.enter_async_context(TelegramServer())
            face = TelegramFace(TOKEN, server.url)
            stack.push_async_callback(face.close)
            yield Telegram(face, server)
        elif request.param == "console":
            out = io.StringIO()
            yield Console(ConsoleFace(out), out)
        else:
            yield Fake(FakeFace())


async def test_everything_that_a_reply_says_is_shown(screen: Screen) -> None:
    reply = Reply(
        "TASK-001 · Title",
        ("A <line> & more",),
        (("Field", "value"),),
        Table(("id", "what"), (("7", "cell"),)),
        code="x < y",
        attachments=(Attachment("notes.txt", "in the file"),),
        buttons=(Button("Approve", "approve G-1", key="key-1"),),
    )
    message = await screen.face.post("100", reply)
    shown = screen.read()
    assert message
    for part in ("TASK-001 · Title", "A <line> & more", "Field", "value", "cell", "x < y"):
        assert part in shown
    assert "in the file" in shown and ("Approve" in shown or "/approve G-1" in shown)


async def test_an_edit_shows_the_new_state(screen: Screen) -> None:
    message = await screen.face.post("100", Reply("working", key="task:1"))
    await screen.face.edit("100", message, Reply("finished", key="task:1"))
    assert "finished" in screen.read()


async def test_an_unchanged_edit_is_no_error_and_says_nothing(screen: Screen) -> None:
    reply = Reply("same", ("line",), buttons=(Button("Show", "show 1", key="k"),))
    message = await screen.face.post("100", reply)
    before = screen.read()
    await screen.face.edit("100", message, reply)
    assert screen.read() == before


async def test_what_is_not_there_cannot_be_edited(screen: Screen) -> None:
    with pytest.raises(MessageGone):
        await screen.face.edit("100", "999999", Reply("x"))


async def test_two_messages_are_two(screen: Screen) -> None:
    first = await screen.face.post("100", Reply("one"))
    second = await screen.face.post("100", Reply("two"), silent=True, reply_to=first)
    assert first != second
    await screen.face.edit("100", first, Reply("one, changed"))
    assert "one, changed" in screen.read() and "two" in screen.read()


async def test_an_answer_to_a_message_that_is_gone_is_still_said(screen: Screen) -> None:
    await screen.face.post("100", Reply("alone"), reply_to="424242")
    assert "alone" in screen.read()


async def test_huge_and_hostile_text_gets_through(screen: Screen) -> None:
    hostile = "</pre><b>\x1b[2J&nosuch; @all " + "🎉" * 3000
    await screen.face.post("100", Reply(hostile, (hostile,), code=hostile * 3))
    assert "\x1b[2J" not in screen.read() or isinstance(screen.face, FakeFace)


@pytest.mark.parametrize("screen", ["telegram", "fake"], indirect=True)
async def test_a_flood_says_how_long(screen: Screen) -> None:
    screen.harm("flood")
    with pytest.raises(Flooded) as caught:
        await screen.face.post("100", Reply("x"))
    assert 1 <= caught.value.retry_after <= 30


async def test_a_chat_that_is_gone_says_so(screen: Screen) -> None:
    screen.harm("gone")
    with pytest.raises(ChatGone):
        await screen.face.post("100", Reply("x"))
