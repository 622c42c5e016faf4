"""When a usage limit is over, out of an agent's words."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.drivers.resets import reset_at

NOW = datetime(2026, 11, 21, 13, 46, 55, tzinfo=UTC)


def at(*when: int) -> int:
    return int(datetime(*when, tzinfo=UTC).timestamp() * 1000)  # type: ignore[misc, arg-type]


@pytest.mark.parametrize(("text", "when"), [
    ("You've hit your session limit · resets Nov 21, 10:26pm (UTC)", (2026, 11, 21, 22, 27)),
    ("You've hit your session limit · resets 10pm (UTC)", (2026, 11, 21, 22, 1)),
    ("weekly limit · resets Jan 2, 3am (Europe/Berlin)", (2027, 1, 2, 2, 1)),
    ("limit reached · resets 9am (America/New_York)", (2026, 11, 21, 14, 1)),
    ("Claude AI usage limit reached|1795300000", (2026, 11, 21, 22, 26, 40)),
    ("You’ve hit your usage limit. … or try again at 10:26 PM.", (2026, 11, 21, 22, 27)),
    ("… or try again at 1:46 PM.", (2026, 11, 21, 13, 47)),
    ("… or try again at 9:05 AM.", (2026, 11, 22, 9, 6)),
    ("… or try again at 12:00 AM.", (2026, 11, 22, 0, 1)),
    ("… try again at Nov 24th, 2026 1:47 PM.", (2026, 11, 24, 13, 48)),
    ("… try again in 2 days 17 hours 14 minutes.", (2026, 11, 24, 7, 0, 55)),
])
def test_the_time_is_found(text: str, when: tuple[int, ...]) -> None:
    assert reset_at(text, int(NOW.timestamp() * 1000)) == at(*when)


@pytest.mark.parametrize("text", [
    "try again later.", "resets soon", "resets Feb 30, 3pm (UTC)", "resets 3pm (Nowhere/City)",
    "resets 3pm (America)", "resets 3pm (/etc/passwd)", "try again at 3:99 PM", "",
])
def test_where_no_time_is_named_there_is_none(text: str) -> None:
    assert reset_at(text, int(NOW.timestamp() * 1000)) is None


@given(words=st.text(), hour=st.integers(0, 99), day=st.integers(0, 99), year=st.integers(0, 9999),
       now=st.integers(0, 4_000_000_000_000))
def test_no_words_break_it(words: str, hour: int, day: int, year: int, now: int) -> None:
    said = f"try again at Feb {day}, {year:04} {hour}:00 AM"
    for text in (words, said, f"resets {hour}pm ({words})", f"resets Feb {day}, {hour}am",
                 f"try again in {year} days {hour} hours"):
        assert reset_at(text, now) is None or isinstance(reset_at(text, now), int)
