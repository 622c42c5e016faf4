"""By Telegram: who may do what, and that it is asked at the press."""

from __future__ import annotations

import re

from tests.fakes.telegram_server import GROUP, TelegramServer
from tests.flows.bench import Bench
from tests.flows.telegram_bench import (
    ANN,
    BOB,
    EVE,
    GREETING,
    VIC,
    answered,
    bot,
    button,
    let_in,
    noted,
    press,
    press_as_drawn,
    shown,
)


async def test_the_first_person_comes_in_by_the_code(
    bench: Bench, telegram: TelegramServer
) -> None:
    async with bot(bench, telegram, users=False) as live:
        found = await live.until(lambda: re.search(r"/start (\S+)", live.screen), "a code")
        await telegram.says("/status")
        await shown(telegram, "Your id is 100")
        await telegram.says("/start AAAA-AAAA")
        await shown(telegram, "That is not the code")
        await telegram.says(f"/start {found[1]}")
        await shown(telegram, "Your role: admin")
        await telegram.says("/status")
        await shown(telegram, "0 working")
        await telegram.says(f"/start {found[1]}", chat=EVE, user=EVE)
        await shown(telegram, "No pairing code is open", EVE)
    people = bench.rows("SELECT user_id, role FROM people")
    assert [tuple(row) for row in people] == [(str(ANN), 4)]


async def test_the_second_press_is_told_who_was_first(
    bench: Bench, telegram: TelegramServer
) -> None:
    async with bot(bench, telegram) as live:
        await live.say(GREETING, "G-1 · TASK-001 is ready for you")
        card = await button(telegram, "Approve & merge", GROUP)
        first = await telegram.press("Approve & merge", chat=GROUP, user=BOB, message=card.id)
        # The same press again, as a slow phone sends it: its button is drawn no more.
        await noted(telegram, first)
        second = await press_as_drawn(telegram, card, bench, user=ANN)
        assert "approved by User 300 already" in await noted(telegram, second)
        await live.told("done · merged")
    votes = bench.rows("SELECT actor FROM gate_votes")
    assert [row["actor"] for row in votes] == ["telegram:300"]


async def test_the_role_is_looked_up_at_the_press(bench: Bench, telegram: TelegramServer) -> None:
    guest = 400
    async with bot(bench, telegram) as live:
        let_in(bench, guest, 1)
        await live.say(GREETING, "G-1 · TASK-001 is ready for you")
        card = await button(telegram, "Approve & merge", GROUP)
        for viewer in (VIC, guest):
            query = await telegram.press("Approve & merge", chat=GROUP, user=viewer)
            assert "approver; yours is viewer" in await noted(telegram, query)
        assert bench.value("SELECT state FROM gates") == "open"
        let_in(bench, guest, 3)
        query = await telegram.press("Approve & merge", chat=GROUP, user=guest, message=card.id)
        assert "G-1 approved" in await noted(telegram, query)
        await live.told("done · merged")


async def test_a_viewer_looks_and_does_no_more(bench: Bench, telegram: TelegramServer) -> None:
    async with bot(bench, telegram):
        await telegram.says("/list", chat=VIC, user=VIC)
        await shown(telegram, "No task", VIC)
        before = bench.counts()
        for line in (GREETING, "/approve 1", "/killall yes", "/pause", "/cancel 1"):
            assert "yours is viewer" in await answered(telegram, line, VIC)
        assert bench.counts() == before


async def test_a_stranger_gets_their_id_and_nothing_else(
    bench: Bench, telegram: TelegramServer
) -> None:
    async with bot(bench, telegram) as live:
        await live.say(GREETING, "G-1 · TASK-001 is ready for you")
        card = await button(telegram, "Approve & merge", GROUP)
        group, before = len(telegram.screen(GROUP)), bench.counts()
        own = await telegram.says("/add Evil --run true", chat=EVE, user=EVE)
        await telegram.says("/approve 1", chat=EVE, user=EVE)
        await telegram.edits_message(own, "/killall yes", chat=EVE)
        await telegram.says("/approve 1", chat=GROUP, user=EVE)
        await telegram.says("reject it", chat=GROUP, user=EVE, reply_to=card.id)
        await telegram.posts_as_channel("/approve 1")
        await telegram.sends_file("plan.md", "x", "/add Evil --run true", chat=EVE, user=EVE)
        pressed = await telegram.press("Approve & merge", chat=GROUP, user=EVE, message=card.id)
        assert "not on the list" in await noted(telegram, pressed)
        await live.until(lambda: not bench.rows("SELECT 1 FROM intake WHERE state = 'stored'"),
                         "the end of the intake")
        assert bench.counts() == before
        assert bench.value("SELECT state FROM gates") == "open"
        answers = [m.text for m in telegram.from_bot(EVE)]
        assert answers and all(text.startswith("You are not on the list. Your id is 666")
                               for text in answers)
        assert len(telegram.screen(GROUP)) == group + 3, "nobody answered in the group"


async def test_a_button_counts_only_where_it_stands(
    bench: Bench, telegram: TelegramServer
) -> None:
    async with bot(bench, telegram):
        await telegram.says(GREETING)
        card = await button(telegram, "Approve & merge")
        other = await shown(telegram, "Ready. shell takes it")
        data = card.data_of("Approve & merge")
        elsewhere = telegram.chats.add(BOB, telegram.api.bot_id, "forwarded")
        for place, user, words in ((elsewhere, BOB, "not known here"),
                                   (other, ANN, "another message")):
            query = await press(telegram, place, str(data), user)
            assert words in await noted(telegram, query)
        query = await press(telegram, card, "made-up-key", ANN)
        assert "not known here" in await noted(telegram, query)
        assert bench.value("SELECT state FROM gates") == "open"
