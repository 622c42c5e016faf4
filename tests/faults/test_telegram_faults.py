"""Telegram and the bot fail each other: nothing that was said is lost, or done twice."""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bot_bench import Bot, House, merges
from tests.chat_bench import Chat

pytestmark = pytest.mark.faults


@pytest.fixture
def chat() -> Iterator[Chat]:
    with Chat() as chat:
        yield chat


@pytest.fixture
def house(tmp_path: Path, chat: Chat) -> Iterator[House]:
    house = House(tmp_path / "house", settings=chat.settings, beside=chat.picture)
    yield house
    house.clean()


def service(house: House, kill_at: str | None = None) -> Bot:
    """The bot as a service runs it: nobody at its terminal."""
    return house.start("--no-console", kill_at=kill_at, stdin=subprocess.DEVNULL)


def shown(house: House, chat: Chat, text: str, times: int = 1) -> None:
    house.until(lambda: len(chat.shows(text)) == times, f"{times} × {text!r} in the chat")


def at_rest(house: House, chat: Chat) -> None:
    """Everything is confirmed, executed, and told."""
    house.until(lambda: chat.confirmed()
                and not house.values("SELECT id FROM intake WHERE state = 'stored'")
                and not house.values("SELECT seq FROM deliveries WHERE state = 'owed'"),
                "everything is executed and told")


def drafts(house: House, count: int) -> list[str]:
    return [f"/add --draft draft {number}" for number in range(1, count + 1)]


def titles(house: House) -> list[str]:
    return [str(title) for title in house.values("SELECT title FROM tasks ORDER BY id")]


# -- A command, and the bot is killed ------------------------------------------------------


@pytest.mark.parametrize("point", ["before-intake", "after-intake:2"])
def test_a_command_said_just_before_the_kill_is_executed_once(
    house: House, chat: Chat, point: str
) -> None:
    bot = service(house, kill_at=point)
    chat.says("/add --draft draft 1")
    if point.endswith(":2"):
        shown(house, chat, "TASK-001")
    chat.says("/add --draft draft 2")
    assert bot.over() == -9
    service(house)
    house.until(lambda: len(titles(house)) == 2, "both are carried out")
    at_rest(house, chat)
    assert titles(house) == ["draft 1", "draft 2"]
    assert len(house.values("SELECT id FROM intake")) == 2
    assert len(house.answers()) == 2
    assert [len(chat.shows(task)) for task in ("TASK-001", "TASK-002")] == [1, 1], chat.picture()


def test_an_answer_that_was_sent_when_the_bot_died_is_repeated_at_most_once(
    house: House, chat: Chat
) -> None:
    bot = service(house, kill_at="after-post")
    chat.says("/add --draft draft 1")
    assert bot.over() == -9
    assert len(chat.shows("TASK-001")) == 1
    service(house)
    at_rest(house, chat)
    assert titles(house) == ["draft 1"]
    assert len(chat.shows("TASK-001")) <= 2


# -- An approval, and the bot is killed ----------------------------------------------------


@pytest.mark.parametrize("point", ["before-intake:2", "after-approval"])
def test_an_approval_pressed_just_before_the_kill_counts_once(
    house: House, chat: Chat, point: str
) -> None:
    bot = service(house, kill_at=point)
    chat.says(house.command("greet"))
    shown(house, chat, "G-1 · TASK-001 is ready for you")
    at_rest(house, chat)
    chat.press("Approve & merge")
    assert bot.over() == -9
    service(house)
    shown(house, chat, "TASK-001 done · merged")
    at_rest(house, chat)
    assert merges(house.repo) == ["Merge TASK-001: greet"]
    assert house.values("SELECT state FROM gates") == ["approved"]
    assert Counter(house.values("SELECT type FROM events"))["gate.approved"] == 1
    (card,) = [message for message in chat.screen() if "G-1" in message.text]
    assert "approved by User 100" in card.text
    assert not card.labels
    assert len(chat.shows("✅ TASK-001 done · merged")) == 1
    assert len(house.answers()) == 1, "the press is answered by its card"


# -- Telegram is away ----------------------------------------------------------------------


def test_what_is_owed_during_an_outage_arrives_after_it_and_once(
    house: House, chat: Chat
) -> None:
    go_on = house.base / "go-on"
    service(house)
    chat.says(house.command("greet", until=go_on))
    shown(house, chat, "shell is on it")
    at_rest(house, chat)
    chat.off()
    go_on.touch()
    house.until(lambda: house.values("SELECT id FROM gates WHERE state = 'open'"),
                "work goes on without Telegram")
    house.until(lambda: house.values("SELECT seq FROM deliveries WHERE state = 'owed' "
                                     "AND tries > 0"), "a delivery that failed")
    chat.on()
    shown(house, chat, "G-1 · TASK-001 is ready for you")
    at_rest(house, chat)
    assert len(chat.shows("G-1 · TASK-001 is ready for you")) == 1
    assert len(chat.shows("TASK-001 · ready for you")) == 1


def test_a_bot_that_starts_during_an_outage_hears_what_was_said_before(
    house: House, chat: Chat
) -> None:
    chat.says(*drafts(house, 2))
    chat.off()
    bot = service(house)
    house.until(lambda: "Trying again" in bot.text(), "it has tried")
    chat.on()
    house.until(lambda: len(titles(house)) == 2, "both are carried out")
    at_rest(house, chat)
    assert titles(house) == ["draft 1", "draft 2"]
    assert [len(chat.shows(task)) for task in ("TASK-001", "TASK-002")] == [1, 1], chat.picture()


def test_commands_in_a_flood_are_answered_late_and_once(house: House, chat: Chat) -> None:
    service(house)
    chat.says("/add --draft draft 1")
    shown(house, chat, "TASK-001")
    at_rest(house, chat)
    chat.flood(4)
    chat.says("/add --draft draft 2", "/add --draft draft 3")
    house.until(lambda: len(titles(house)) == 3, "commands are carried out in a flood")
    at_rest(house, chat)
    assert [len(chat.shows(f"TASK-00{number}")) for number in (1, 2, 3)] == [1, 1, 1]
    assert chat.hammered <= 2, "it wrote on into the flood"


def test_a_bot_killed_in_a_flood_waits_on_and_answers_once(house: House, chat: Chat) -> None:
    bot = service(house)
    chat.says("/add --draft draft 1")
    shown(house, chat, "TASK-001")
    at_rest(house, chat)
    chat.flood(5)
    chat.says("/add --draft draft 2")
    house.until(lambda: chat.hammered, "it has met the flood")
    house.until(lambda: house.values("SELECT not_before FROM deliveries WHERE state = 'owed' "
                                     "AND not_before IS NOT NULL"), "it waits")
    bot.kill()
    service(house)
    at_rest(house, chat)
    assert titles(house) == ["draft 1", "draft 2"]
    assert [len(chat.shows(task)) for task in ("TASK-001", "TASK-002")] == [1, 1]
    assert chat.hammered <= 2, "the flood was forgotten with the process"
