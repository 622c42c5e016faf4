"""When a usage limit is over, out of an agent's words."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.drivers.acp_wire import events as of_acp
from core.drivers.codex_wire import events as of_codex
from core.drivers.resets import reset_at
from core.model import AgentEventKind
from core.ports import Line

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


LIMITS = [
    "You've hit your usage limit. Try again later.", "usage_limit_reached",
    "Rate limit reached for model-1", "429 Too Many Requests", '429 {"retry": 1}', "429",
    "exceeded retry limit, last status: 429 Too Many Requests", "API Error: 429 no more",
    "API Error: Request rejected (429)", "HTTP/1.1 429", "status code 429", "RESOURCE_EXHAUSTED",
    "Quota exceeded. Check your plan.", "You exceeded your quota.", "insufficient_quota",
]
SOUND_ALIKE = [
    "Disk quota exceeded (os error 122)", "write failed: Disk quota exceeded",
    "io error: disk_quota exceeded", "quota exceeded (os error 122)", "EDQUOT: quota exceeded",
    "Error at line 429 of config.toml", "main.py:429: error", "429 tests failed", "429 of 430",
    "it made 1429 calls", "error 4290", "storage quota reached", "",
]


@pytest.mark.parametrize("words", LIMITS + SOUND_ALIKE)
def test_a_limit_is_told_from_what_only_sounds_like_one(words: str) -> None:
    """Else a whole account rests, and the task never fails."""
    failure = {"code": -32603, "message": words}
    said = [of_codex(line({"type": "turn.failed", "error": {"message": words}})),
            of_acp(line({"acp": "finished", "failure": failure})),
            of_acp(line({"acp": "failed", "text": words, "broken": True}))]
    found = [any(event.kind is AgentEventKind.LIMIT for event in events) for events in said]
    assert found == [words in LIMITS] * 3


def line(value: object) -> Line:
    return Line("out", 1, json.dumps(value), 9)
