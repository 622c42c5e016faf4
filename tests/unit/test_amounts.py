"""Budgets, durations and times as people type them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.commands import amounts
from core.errors import Unclear

NOW = 1_790_000_000_000


@pytest.mark.parametrize(("text", "found"), [
    ("2usd", (None, 2.0)), ("$2", (None, 2.0)), ("2 USD", (None, 2.0)), ("0,5usd", (None, 0.5)),
    ("$0.50", (None, 0.5)), ("2 dollars", (None, 2.0)), ("1,500 usd", (None, 1500.0)),
    ("200k", (200_000, None)), ("1.5m tokens", (1_500_000, None)), ("500 tokens", (500, None)),
    ("2usd 100k", (100_000, 2.0)), ("100k, $2", (100_000, 2.0)),
    ("2 dollars and 1m tok", (1_000_000, 2.0)),
])
def test_a_budget(text: str, found: tuple[int | None, float | None]) -> None:
    assert amounts.budget(text) == found


@pytest.mark.parametrize("text", [
    "", "2", "usd", "2eur", "2usd 3usd", "0usd", "0k", "-2usd", "2usdx", "99999999999999k",
    "1e9usd", "two usd", "2usd or so", "0.0001 tokens", "none"])
def test_no_budget(text: str) -> None:
    with pytest.raises(Unclear, match="say money like 2usd, tokens like 200k"):
        amounts.budget(text)


@pytest.mark.parametrize(("text", "seconds"), [
    ("90m", 5400), ("2h", 7200), ("3d", 259_200), ("1h30m", 5400), ("1 h 30 min", 5400),
    ("45s", 45), ("2 weeks", 1_209_600), ("1.5h", 5400), ("90 minutes", 5400), ("2 Hours", 7200)])
def test_a_duration(text: str, seconds: int) -> None:
    assert amounts.duration(text) == seconds * 1000


@pytest.mark.parametrize("text", [
    "", "2", "h", "2hx", "2 hx", "0s", "-2h", "99999d", "2monkeys", "2dogs", "2h30", "soon"])
def test_no_duration(text: str) -> None:
    with pytest.raises(Unclear, match="say it like 90m, 2h or 3d"):
        amounts.duration(text)


def test_a_moment() -> None:
    assert amounts.moment("2h", NOW, "UTC") == NOW + 7_200_000
    assert amounts.moment("2027-01-02T09:00+01:00", NOW, "UTC") == 1_798_876_800_000
    assert amounts.moment("2027-01-02T08:00Z", NOW, "UTC") == 1_798_876_800_000
    assert amounts.moment("2027-01-02T09:00", NOW, "Europe/Berlin") == 1_798_876_800_000
    for text, words in (("2020-01-02T09:00", "has passed"), ("2090-01-02", "too far off"),
                        ("tomorrow", "No time"), ("2027-13-02", "No time"), ("", "No time")):
        with pytest.raises(Unclear, match=words):
            amounts.moment(text, NOW, "UTC")


@given(st.text(max_size=20) | st.from_regex(r"[0-9.,$ kmusdtoken]{1,15}", fullmatch=True))
def test_whatever_is_typed_is_more_than_nothing_or_refused(text: str) -> None:
    try:
        tokens, usd = amounts.budget(text)
    except Unclear:
        return
    assert (tokens, usd) != (None, None)
    assert all(part is None or 0 < part <= 10**12 for part in (tokens, usd))


@given(st.integers(0, 50), st.integers(0, 23), st.integers(1, 59))
def test_parts_add_up(days: int, hours: int, minutes: int) -> None:
    text = f"{days}d {hours}h{minutes}m"
    assert amounts.duration(text) == ((days * 24 + hours) * 60 + minutes) * 60_000
