"""Secrets never leave, in whichever form and however the text was cut."""

from __future__ import annotations

import base64
import itertools
import json
import random
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.redaction import MARK, Redactor

PASSWORD = "correct-horse/battery+staple"
KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\n{}\n-----END OPENSSH PRIVATE KEY-----".format(
    "\n".join(["b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2" * 1] * 4)
)
LETTERS = "Abc9Def8Ghi7Jkl6Mno5Pqr4Stu3Vwx2Yz1"


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        (f"token ghp_{LETTERS}", f"ghp_{LETTERS}"),
        (f"x=github_pat_{LETTERS}_{LETTERS};", f"github_pat_{LETTERS}_{LETTERS}"),
        (f"key sk-ant-api03-{LETTERS}-AA", f"sk-ant-api03-{LETTERS}-AA"),
        (f"key sk-proj-{LETTERS}", f"sk-proj-{LETTERS}"),
        (f"key sk-{LETTERS}", f"sk-{LETTERS}"),
        (f"xoxb-1234567890-{LETTERS}", f"xoxb-1234567890-{LETTERS}"),
        (f"xapp-1-A0123-{LETTERS}", f"xapp-1-A0123-{LETTERS}"),
        (f"https://hooks.slack.com/services/T0/B0/{LETTERS}", LETTERS),
        (f"https://api.telegram.org/bot123456789:{LETTERS}/getMe", LETTERS),
        ("id AKIAIOSFODNN7EXAMPLE.", "AKIAIOSFODNN7EXAMPLE"),
        (f"AIza{LETTERS}", f"AIza{LETTERS}"),
        (f"glpat-{LETTERS}", f"glpat-{LETTERS}"),
        (f"jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.{LETTERS}", LETTERS),
        (f"Authorization: Bearer {LETTERS}", LETTERS),
        (f'{{"authorization": "token {LETTERS}"}}', LETTERS),
        (f'"{{\\"Authorization\\": \\"Bearer {LETTERS}\\"}}"', LETTERS),
        ("clone https://me:hunter2@example.org/x.git", "hunter2"),
        ("clone https://me:p@ss:w0rd@example.org/x.git", "p@ss:w0rd"),
        (f"clone https://{LETTERS}@example.org/x.git", LETTERS),
        ("export DB_PASSWORD=hunter2", "hunter2"),
        ('AWS_SECRET_ACCESS_KEY="two words"', "two words"),
        ("GITHUB_TOKEN: abcd1234", "abcd1234"),
        ('password = "hunter2xyz"', "hunter2xyz"),
        ('{"client_secret": "hunter2xyz"}', "hunter2xyz"),
        ("GET /cb?state=1&access_token=hunter2xyz&x=1", "hunter2xyz"),
        (f"before\n{KEY}\nafter", KEY),
        (json.dumps({"key": KEY}), "b3BlbnNza"),
        (f"cut off\n{KEY[:150]}", KEY[40:150]),
    ],
)
def test_what_looks_like_a_secret_is_replaced(text: str, secret: str) -> None:
    shown = Redactor().text(text)
    assert secret not in shown
    assert MARK in shown


@pytest.mark.parametrize(
    "text",
    [
        "Add a task-description-with-a-rather-long-name-and-more to the board",
        "used 1234 tokens: input 1000, output 234",
        "commit 3b18e512dba79e4c8300dd08aeb37f8e728b8dad",
        "TASK-042 at 10:42:17, session coding-7f3a91c2",
        "def login(password: str, token: str) -> None: ...",
        "TOKEN=$TOKEN make deploy; TOKEN = os.environ['X']",
        "see https://example.org/a:b@c and ssh://git@example.org/x.git",
        "the bearer of this letter",
        "",
    ],
)
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert Redactor(["zzzz-not-here"]).text(text) == text


def test_known_secrets_are_found_in_every_form() -> None:
    redactor = Redactor([PASSWORD, 'li"ne\nbreak'])
    basic = base64.b64encode(f"someone:{PASSWORD}".encode()).decode()
    for form in (PASSWORD, quote(PASSWORD, safe=""), 'li"ne\nbreak', json.dumps('li"ne\nbreak')):
        assert redactor.text(f"<{form}>").replace('"', "") == f"<{MARK}>"
    assert len(redactor.text(basic).replace(MARK, "")) < 16


@pytest.mark.parametrize("before", ["", "a", "ab", "abc"])
def test_known_secret_inside_base64_of_any_alignment(before: str) -> None:
    encoded = base64.b64encode(f"{before}{PASSWORD} tail".encode()).decode()
    assert MARK in Redactor([PASSWORD]).text(encoded)


def test_the_longest_secret_wins_and_overlaps_leave_nothing() -> None:
    assert Redactor(["abcd", "abcdefgh"]).text("abcdefgh") == MARK
    assert Redactor(["abc123", "123xyz"]).text("-abc123xyz-") == f"-{MARK}-"


def test_too_short_or_empty_values_are_no_secrets() -> None:
    assert Redactor(["", "  ", "a", "abc"]).text("a banana, abc") == "a banana, abc"


def test_lines_of_a_known_key_are_secrets_too() -> None:
    line = KEY.splitlines()[1]
    assert Redactor([KEY]).text(f"log: {line}") == f"log: {MARK}"


def test_it_does_not_show_what_it_knows() -> None:
    assert PASSWORD not in repr(Redactor([PASSWORD]))


MULTILINE = "first half of it\nsecond half"
PARTS = st.sampled_from(
    [
        PASSWORD,
        MULTILINE,
        MULTILINE[:20],
        KEY,
        KEY[:120],
        "-----BEGIN RSA PRIVATE KEY-----\n",
        "-----END RSA PRIVATE KEY-----",
        f"ghp_{LETTERS}",
        "DB_PASSWORD=hunter2",
        "https://me:hunter2@example.org/",
        "\n",
        " ",
        "-----\n",
        "hello",
        "ünïcode ✓\r\n",
    ]
)


@settings(max_examples=300, deadline=None)
@given(st.lists(PARTS, max_size=12), st.lists(st.integers(0, 2000), max_size=12))
def test_a_stream_says_what_the_whole_text_says(parts: list[str], cuts: list[int]) -> None:
    redactor, text = Redactor([PASSWORD, MULTILINE]), "".join(parts)
    assert _streamed(redactor, text, cuts) == redactor.text(text)


def test_every_single_split() -> None:
    redactor = Redactor([PASSWORD, MULTILINE])
    text = f"a {PASSWORD}\n{MULTILINE}\n{KEY}\nT=ghp_{LETTERS} b\nX_TOKEN=abcdefg\nend"
    whole = redactor.text(text)
    for at in range(len(text) + 1):
        assert _streamed(redactor, text, [at]) == whole
    assert _streamed(redactor, text, list(range(len(text)))) == whole


@settings(max_examples=200, deadline=None)
@given(st.lists(PARTS | st.text(max_size=20), max_size=12))
def test_what_is_known_never_shows(parts: list[str]) -> None:
    redactor = Redactor([PASSWORD, MULTILINE])
    once = redactor.text("".join(parts))
    assert PASSWORD not in once
    assert MULTILINE not in once


def test_a_stream_gives_lines_back_as_they_come() -> None:
    stream = Redactor([PASSWORD]).stream()
    assert stream.feed("one\ntw") == "one\n"
    assert stream.feed("o\n") == "two\n"
    assert stream.feed("three") == ""
    assert stream.close() == "three"
    assert stream.close() == ""


def test_an_endless_line_is_held_back_only_in_part() -> None:
    redactor, chance = Redactor([PASSWORD]), random.Random(7)
    text = "".join(chance.choice(["lorem ", "x" * 50, PASSWORD, "9"]) for _ in range(20_000))
    stream, shown = redactor.stream(), ""
    for at in range(0, len(text), 1000):
        shown += stream.feed(text[at : at + 1000])
    assert len(shown) > 100_000
    shown += stream.close()
    assert shown == redactor.text(text)


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "unit",
    [
        "a",
        "eyJ",
        "eyJaaaaaaaaaa.",
        "://",
        "://a:",
        "TOKEN",
        "TOKEN_",
        'token="',
        "authorization:",
        "-----BEGIN RSA PRIVATE KEY-----",
        "-----BEGIN RSA PRIVATE KEY-----\nabc\n",
        "-",
        "1234567:",
        "sk-",
        "?sig=",
        "&a_token",
        "\n",
        " \t",
    ],
)
def test_hostile_text_takes_time_in_proportion_to_its_length(unit: str) -> None:
    """A quadratic pattern would need many minutes for this, and run into the timeout."""
    text = unit * (1_000_000 // len(unit)) + f"\n-----\n{PASSWORD}"
    assert Redactor([PASSWORD]).text(text).endswith(f"\n{MARK}")


def _streamed(redactor: Redactor, text: str, cuts: list[int]) -> str:
    borders = sorted({0, len(text), *(min(cut, len(text)) for cut in cuts)})
    stream = redactor.stream()
    pieces = [stream.feed(text[start:end]) for start, end in itertools.pairwise(borders)]
    return "".join([*pieces, stream.close()])
