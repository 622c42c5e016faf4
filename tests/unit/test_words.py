"""Text on its way to a screen."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.words import SHORTENED, clean, cut, one_line, units

ANY = st.text(st.characters(codec=None))


@pytest.mark.parametrize(
    ("dirty", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;https://evil\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("a\x00b\x08c\x9bd", "abcd"),
        ("one\r\ntwo\rthree", "one\ntwothree"),
        ("safe\u202etxt.exe", "safetxt.exe"),
        ("half \ud83d only", "half \ufffd only"),
        ("tab\tand 🎉 stay", "tab\tand 🎉 stay"),
    ],
)
def test_nothing_steers_the_screen(dirty: str, shown: str) -> None:
    assert clean(dirty) == shown


@given(ANY)
def test_clean_text_is_clean_and_encodable(text: str) -> None:
    got = clean(text)
    assert not any(ord(char) < 32 and char not in "\t\n" for char in got)
    got.encode()
    assert "\n" not in one_line(text)


@given(ANY.map(clean), st.integers(0, 200))
def test_a_cut_text_fits_and_is_the_beginning(text: str, limit: int) -> None:
    got = cut(text, limit)
    assert units(got) <= limit
    assert got == text or text.startswith(got.removesuffix(SHORTENED).rstrip())
    got.encode()


def test_a_cut_is_made_at_a_sentence_then_at_a_word() -> None:
    assert cut("One thing is here. Another one follows", 30) == "One thing is here. …"
    assert cut("several words without any stop here", 20) == "several words …"
    assert cut("x" * 30, 10) == "x" * 8 + " …"
    assert cut("🎉🎉🎉🎉", 6) == "🎉🎉 …"
