"""The same road by Telegram: who may, what a press means, what a chat shows."""

from __future__ import annotations

import contextlib
import json
import re
import sqlite3
from collections.abc import AsyncIterator

import pytest

from tests.fakes.telegram_chats import Shown
from tests.fakes.telegram_server import GROUP, TOKEN, TelegramServer
from tests.flows.bench import Bench, Live

ANN, VIC, BOB, EVE = 100, 200, 300, 666
"""An admin, a viewer, an approver, and a stranger; a private chat has its person's number."""
GREETING = '/add "Add a greeting" --run "sh -c \'echo hello > greeting.txt\'"'


@pytest.fixture
async def telegram() -> AsyncIterator[TelegramServer]:
    async with TelegramServer() as server:
        yield server


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


async def test_a_task_added_approved_and_merged_by_presses(
    bench: Bench, telegram: TelegramServer
) -> None:
    go = bench.folder / "go"
    work = f"while [ ! -e {go} ]; do sleep 0.05; done; echo hello > greeting.txt"
    async with bot(bench, telegram):
        await telegram.says(f'/add "Add a greeting" --run "sh -c \'{work}\'"')
        await shown(telegram, "Ready. shell takes it")
        live = await shown(telegram, "TASK-001 · shell is on it")
        go.touch()
        card = await button(telegram, "Approve & merge")
        assert "📝 greeting.txt +1 −0" in card.text
        assert card.labels == ["Approve & merge", "Reject…", "Show"]
        await telegram.press("Show")
        diff = await shown(telegram, "+hello")
        assert "<pre>" in diff.html
        query = await telegram.press("Approve & merge", message=card.id)
        assert "G-1 approved" in await noted(telegram, query)
        await telegram.until(lambda: "approved by User 100" in card.text, "who approved", within=60)
        assert not card.labels
        await telegram.until(lambda: "✅ TASK-001 · done · merged" in live.text,
                             "the live message's end", within=60)
        await shown(telegram, "✅ TASK-001 done · merged")
    lives = [m for m in telegram.from_bot() if any("is on it" in t for t in (m.text, *m.versions))]
    assert len(lives) == 1, "one live message, edited in place"
    assert lives[0].silent
    assert bench.file("greeting.txt") == "hello\n"


async def test_reject_asks_why_and_the_answer_is_the_reason(
    bench: Bench, telegram: TelegramServer
) -> None:
    async with bot(bench, telegram):
        await telegram.says(GREETING)
        await button(telegram, "Reject…")
        await telegram.press("Reject…")
        prompt = await shown(telegram, "What is to be changed?")
        assert prompt.force_reply
        await telegram.says("say it louder", reply_to=prompt.id)
        await shown(telegram, "G-2 · TASK-001 is ready for you")
    assert "say it louder" in bench.prompts()[1]


async def test_an_answer_to_a_review_card_rejects_with_that_text(
    bench: Bench, telegram: TelegramServer
) -> None:
    async with bot(bench, telegram):
        await telegram.says(GREETING)
        card = await button(telegram, "Approve & merge")
        await telegram.says("name the constant, then fine", reply_to=card.id)
        await shown(telegram, "G-2 · TASK-001 is ready for you")
    assert "name the constant, then fine" in bench.prompts()[1]


async def test_no_plain_message_ever_approves(bench: Bench, telegram: TelegramServer) -> None:
    async with bot(bench, telegram):
        await telegram.says(GREETING)
        card = await button(telegram, "Approve & merge")
        for words in ("approve", "yes", "ok", "approve 1", "👍"):
            answer = await _answered(telegram, words, ANN)
            assert "Commands begin with a slash" in answer
        assert "Approve & merge" in card.labels
    assert bench.states() == {1: "review"}


async def test_the_second_press_is_told_who_was_first(
    bench: Bench, telegram: TelegramServer
) -> None:
    async with bot(bench, telegram) as live:
        await live.say(GREETING, "G-1 · TASK-001 is ready for you")
        card = await button(telegram, "Approve & merge", GROUP)
        first = await telegram.press("Approve & merge", chat=GROUP, user=BOB, message=card.id)
        # The same press again, as a slow phone sends it: its button is drawn no more.
        await noted(telegram, first)
        second = await _press_as_drawn(telegram, card, bench, user=ANN)
        assert "approved by User 300 already" in await noted(telegram, second)
        await live.told("done · merged")
    votes = bench.rows("SELECT actor FROM gate_votes")
    assert [row["actor"] for row in votes] == ["telegram:300"]


async def test_the_role_is_looked_up_at_the_press(bench: Bench, telegram: TelegramServer) -> None:
    guest = 400
    async with bot(bench, telegram) as live:
        _let_in(bench, guest, 1)
        await live.say(GREETING, "G-1 · TASK-001 is ready for you")
        card = await button(telegram, "Approve & merge", GROUP)
        for viewer in (VIC, guest):
            query = await telegram.press("Approve & merge", chat=GROUP, user=viewer)
            assert "approver; yours is viewer" in await noted(telegram, query)
        assert bench.value("SELECT state FROM gates") == "open"
        _let_in(bench, guest, 3)
        query = await telegram.press("Approve & merge", chat=GROUP, user=guest, message=card.id)
        assert "G-1 approved" in await noted(telegram, query)
        await live.told("done · merged")


async def test_a_viewer_looks_and_does_no_more(bench: Bench, telegram: TelegramServer) -> None:
    async with bot(bench, telegram):
        await telegram.says("/list", chat=VIC, user=VIC)
        await shown(telegram, "No task", VIC)
        before = bench.counts()
        for line in (GREETING, "/approve 1", "/killall yes", "/pause", "/cancel 1"):
            assert "yours is viewer" in await _answered(telegram, line, VIC)
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
            query = await _press(telegram, place, str(data), user)
            assert words in await noted(telegram, query)
        query = await _press(telegram, card, "made-up-key", ANN)
        assert "not known here" in await noted(telegram, query)
        assert bench.value("SELECT state FROM gates") == "open"


async def test_a_long_diff_comes_as_a_file(bench: Bench, telegram: TelegramServer) -> None:
    async with bot(bench, telegram):
        await telegram.says('/add "Much" --run "sh -c \'seq 100000 102000 > numbers.txt\'"')
        await button(telegram, "Show")
        await telegram.says("/show 1")
        file = await telegram.until(
            lambda: next((m for m in telegram.from_bot() if m.document), None), "a file", within=60)
        assert file.document == "TASK-001.diff"
        assert "+100000\n" in file.content and "+102000" in file.content
        assert all(len(m.text) <= 4096 for m in telegram.from_bot())


async def test_a_hostile_title_harms_nobody(bench: Bench, telegram: TelegramServer) -> None:
    async with bot(bench, telegram) as live:
        await telegram.says('/add "<b>big</b> & @everyone \x1b[31mred\u202e" --run "echo <i>"')
        card = await button(telegram, "Approve")
        assert "<b>big</b> & @\u2060everyone red" in card.text
        assert "&lt;b&gt;big&lt;/b&gt; &amp;" in card.html
        await telegram.press("Approve")
        await shown(telegram, "✅ TASK-001 done")
        await live.until(lambda: "done" in live.screen, "the console's word")
        assert "\x1b[31m" not in live.screen and "\u202e" not in live.screen
        every = "".join(m.text + m.html for m in telegram.from_bot())
        assert "\x1b" not in every and "\u202e" not in every
    page = (bench.data / "site" / "index.html").read_text()
    assert "<b>big</b>" not in page and "&lt;b&gt;big" in page


async def test_an_edited_message_is_not_carried_out_again(
    bench: Bench, telegram: TelegramServer
) -> None:
    async with bot(bench, telegram):
        mine = await telegram.says('/add "Once" --run "true" --draft')
        await shown(telegram, "In the inbox")
        await telegram.edits_message(mine, '/add "Twice" --run "true" --draft')
        await telegram.says("/list")
        await shown(telegram, "1 task")
    assert bench.states() == {1: "inbox"}


async def test_a_file_becomes_an_artifact(bench: Bench, telegram: TelegramServer) -> None:
    async with bot(bench, telegram):
        plan = "# The plan\n" + "one more step\n" * 8000
        await telegram.sends_file("plan.md", plan, '/add "Planned" --run "true" --draft')
        await shown(telegram, "In the inbox")
        await telegram.says("/show 1 plan.md")
        await shown(telegram, "# The plan")
        await telegram.sends_file("../x.md", "no", '/add "Bad" --run "true" --draft')
        await shown(telegram, "can't be an artifact's name")
    assert bench.states() == {1: "inbox"}
    kept = bench.task_folder("active") / "artifacts" / "plan.md"
    assert kept.read_text() == plan


async def _answered(server: TelegramServer, line: str, person: int) -> str:
    """Say it in the person's own chat; the bot's next message there."""
    before = len(server.from_bot(person))
    await server.says(line, chat=person, user=person)
    await server.until(lambda: len(server.from_bot(person)) > before, "an answer", within=60)
    return server.from_bot(person)[before].text


async def _press(server: TelegramServer, message: Shown, data: str, user: int) -> str:
    query: str = server.api.new_query()
    await server.api.queue({"callback_query": {
        "id": query, "from": server.api.person(user), "chat_instance": str(message.chat),
        "message": server.api.message(message), "data": data}})
    return query


async def _press_as_drawn(
    server: TelegramServer, card: Shown, bench: Bench, user: int
) -> str:
    """A press of the approving button as it stood on that card at first."""
    key = bench.value("SELECT key FROM buttons WHERE command = 'approve G-1' AND message = ?",
                      str(card.id))
    return await _press(server, card, key, user)


def _let_in(bench: Bench, user: int, role: int) -> None:
    with contextlib.closing(sqlite3.connect(bench.data / "bullpen.db", timeout=30)) as db, db:
        db.execute("INSERT OR REPLACE INTO people VALUES ('telegram', ?, 'Guest', ?, 'test', 1)",
                   (str(user), role))
