"""A moment in which the database can't be written: what was said meanwhile is carried out."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.bot_bench import Bot, House
from tests.chat_bench import Chat

pytestmark = pytest.mark.faults

SAID = "waits until it can be stored"


@contextmanager
def held(house: House) -> Iterator[None]:
    """Another process writes at the database, and doesn't come to an end."""
    with closing(sqlite3.connect(house.data / "bullpen.db", isolation_level=None)) as db:
        db.execute("PRAGMA busy_timeout = 30000")
        db.execute("BEGIN IMMEDIATE")
        yield
        db.execute("ROLLBACK")


def titles(house: House) -> list[str]:
    return [str(title) for title in house.values("SELECT title FROM tasks ORDER BY id")]


def up(house: House) -> Bot:
    bot = house.start()
    bot.says("/add --draft draft 1")
    house.until(lambda: titles(house) == ["draft 1"], "it is up")
    return bot


def test_what_is_typed_meanwhile_is_carried_out_in_order(house: House) -> None:
    bot = up(house)
    with held(house):
        bot.says("/add --draft draft 2", "/add --draft draft 3")
        house.until(lambda: SAID in bot.text(), "it is told at the terminal")
        bot.says("/add --draft draft 4")
    wanted = [f"draft {number}" for number in (1, 2, 3, 4)]
    house.until(lambda: len(titles(house)) == 4, "all are carried out")
    house.until(lambda: "TASK-004" in bot.text(), "the last is answered")
    assert titles(house) == wanted
    assert bot.text().count(SAID) == 1, bot.text()
    assert "can't be written" in bot.text()


def test_what_is_said_by_telegram_meanwhile_is_carried_out_once(tmp_path: Path) -> None:
    with Chat() as chat:
        house = House(tmp_path / "house", settings=chat.settings, beside=chat.picture)
        try:
            bot = house.start("--no-console")
            chat.says("/add --draft draft 1")
            house.until(lambda: titles(house) == ["draft 1"], "it is up")
            with held(house):
                chat.says("/add --draft draft 2")
                house.until(lambda: "Trying again until it works" in bot.text(), "it has tried")
                assert not chat.confirmed(), "confirmed before it was stored"
            house.until(lambda: chat.confirmed() and len(titles(house)) == 2, "carried out")
            assert titles(house) == ["draft 1", "draft 2"]
        finally:
            house.clean()
