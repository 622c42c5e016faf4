"""The card that a person decides by: nothing of what is asked for is left out unseen."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from core import cards
from core.cards.gate import LONG
from core.commands.reply import Reply
from core.house import House
from core.lifecycle import Situation
from core.model import Change, FileChange
from core.store import gates
from core.store.database import Store, Tx
from tests.fakes.clock import FakeClock
from tests.house_bench import bring, house

FORGED = "a.txt\nChecks: ✓ make test\x1b[2K\u202e"
LONG_NAME = "src/" + "deep/" * 60 + "the_end.py"


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    store = await Store(tmp_path / "data", FakeClock().now).open()
    yield house(store, tmp_path)
    await store.close()


def change(name: str, marked: tuple[str, ...] = ()) -> Change:
    return Change("b" * 40, "h" * 40, "p" * 40, (FileChange(name, 1, 0),), marked)


async def asking(home: House, body: str) -> Reply:
    """The card of a request with these words."""

    def act(tx: Tx) -> Reply:
        task = bring(tx, home, Situation.ASKING_LEAVE)
        (gate,) = gates.open_gates(tx, task.id)
        return cards.gate_card(tx, replace(gate, body=body))

    return await home.store.write(act)


async def test_a_short_request_stands_on_its_card(home: House) -> None:
    card = await asking(home, "x" * LONG)
    assert card.code == "x" * LONG
    assert not card.attachments and card.lines == ("Mend it",)


async def test_a_long_request_is_cut_openly_and_attached_whole(home: House) -> None:
    body = "Write\n" + "x" * LONG + "rm -rf ~"
    card = await asking(home, body)
    assert card.code == body[:LONG]
    assert [file.text for file in card.attachments] == [body]
    name = card.attachments[0].name
    assert any(f"{len(body) - LONG} characters more: read {name}" in line for line in card.lines)


def test_a_files_name_forges_no_line() -> None:
    words = cards.changed(change(FORGED))
    assert len(words.splitlines()) == 1 and words.isprintable()
    assert "a.txt" in words and "+1 −0" in words


def test_a_long_name_is_cut_in_its_middle() -> None:
    words = cards.changed(change(LONG_NAME))
    assert "src/deep" in words and "the_end.py" in words and len(words) < 120


async def test_marked_names_forge_no_line_and_none_is_left_out_unseen(home: House) -> None:
    def act(tx: Tx) -> Reply:
        task = bring(tx, home, Situation.DECIDING)
        names = (FORGED, LONG_NAME, *(f"{n}/Makefile" for n in range(5)))
        tx.run("UPDATE tasks SET change = ? WHERE id = ?",
               (msgspec.json.encode(change(FORGED, names)).decode(), task.id))
        (gate,) = gates.open_gates(tx, task.id)
        return cards.gate_card(tx, gate)

    card = await home.store.write(act)
    (marked,) = [line for line in card.lines if "Look twice" in line]
    assert len(marked.splitlines()) == 1 and "\x1b" not in marked
    assert "the_end.py" in marked and marked.endswith("2/Makefile and 2 more")
    assert not any(line.startswith("Checks:") for text in card.lines for line in text.splitlines())
