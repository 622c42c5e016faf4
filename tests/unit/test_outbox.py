"""The way out, with a scripted face and the real table: what a person gets to see."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from bot.clock import SystemClock
from bot.outbox import Backoff, Outbox, redacted
from bot.pacing import Pace
from core.commands.reply import Attachment, Button, Reply, Table
from core.errors import Broken, ChatGone, Flooded, Refused
from core.store import deliveries
from core.store.database import Store
from tests.fakes.face import FakeFace

QUICK = Backoff(first=0.01, most=0.02, trouble=0.01, wind_down=0.2)


class House:
    """A store, a face and an outbox; `restart` is a new process on the same table."""

    def __init__(self, folder: Path) -> None:
        self.clock = SystemClock()
        self.store = Store(folder, self.clock.now)
        self.face = FakeFace()
        self.outbox: Outbox
        self.running: asyncio.Task[None] | None = None

    async def start(self, redact: Callable[[str], str] = str, pace: Pace | None = None) -> None:
        paces = {"fake": pace} if pace else {}
        self.outbox = Outbox(self.store, {"fake": self.face}, self.clock, redact=redact,
                             paces=paces, backoff=QUICK)  # fmt: skip
        self.running = asyncio.create_task(self.outbox.run())

    async def stop(self) -> None:
        assert self.running is not None
        self.running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.running
        self.running = None

    async def owe(self, title: str, chat: str = "1", urgency: int = 2, **more: object) -> int:
        silent = bool(more.pop("silent", False))
        reply = Reply(title, **more)  # type: ignore[arg-type]
        return await self.store.write(
            lambda tx: deliveries.owe(tx, platform="fake", chat=chat, reply=reply,
                                      urgency=urgency, silent=silent)
        )  # fmt: skip

    async def until(self, ready: Callable[[], object], what: str) -> None:
        self.outbox.wake()
        try:
            async with asyncio.timeout(30):
                while not ready():
                    await asyncio.sleep(0.005)
        except TimeoutError:
            raise AssertionError(f"waited for {what}; shown: {self.face.cards}") from None

    async def owed(self) -> int:
        return len(await self.store.read("SELECT 1 FROM deliveries WHERE state = 'owed'"))


@pytest.fixture
async def house(data_dir: Path) -> AsyncIterator[House]:
    house = House(data_dir)
    await house.store.open()
    yield house
    if house.running:
        await house.stop()
    await house.store.close()


async def test_what_is_owed_is_said_most_urgent_first(house: House) -> None:
    await house.owe("progress", urgency=3)
    await house.owe("news")
    await house.owe("decide!", urgency=0)
    await house.start()
    await house.outbox.settled()
    assert house.face.shown("1") == ["decide!", "news", "progress"]
    assert await house.owed() == 0


async def test_one_message_a_key_edited_in_place(house: House) -> None:
    await house.start()
    for title in ("working", "still working", "done"):
        await house.owe(title, key="task:1")
        await house.outbox.settled()
    (card,) = house.face.cards
    assert [reply.title for reply in card.versions] == ["working", "still working"]
    assert card.reply.title == "done"


async def test_progress_that_came_too_fast_is_said_once(house: House) -> None:
    for title in ("10 %", "20 %", "30 %"):
        await house.owe(title, urgency=3, key="task:1")
    await house.start()
    await house.outbox.settled()
    assert house.face.shown("1") == ["30 %"] and len(house.face.calls) == 1


async def test_an_edit_that_changes_nothing_is_spared(house: House) -> None:
    await house.start()
    for _ in range(2):
        await house.owe("same", key="k", buttons=(Button("Show", "show 1"),))
        await house.outbox.settled()
    assert house.face.calls == [("post", "1")]
    assert await house.owed() == 0


async def test_a_deleted_message_is_posted_anew(house: House) -> None:
    await house.start()
    await house.owe("one", key="k")
    await house.outbox.settled()
    house.face.forget("1", house.face.cards[0].id)
    await house.owe("two", key="k")
    await house.outbox.settled()
    await house.owe("three", key="k")
    await house.outbox.settled()
    assert house.face.shown("1") == ["three"]


async def test_a_restart_goes_on_where_the_last_one_stopped(house: House) -> None:
    await house.start()
    await house.owe("working", key="task:1")
    await house.outbox.settled()
    await house.stop()
    await house.owe("done", key="task:1")
    await house.start()
    await house.outbox.settled()
    assert house.face.shown("1") == ["done"] and len(house.face.cards) == 1


async def test_a_flooded_chat_waits_without_hammering_and_others_go_on(house: House) -> None:
    house.face.troubles["1"] = [Flooded("Slow down.", 0.3)]
    await house.owe("first")
    await house.start()
    await house.until(lambda: house.face.calls, "the first try")
    await house.owe("second", urgency=0)
    await house.owe("elsewhere", chat="2")
    await house.until(lambda: house.face.shown("2"), "the other chat")
    assert house.face.calls.count(("post", "1")) == 1, "nothing more while it is flooded"
    await house.until(lambda: len(house.face.shown("1")) == 2, "both after the pause")
    assert house.face.shown("1") == ["second", "first"]
    assert house.face.calls.count(("post", "1")) == 3


async def test_an_outage_delays_keeps_the_order_and_loses_nothing(house: House) -> None:
    house.face.troubles["1"] = [Broken("No network.") for _ in range(6)]
    for n in range(5):
        await house.owe(f"news {n}")
    await house.start()
    await house.until(lambda: len(house.face.shown("1")) == 5, "all five")
    assert house.face.shown("1") == [f"news {n}" for n in range(5)]


async def test_a_lost_answer_repeats_a_post_once(house: House) -> None:
    house.face.after["1"] = [Broken("The line was cut.")]
    await house.owe("hello")
    await house.start()
    await house.until(lambda: len(house.face.cards) == 2, "the repeat")
    await house.outbox.settled()
    assert house.face.shown("1") == ["hello", "hello"] and await house.owed() == 0


async def test_a_chat_that_is_gone_blocks_nothing(house: House) -> None:
    house.face.troubles["1"] = [ChatGone("Blocked.")]
    await house.owe("lost")
    await house.owe("lost too")
    await house.owe("kept", chat="2")
    await house.start()
    await house.outbox.settled()
    assert house.face.shown("2") == ["kept"] and house.face.shown("1") == []
    notes = await house.store.read("SELECT note FROM deliveries WHERE state = 'dropped'")
    assert [row["note"] for row in notes] == ["chat gone", "chat gone"]


async def test_what_the_platform_refuses_does_not_hold_up_the_rest(house: House) -> None:
    house.face.troubles["1"] = [Refused("Nonsense.")]
    await house.owe("refused")
    await house.owe("said")
    await house.start()
    await house.outbox.settled()
    assert house.face.shown("1") == ["said"]


async def test_a_bug_in_a_face_is_given_up_and_the_rest_goes_on(house: House) -> None:
    house.face.troubles["1"] = [ZeroDivisionError("oops") for _ in range(5)]
    await house.owe("unlucky")
    await house.owe("said")
    await house.start()
    await house.until(lambda: house.face.shown("1"), "the one behind it")
    assert house.face.shown("1") == ["said"]


async def test_a_slow_chat_holds_up_no_other(house: House) -> None:
    release = house.face.hold("1")
    await house.owe("slow")
    await house.start()
    await asyncio.wait_for(house.face.entered["1"].wait(), 30)
    await house.owe("quick", chat="2")
    await house.until(lambda: house.face.shown("2"), "the other chat")
    assert house.face.shown("1") == []
    release.set()
    await house.outbox.settled()
    assert house.face.shown("1") == ["slow"]


async def test_a_newer_version_that_comes_during_a_send_edits_it(house: House) -> None:
    release = house.face.hold("1")
    await house.owe("old", key="k")
    await house.start()
    await asyncio.wait_for(house.face.entered["1"].wait(), 30)
    await house.owe("new", key="k")
    release.set()
    await house.until(lambda: house.face.shown("1") == ["new"], "the newer version")
    assert len(house.face.cards) == 1


async def test_a_send_under_way_may_end_when_the_outbox_does(house: House) -> None:
    release = house.face.hold("1")
    await house.owe("last words")
    await house.start()
    await asyncio.wait_for(house.face.entered["1"].wait(), 30)
    release.set()
    await house.stop()
    assert house.face.shown("1") == ["last words"] and await house.owed() == 0


async def test_a_paced_chat_holds_up_no_other(house: House) -> None:
    await house.start(pace=Pace(chat=(1, 3600)))
    await house.owe("one")
    await house.until(lambda: house.face.shown("1"), "the first")
    await house.owe("two")
    await house.owe("elsewhere", chat="2")
    await house.until(lambda: house.face.shown("2"), "the other chat")
    assert house.face.shown("1") == ["one"]


async def test_no_secret_leaves_in_any_part_of_a_reply(house: House) -> None:
    await house.start(redact=lambda text: text.replace("hunter2", "•••"))
    await house.owe(
        "hunter2", lines=("a hunter2",), fields=(("hunter2", "hunter2"),), code="hunter2",
        table=Table(("hunter2",), (("hunter2",),)), notes=("hunter2",),
        extra={"force_reply": "hunter2"}, attachments=(Attachment("hunter2", "hunter2"),),
        buttons=(Button("hunter2", "say hunter2", ask="hunter2"),),
    )  # fmt: skip
    await house.outbox.settled()
    (card,) = house.face.cards
    assert "hunter2" not in card.reply.to_json() and card.reply.to_json().count("•••") == 14
    rows = await house.store.read("SELECT command FROM buttons")
    assert rows[0]["command"] == "say hunter2", "what a press says stays whole"


def test_redaction_keeps_keys() -> None:
    reply = Reply("t", key="k", buttons=(Button("L", "c", key="opaque", gate=1, hash="h"),))
    assert redacted(reply, str) == reply


async def test_silence_and_answers_reach_the_face(house: House) -> None:
    await house.owe("quiet", silent=True)
    await house.start()
    await house.outbox.settled()
    assert house.face.cards[0].silent
