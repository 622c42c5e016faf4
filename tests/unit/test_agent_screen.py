"""What an agent draws at a terminal is read as lines, each once it stands."""

from __future__ import annotations

import sys
import tracemalloc
from collections.abc import Iterable
from types import FrameType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.ports import Line
from core.sessions.screen import ROWS, STANDS, Screen
from core.sessions.terminal import Terminal
from core.store.logs import Entry

LONG = 10 * STANDS
CALLS = 200
"""Calls of functions that a character may cost; a screen has 1920 cells."""
FULL = "".join(f"\x1b[{row};1H{'x' * 80}" for row in range(1, ROWS + 1))


def drawn(*frames: str, every: int = STANDS, known: Iterable[str] = ()) -> list[str]:
    """What is read of frames that each stand for so long, in milliseconds."""
    screen, found = Screen(known), list[str]()
    for number, frame in enumerate(frames, 1):
        screen.feed(frame)
        screen.now = number * every
        found += screen.take(number * every)
        found += screen.take(number * every + every)
    return found


# -- the screen -----------------------------------------------------------------------------


def test_words_beside_each_other_are_put_there_by_the_cursor() -> None:
    assert drawn("\x1b[1mTyped\x1b[0m\x1b[8Ga\x1b[10Ganswer.\r\n") == ["Typed  a answer."]


def test_an_answer_that_takes_the_place_of_a_spinner_is_read() -> None:
    frames = ["✶ Thinking…\r\n\r\n> \r\n? for shortcuts", "\x1b[3A\r✻ Thinking…",
              "\r● The answer.\x1b[K"]
    assert drawn(*frames) == ["✶ Thinking…", "? for shortcuts", "● The answer."]


def test_what_does_not_stand_is_not_read() -> None:
    frames = [f"\r{sign} Working ({n}s)" for n, sign in enumerate("✶✻✽✶✻")]
    assert drawn(*frames, every=STANDS // 4) == []


def test_lines_that_scroll_off_are_read_at_once_and_in_order() -> None:
    lines = [f"Item {number} of them" for number in range(100)]
    screen = Screen()
    screen.feed("\r\n".join(lines))
    assert screen.take(1) == lines[: 100 - ROWS]
    assert screen.take(1 + STANDS) == lines[100 - ROWS :]


def test_the_same_words_said_twice_are_read_twice() -> None:
    assert drawn("Done.\r\n", "More.\r\n", "Done.\r\n") == ["Done.", "More.", "Done."]


def test_what_moves_down_with_the_screen_is_read_once() -> None:
    box = "> type here\r\n? for shortcuts\r\n"
    frames = [box, *(f"\x1b[2A\x1b[J{word}\r\n{box}" for word in ("One.", "Two.", "Three."))]
    assert drawn(*frames) == ["> type here", "? for shortcuts", "One.", "Two.", "Three."]


def test_a_screen_that_is_cleared_and_painted_anew_tells_what_is_new() -> None:
    lines = [f"Line {number} here" for number in range(60)]
    whole = "\r\n".join(lines)
    assert drawn(whole, f"\x1b[2J\x1b[3J\x1b[H{whole}\r\nAnd more.") == [*lines, "And more."]


def test_what_stands_in_the_log_already_is_not_told_again() -> None:
    assert drawn("One.\r\nTwo.\r\n", "Three.\r\n", known=["One.", "Two."]) == ["Three."]


def test_rules_and_boxes_are_drawing_and_code_is_not() -> None:
    assert drawn("╭───╮\r\n│   │\r\n╰───╯\r\nif x {\r\n}\r\n▐▛███▜▌\r\n") == ["if x {", "}"]


def test_titles_and_questions_to_the_terminal_are_no_text() -> None:
    assert drawn("\x1b]0;a title\x07\x1b[>0q\x1b[c\x1b[<u\x1b[?2004hPlain.\x1bP1$r\x1b\\") == [
        "Plain."]


@pytest.mark.parametrize("odd", [
    "\x1b[1;2;3A", "\x1b[" + "9" * 5000 + "A", "\x1b[9999;9999H", "\x1b[?3h", "\x1bc", "\x1b[5;2r",
    "\x1b]0;" + "t" * 5000 + "\x07", "\x1b7" * 1000, "\x1b#8\x1b[2J", "a" + "\u0301" * 500 + "\r",
    "\x1b[9999L\x1b[9999M\x1b[9999@\x1b[9999P", "字\b\x1b[1@", "\x1b[H"])
def test_odd_sequences_break_nothing(odd: str) -> None:
    assert drawn(f"{odd}\r\n\x1b[0m\x1b[?3l\x1b[r\r\nAfter it.")[-1] == "After it."


@pytest.mark.parametrize("begin", [
    "They", "They 文字", "\x1b[1;77HThey", "\x1b[2;77HThey\x1b[3;1H"])
@pytest.mark.parametrize("again", ["", "\r\x1b[2C", "\x1b7\x1b[5;5Hb\x1b8"])
@pytest.mark.parametrize("mark", ["\u0300\u0316", "\u200d", "\ufe0f", "\u0e31", "\u1161"])
def test_a_cell_holds_few_marks_however_many_are_drawn_on_it(
    begin: str, again: str, mark: str
) -> None:
    screen = Screen()
    screen.feed(begin)
    for _ in range(4):
        screen.feed((mark * 20 + again) * 20)
    lines = screen.take(1, all_of_it=True)
    assert lines and max(len(line.replace(" ", "")) for line in lines) < 40


def test_what_follows_a_sign_without_a_width_is_read() -> None:
    said = ["⚠\ufe0f Look out", "👩\u200d🔧 mends it", "\u0939\u093f is read",
            "\u1112\u1161\u11ab is one", "e\u0301 is one", "after\x01\u200b\u0080 these"]
    assert drawn("\r\n".join(said)) == [*said[:3], "한 is one", "é is one", "after these"]


@pytest.mark.parametrize("flood", [
    "\x1b#8", "\x1b[?5h", "\x1b[?5h\x1b[?5l", "\x1b[?3h\x1b[?3l", "\x1b[2J", "\x1b[J", "\x1b[1J",
    "\x1b[9999P", "\x1b[P", "\x1b[@", "\x1b[9999L", "\x1b[M", "\x1b[9999X", "\x1b[9999b",
    "\x1b[S", "\x1b7", "\x1b8", "\x1b[8;999;999t", "\x1bH\x1b[C", "\t\r", "\x1bc", "\x1b[2;23r",
    "\x1bM", "\n", "\x1b[4h字\r", "\x1b(0\x0e", "\x1b[1;2;3A", "\x1b[5J", "\x1b[1;38;2;1;2;3m",
    "a\u0301", "ab\r\n"])
def test_no_sequence_takes_more_work_than_a_little_for_each_character(flood: str) -> None:
    calls, times = 0, 2000 // len(flood)
    screen = Screen()
    screen.feed(FULL)

    def count(_frame: FrameType, event: str, _of: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        screen.feed(flood * times)
    finally:
        sys.setprofile(None)
    assert calls / (times * len(flood)) < CALLS


@pytest.mark.parametrize(("begin", "more", "end"), [
    ("\x1b]0;", "t", "\x07"), ("\x1b]52;c;", "t\x1b[", "\x07"), ("\x1b[", "1;", "m"),
    ("\x1b[", "1", "m"), ("\x1b[?", "\r7;", "h"), ("\x9b", ";", "m"), ("\x9d0;", "t", "\x07")])
def test_of_a_sequence_without_an_end_little_is_kept(begin: str, more: str, end: str) -> None:
    screen = Screen()
    screen.feed(f"Before it.\r\n{begin}{more * 1000}")
    tracemalloc.start()
    try:
        for _ in range(200_000 // len(more) // 1000):
            screen.feed(more * 1000)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 50_000, "bytes"
    screen.feed(f"{end}\r\nAfter it.")
    assert screen.take(1, all_of_it=True) == ["Before it.", "After it."]


@given(st.lists(st.text(alphabet="\x1b[]?;0123456789mABCDHJKLMPXr@cshl78ab字\u0301\r\n\b\t\x07")))
def test_nothing_that_is_drawn_raises(frames: list[str]) -> None:
    screen = Screen()
    for at, frame in enumerate(frames):
        screen.feed(frame)
        screen.take(at * 1000)
    screen.take(LONG, all_of_it=True)


# -- records and positions ------------------------------------------------------------------


def records(*frames: str, every: int = 100, begin: int = 0) -> list[Line]:
    lines, end = [], begin
    for number, frame in enumerate(frames, 1):
        end += len(frame.encode()) + 17
        lines.append(Line("out", number * every, frame, end, frame.encode()))
    return lines


def words(entries: Iterable[Entry]) -> list[str]:
    return [event.text for entry in entries for event in entry.events]


def test_each_entry_lies_beyond_the_one_before() -> None:
    frames = [f"\rWorking {n}s" if n % 3 else f"\rSaid {n} now\x1b[K\r\n" for n in range(200)]
    terminal, found = Terminal(), list[Entry]()
    for line in records(*frames):
        found += terminal.take([line])
        terminal.logged()
    found += terminal.rest()
    ends = [entry.line.end for entry in found]
    assert ends == sorted(set(ends)) and ends[-1] == records(*frames)[-1].end
    said = [word for word in words(found) if word.startswith("Said")]
    assert said == [f"Said {n} now" for n in range(0, 200, 3)]


def test_a_mark_stands_after_what_was_drawn_before_it() -> None:
    (first,) = records("Before.\r\n")
    mark = Line("mark", 5, "log cap reached", first.end + 30)
    terminal = Terminal()
    assert terminal.take([first, mark]) == terminal.take([]), "until it stands in the log"
    found = terminal.take([])
    terminal.logged()
    assert words(found) == ["Before.", "log cap reached"]
    assert [entry.line.stream for entry in found] == ["out", "mark"]
    assert not terminal.pending and terminal.rest() == []


def test_begun_again_at_any_record_nothing_is_lost_or_told_twice() -> None:
    lines = records(*(f"\x1b[2K\rSaid {n} so\r\n? for help" for n in range(60)), every=400)
    for cut in range(0, 60, 7):
        first = Terminal()
        found = list[Entry]()
        for line in lines[:cut]:
            found += first.take([line])
            first.logged()
        position = found[-1].line.end if found else 0
        again = Terminal(words(found))
        again.replay([line for line in lines if line.end <= position], position)
        again.replayed()
        left = [line for line in lines if line.end > position]
        again.take(left)
        found += again.rest()
        said = [word for word in words(found) if word.startswith("Said")]
        assert said == [f"Said {n} so" for n in range(60)], cut


@pytest.mark.parametrize("unseen", ["\x1b[<u", "\x1b[>0;276q", f"\x1bPq{'#0~' * 500}\x1b\\"])
def test_what_no_screen_shows_is_left_out_wherever_it_lies(unseen: str) -> None:
    for at in range(240, 260):
        terminal = Terminal()
        terminal.take(records(f"{'.' * at}\x1b[H{unseen}Plain.\x1b[K\x1b[J" * 4))
        assert words(terminal.rest()) == ["Plain."]


@pytest.mark.parametrize("before", ["", "\x1b[2J\x1b[H"], ids=["", "cleared"])
def test_after_a_restart_only_what_stands_on_the_screen_is_known(before: str) -> None:
    """What equals an older line of the log is new all the same."""
    said = ["test passed\r\n"] * 80
    lines = records(before, *said, *said[:50], "the end\r\n", every=LONG if before else 10)
    first, rest = lines[:81], lines[81:]
    terminal = Terminal()
    terminal.take(first)
    log = words(terminal.rest())
    assert log == ["test passed"] * 80
    again = Terminal(log)
    again.replay(first, first[-1].end)
    again.replayed()
    again.take(rest)
    assert words(again.rest()) == ["test passed"] * 50 + ["the end"]


def test_of_a_flood_little_is_drawn_and_its_end_is_seen() -> None:
    frame = f"\x1b[2J{'x' * 60}\x1b[9999L" * 200 + "\n"
    terminal = Terminal()
    terminal.take(records(*[frame] * 150, "\x1bc\r\nThe end of it.\r\n", every=1))
    found = terminal.rest()
    assert words(found)[-1] == "The end of it."
    (left,) = [word for word in words(found) if "came too fast, and are left out" in word]
    assert int(left.split()[2]) > 150 * len(frame) // 2048, "more than half of it"


def test_marks_in_a_flood_make_no_more_of_it_drawn() -> None:
    frame = f"\x1b[2J{'x' * 60}\x1b[9999L" * 200 + "\n"
    terminal, lines = Terminal(), list[Line]()
    for line in records(*[frame] * 150, every=1):
        lines += [line, Line("mark", line.at, "a mark", line.end + 1)]
    terminal.take(lines)
    terminal.take(records("\x1bc\r\nThe end of it.\r\n", begin=lines[-1].end))
    found = words(terminal.rest())
    assert found.count("a mark") == 150 and found[-1] == "The end of it."
    left = [int(word.split()[2]) for word in found if "came too fast, and are left out" in word]
    assert sum(left) > 150 * len(frame) // 2048, "more than half of it"
