"""The reader of the launcher's output file, and what it takes out of a line."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.ports import Line
from core.sandboxes import output
from core.sandboxes.output import clean, parse


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("plain ünï → text\twith a tab", "plain ünï → text\twith a tab"),
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b[2K\x1b[1Gprompt", "prompt"),
        ("\x9b31mred", "red"),
        ("\x1b]0;a title\x07after", "after"),
        ("\x1b]8;;https://example.org\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b]52;c;c2VjcmV0\x07clipboard", "clipboard"),
        ("\x1bP1$r0m\x1b\\device", "device"),
        ("\x1b(Bcharset\x1b=", "charset"),
        ("\x1b]0;never ended", "0;never ended"),
        ("a\x00b\x07c\x08d\x7fe\x85f", "abcdef"),
        ("\x1b", ""),
        ("10 %\r50 %\r100 %", "100 %"),
        ("100 %\r", "100 %"),
        ("windows\r\r", "windows"),
        ("a\nb", "ab"),
        ("two\x1b[Cwords,\x1b[3Capart", "two words,   apart"),
        ("\x1b[31mred\x1b[0m\x1b[2Chere\x1b[0C.", "red  here ."),
        ("\x1b[2;1Hhome\x1b[12;40Hfar\x1b[20Gon", "home far on"),
        ("", ""),
    ],
)
def test_terminal_sequences_and_controls_go(raw: str, shown: str) -> None:
    assert clean(raw) == shown


@settings(deadline=None)
@given(st.text() | st.text("\x1b\x9b[]P0;1m ?\x07\\\r\tax\x00\x85"))
def test_nothing_that_steers_a_terminal_is_left(text: str) -> None:
    shown = clean(text)
    assert not any((ord(c) < 32 and c != "\t") or 127 <= ord(c) < 160 for c in shown)
    assert clean(shown) == shown


def test_a_long_row_of_broken_sequences_is_cleaned_in_linear_time() -> None:
    assert clean("\x1b]" * 500_000) == ""
    assert clean("\x1b[" * 500_000 + "1" * 500_000) != "\x1b"


@pytest.mark.parametrize("sequence", ["\x1b[", "\x1b]", "\x1b[9C", "\x9b0m", "\x1b[31m"])
def test_sequences_without_end_are_not_each_looked_at(sequence: str) -> None:
    """The bot does nothing else meanwhile."""
    looked = 0

    def count(frame: object, event: str, what: object) -> None:
        nonlocal looked
        looked += event == "call"

    sys.setprofile(count)
    try:
        said = clean("\x1b[Cone" + sequence * 200_000 + "→two\x1b[31m.")
    finally:
        sys.setprofile(None)
    assert looked < 50_000
    assert (said.split()[0][:3], said[-4:]) == ("one", "two.")
    assert len(said) < 30_000


def test_a_cursor_that_goes_far_makes_no_endless_line() -> None:
    assert len(clean("\x1b[9999C" * 100_000 + "x")) == 20_001


def test_records_become_lines_with_their_ends() -> None:
    data = b"17 o hello\n18 e \n19 m cut\n20 O a piece\n21 E "
    assert parse(data, 100) == [
        Line("out", 17, "hello", 111),
        Line("err", 18, "", 117),
        Line("mark", 19, "cut", 126),
        Line("out", 20, "a piece", 139, b"a piece"),
    ]


def test_what_was_left_out_of_a_line_is_kept_beside_it() -> None:
    lines = parse(b"1 o \x1b[1mred\r\n2 O \xc3\xa4\x1b[K\n3 o next\n", 0)
    assert [line.text for line in lines] == ["red", "ä", "next"]
    assert [line.raw for line in lines] == [b"\x1b[1mred\r\n", b"\xc3\xa4\x1b[K", b"next\n"]


def test_a_line_keeps_its_own_spaces() -> None:
    assert parse(b"17 o   two  spaces \n", 0)[0].text == "  two  spaces "


def test_what_is_no_text_is_shown_as_well_as_can_be() -> None:
    lines = parse(b"1 o \xff\xfe ok\n1 o \xc3\xa4\n1 o a\x00b\n1 o \xc2\x9b31mred \xc2\xab\n", 0)
    assert [line.text for line in lines] == ["\ufffd\ufffd ok", "ä", "ab", "red «"]


def test_a_foreign_line_is_kept_as_it_is() -> None:
    data = b"somebody wrote here\n\n12 x what\n-1 o no\n5 o yes\n"
    texts = [line.text for line in parse(data, 0)]
    assert texts == ["somebody wrote here", "", "12 x what", "-1 o no", "yes"]
    assert parse(data, 0)[-1].end == len(data)


@settings(deadline=None)
@given(
    st.lists(st.binary(max_size=40).map(lambda b: b.replace(b"\n", b"")), max_size=30),
    st.integers(1, 200),
    st.integers(0, 30),
)
def test_whatever_the_step_all_lines_come_once(
    tmp_path_factory: pytest.TempPathFactory, raw: list[bytes], step: int, torn: int
) -> None:
    path = tmp_path_factory.mktemp("output") / "output"
    path.write_bytes(b"".join(b"5 o %s\n" % r for r in raw) + b"6 o an unfinished record"[:torn])
    found: list[Line] = []
    while lines := output.read(path, found[-1].end if found else 0, step):
        found += lines
    assert [line.text for line in found] == [clean(r.decode("utf-8", "replace")) for r in raw]


def test_a_line_longer_than_the_step_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "output"
    path.write_bytes(b"1 o " + b"x" * 3_000_000 + b"\n2 o y\n")
    first, *more = output.read(path, 0, 100)
    assert len(first.text) == 3_000_000
    assert [line.text for line in more or output.read(path, first.end, 100)] == ["y"]


def test_the_tail_begins_with_a_whole_line(tmp_path: Path) -> None:
    path = tmp_path / "output"
    assert output.tail(path, 100) == []
    path.write_bytes(b"".join(b"1 o %04d\n" % n for n in range(1000)))
    assert [line.text for line in output.tail(path, 30)] == ["0997", "0998", "0999"]
    assert len(output.tail(path, 1 << 20)) == 1000


@pytest.mark.parametrize("what", ["folder", "link", "fifo", "socket"])
def test_what_was_put_in_its_place_is_said_once_and_holds_nothing_up(
    tmp_path: Path, what: str
) -> None:
    path = tmp_path / "output"
    with socket.socket(socket.AF_UNIX) as server:
        if what == "folder":
            path.mkdir()
        elif what == "link":
            path.symlink_to("/etc/passwd")
        elif what == "fifo":
            os.mkfifo(path)
        else:
            server.bind(str(path))
        (line,) = output.read(path, 100, 1000)
        assert line.stream == "mark" and "no more of it can be read" in line.text
        assert output.read(path, line.end, 1000) == []
        assert output.tail(path, 1000) == []


def test_no_more_is_read_than_the_launcher_writes(tmp_path: Path) -> None:
    path = tmp_path / "output"
    path.write_bytes(b"1 o kept\n")
    os.truncate(path, 400 << 30)
    found, position = [], 0
    while lines := output.read(path, position, 1 << 20, cap=1000):
        found += lines
        position = lines[-1].end
    assert found[0].text == "kept" and len(found) < 10
    assert found[-1].stream == "mark" and "the rest is not read" in found[-1].text
