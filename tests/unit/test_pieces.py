"""A line of JSON that a launcher has cut is read as the one that it was."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.ports import Line
from core.sandboxes.output import parse
from core.sessions import pieces
from core.sessions.pieces import MOST, Pieces

CUT = "the line above is longer than 1 MiB and was cut"


def records(*said: tuple[str, str], begin: int = 0) -> list[Line]:
    """As a launcher writes them: the kind (`O` is a piece, `o` a line's end), and the words."""
    return parse("".join(f"7 {kind} {text}\n" for kind, text in said).encode(), begin)


def given_of(held: Pieces, lines: list[Line]) -> list[tuple[str, bool]]:
    return [(line.text, long) for line, long in held.whole(lines)]


def test_a_line_in_pieces_is_given_whole_and_without_the_mark_that_it_was_cut() -> None:
    lines = records(("o", "{}"), ("O", '{"a":'), ("m", CUT), ("e", "oh"), ("O", '"bcd'),
                    ("o", '"}'), ("o", "{}"))
    held = Pieces()
    assert given_of(held, lines) == [("{}", False), ("oh", False), ('{"a":"bcd"}', True),
                                     ("{}", False)]
    assert not held.waits


@pytest.mark.parametrize("first", ["A prompt: ", "", "12"])
def test_a_prompt_without_an_end_is_given_at_once(first: str) -> None:
    assert given_of(Pieces(), records(("O", first))) == [(first, False)]


def test_what_never_becomes_whole_is_given_at_the_end() -> None:
    held = Pieces()
    assert given_of(held, records(("O", "{half"), ("e", "dying"), ("m", "killed"))) == []
    assert held.waits
    rest = [(line.text, long) for line, long in held.rest()]
    assert rest == [("{half", True), ("dying", False), ("killed", False)]
    assert not held.waits and not list(held.rest())


def test_of_one_that_is_too_long_only_that_is_told() -> None:
    held = Pieces()
    piece = "{" + "x" * (1 << 20)
    long = records(*[("O", piece)] * 9, ("o", "}"))
    assert given_of(held, long) == [
        (f"a line of 9 MiB is left out: longer than {MOST >> 20} MiB", True)]
    assert given_of(held, records(("o", "{}"))) == [("{}", False)]


def test_no_more_waits_for_an_end_than_can_be_kept() -> None:
    held = Pieces()
    lines = records(("O", "{half"), *[("e", "noise")] * 5000)
    said = given_of(held, lines)
    assert said.count(("noise", False)) == 5000 and said[0] == ("{half", True)
    assert not held.waits


@given(st.lists(st.sampled_from(["o", "O", "e", "m", "E"]), max_size=30),
       st.lists(st.integers(1, 7), min_size=1))
def test_nothing_is_lost_and_each_lies_beyond_the_one_before(
        kinds: list[str], steps: list[int]) -> None:
    """However the output is read."""
    lines = records(*((kind, "{" + str(number)) for number, kind in enumerate(kinds)))
    held, found, at = Pieces(), list[Line](), 0
    while at < len(lines):
        step = steps[at % len(steps)]
        found += [line for line, _ in held.whole(lines[at : at + step])]
        at += step
    found += [line for line, _ in held.rest()]
    assert sorted("".join(line.text for line in found)) == sorted(
        "".join(line.text for line in lines))
    ends = [line.end for line in found]
    assert ends == sorted(set(ends)) and set(ends) <= {line.end for line in lines}


def test_the_mark_is_the_launchers_own() -> None:
    from core.sandboxes import launcher

    assert pieces._CUT in Path(launcher.__file__).read_text()
