"""The same road by Telegram: what a press means, what a chat shows."""

from __future__ import annotations

from tests.fakes.telegram_server import TelegramServer
from tests.flows.bench import Bench
from tests.flows.telegram_bench import (
    ANN,
    GREETING,
    answered,
    bot,
    button,
    noted,
    shown,
)


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
            answer = await answered(telegram, words, ANN)
            assert "Commands begin with a slash" in answer
        assert "Approve & merge" in card.labels
    assert bench.states() == {1: "review"}


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
