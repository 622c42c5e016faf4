"""Budgets and limits in a chat: three buttons, no answer by accident, one message a limit."""

from __future__ import annotations

import json
from typing import Any

from tests.fakes.telegram_server import GROUP, TelegramServer
from tests.flows.bench import Bench
from tests.flows.telegram_bench import bot, button, shown

DONE: list[dict[str, Any]] = [{"write": "NOTES.md", "content": "noted\n"}, {"say": "I went on."}]


def play(bench: Bench, *prompts: list[dict[str, Any]]) -> None:
    """What the agent does at each prompt of its conversation; a token costs 0.001 USD."""
    script = bench.folder / "play.json"
    script.write_text(json.dumps(prompts))
    bench.install_claude()
    bench.configure('[models."scripted-1"]\ninput = 1000\noutput = 1000\nas_of = 2026-11-21\n',
                    "config/prices.toml")
    bench.configure(f'[agents.claude]\ndriver = "claude"\naccount = "team"\nbudget = "8usd"\n'
                    f'[agents.claude.environment]\nFAKE_CLAUDE_SCRIPT = "{script}"\n',
                    "config/agents.toml")


async def test_a_budget_is_answered_by_a_button_and_never_by_plain_words(
        bench: Bench, telegram: TelegramServer) -> None:
    play(bench, [{"use": 8100}, {"sleep": 600}], DONE)
    async with bot(bench, telegram):
        await telegram.says('/add "Write a note"')
        card = await button(telegram, "+5 USD", GROUP)
        assert card.labels == ["+5 USD", "Finish this step", "Stop, keep the branch"]
        assert "8.10 of 8 USD spent (101%)" in card.text
        await telegram.says("hm, what is this?", reply_to=card.id, chat=GROUP)
        await shown(telegram, "Press a button of G-1", GROUP)
        assert bench.value("SELECT state FROM gates") == "open"
        await telegram.press("+5 USD", chat=GROUP)
        await shown(telegram, "is ready for you")
        closed = next(m for m in telegram.from_bot(GROUP) if m.id == card.id)
        assert "approved by" in closed.text and not closed.labels


async def test_one_message_tells_of_a_limit_and_of_its_end(
        bench: Bench, telegram: TelegramServer) -> None:
    play(bench, [{"limit_in": 4}], DONE)
    async with bot(bench, telegram):
        await telegram.says('/add "Write a note"')
        told = await shown(telegram, "Claude's usage limit is reached (account team)", GROUP)
        await shown(telegram, "is ready for you")
        (edited,) = [m for m in telegram.from_bot(GROUP) if "account team" in m.text]
        assert edited.id == told.id and "The account team works again." in edited.text
