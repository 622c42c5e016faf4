"""Of what an agent says in one go only so much is taken, and no secret is divided by it."""

from __future__ import annotations

import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.longlines import COLUMN, READ, SHOWN, first_part, fitting, read
from core.redaction import Redactor

KEY = "a-key-that-nobody-may-see-12345"


@given(st.text(max_size=200))
def test_what_is_short_is_left_as_it_is(text: str) -> None:
    assert first_part(text) == text and fitting(text) == text


@pytest.mark.parametrize("gap", [" ", "\n"])
@pytest.mark.parametrize("before", range(READ - 40, READ + 3, 3))
def test_a_secret_at_the_cut_is_left_out_or_whole(before: int, gap: str) -> None:
    text = ("word" + gap) * (before // 5 + 1)
    part = first_part(f"{text[: before - 1]}{gap}{KEY}{gap}and more" + gap + "x" * READ)
    shown = Redactor([KEY]).text(part)
    assert len(part) <= READ + 40 and part.endswith("… [the rest is left out]")
    assert "a-key" not in shown


def test_a_secret_in_a_line_without_an_end_is_far_from_what_is_shown() -> None:
    part = first_part("x" * (READ - 10) + KEY + "x" * READ)
    shown = fitting(Redactor([KEY]).text(part))
    assert len(shown) <= SHOWN + 40 and shown.startswith("xxx") and "a-key" not in shown


def test_each_line_is_shown_as_far_as_it_is_read() -> None:
    text = "\n".join(["short", "y" * (SHOWN + 1000), "last"])
    first, long, last = fitting(text).split("\n")
    assert (first, last) == ("short", "last")
    assert long == "y" * SHOWN + "… [the rest is left out]"


@pytest.mark.parametrize("text", [
    "", "a\0b\x1b[31mred", "ü" * READ, "a\0" + "word " * READ, "€" * READ * 3, "𝄞 " * READ,
    "x" * (4 * READ + 3), "x" * (4 * READ + 4), "x" * (4 * READ + 5)])
def test_a_row_is_read_as_its_text_would_be(text: str) -> None:
    db = sqlite3.connect(":memory:")
    (found,) = db.execute(f"SELECT {COLUMN} FROM (SELECT ? AS text)", (text,)).fetchone()
    db.close()
    assert read(found) == first_part(text)
