"""How long a run may still take: from history, and never more exact than that."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.planning.forecast import Forecast, forecast, span, words

MIN, HOUR = 60_000, 3_600_000
TIMES = st.lists(st.integers(1, 10**9), min_size=3, max_size=20)


def test_the_lane_speaks_first_then_the_crew_then_nobody() -> None:
    lane, crew = [10 * MIN, 12 * MIN, 14 * MIN], [HOUR, HOUR, HOUR]
    assert forecast(lane, crew, [4], 2) == Forecast(22 * MIN, 26 * MIN, 3, True)
    assert forecast(lane[:2], crew, [4], 2) == Forecast(2 * HOUR, 2 * HOUR, 3, False)
    assert forecast(lane[:2], crew[:2], [4], 2) is None


def test_waves_go_one_after_the_other_each_in_rounds() -> None:
    even = [10 * MIN] * 3
    for remaining, slots, rounds in (([8, 8, 1], 8, 3), ([9], 8, 2), ([1] * 1000, 8, 1000),
                                     ([1000], 1, 1000), ([], 3, 0), ([3], 0, 3)):
        found = forecast(even, [], remaining, slots)
        assert found is not None
        assert found.low == found.high == rounds * 10 * MIN


@given(TIMES, st.lists(st.integers(1, 50), max_size=6), st.integers(1, 9))
def test_low_is_not_above_high_and_more_room_never_takes_longer(
    times: list[int], remaining: list[int], slots: int
) -> None:
    found, wider = (forecast(times, [], remaining, n) for n in (slots, slots + 1))
    assert found is not None and wider is not None
    assert 0 <= found.low <= found.high
    assert wider.low <= found.low and wider.high <= found.high
    assert min(times) * len(remaining) <= found.high


@pytest.mark.parametrize(("low", "high", "said"), [
    (0, 0, "under 2 min"), (50_000, 110_000, "under 2 min"), (30_000, 3 * MIN, "up to 3 min"),
    (3 * MIN, 5 * MIN, "about 3–5 min"), (41 * MIN, 68 * MIN, "about 40–70 min"),
    (25 * MIN, 40 * MIN, "about 25–40 min"), (5 * MIN, 5 * MIN, "about 5 min"),
    (130 * MIN, 175 * MIN, "about 2–3 h"), (30 * MIN, 5 * HOUR, "up to 5 h"),
    (30 * HOUR, 40 * HOUR, "about 30–40 h"), (50 * HOUR, 100 * HOUR, "about 2–5 d"),
])
def test_said_as_a_person_would(low: int, high: int, said: str) -> None:
    assert span(low, high) == said


@given(st.integers(0, 10**10), st.integers(0, 10**10))
def test_what_is_said_holds_what_was_found(low: int, more: int) -> None:
    units = {"min": MIN, "h": HOUR, "d": 24 * HOUR}
    said = span(low, low + more)
    if said == "under 2 min":
        assert low + more < 2 * MIN
        return
    found = re.fullmatch(r"(?:up to|about) (?:(\d+)–)?(\d+) (min|h|d)", said)
    assert found is not None, said
    unit = units[found[3]]
    first = 0 if said.startswith("up to") else int(found[1] or found[2])
    assert first * unit <= low and low + more <= int(found[2]) * unit


def test_words_tell_what_it_is_from() -> None:
    assert words(Forecast(40 * MIN, 70 * MIN, 12, True)) == (
        "about 40–70 min, from 12 tasks of this lane")
    assert words(Forecast(40 * MIN, 70 * MIN, 5, False)).endswith("5 tasks of the whole crew")
    assert words(None) == "no estimate yet: fewer than three tasks have ended"
