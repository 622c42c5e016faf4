"""Reads the launcher's output file: records in, lines for people and drivers out.

A record is `<ms> <kind> <text>` and a newline; `launcher.py` says what the kinds are. A
position is a byte offset just after a record, so reading on from one never loses or
doubles a line, whoever reads.
"""

from __future__ import annotations

import asyncio
import errno
import os
import re
import stat
import time
from pathlib import Path

from core.errors import Broken
from core.ports import Line
from core.sandboxes import files

NAME = "output"
"""In an attempt's folder."""
STREAMS = {b"o": "out", b"O": "out", b"e": "err", b"E": "err", b"m": "mark"}

LONGEST = 4 << 20
"""Bytes that a record may have: a megabyte of text and its head, with much to spare."""
_NO_RECORD = 64 << 10
"""Bytes that are shown of what is longer: somebody else has written there."""

DIGITS = 14
"""That a time in ms has until the year 5138; no launcher writes more."""

ROOM = 4 << 20
"""Bytes that the launcher may need beside the log cap: marks, and the last lines."""
SPOILT = 1 << 52
"""The position after all that can be read, where somebody has spoilt the output."""

LARGE = 256 << 10
"""Bytes of output that are not read beside the loop's other work, but in a thread."""
_NO_FILE = (errno.EINVAL, errno.ELOOP, errno.ENXIO, errno.EACCES, errno.EPERM)
_STEP = 1 << 20
_CONTROLS = bytes(set(range(32)) - {9, 10}) + b"\x7f"
_SEQUENCES = re.compile(
    r"\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)"  # OSC, DCS, … : title, link, clipboard
    r"|(?:\x1b\[|\x9b)(?P<far>[0-?]*)[ -/]*(?P<act>[@-~])"  # CSI: colour, cursor
    r"|\x1b[ -/]*[0-~]"
)
_WIDTH, _SPACES = 200, 20_000
"""Columns that the cursor may go over at once, and in one line: a program that has drawn the
words beside each other has put no spaces between them."""
_LOOKED_AT = 20_000
"""Sequences of one line that are each looked at: where the cursor goes after that is no matter."""
_LEFT = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")


def clean(text: str) -> str:
    """One line without terminal sequences and control characters (a tab stays). Where the cursor
    goes on to the right there are spaces.

    Of a line that was overwritten by carriage returns, the last version is what counts.
    """
    room, last = _SPACES, 0

    def shown(found: re.Match[str]) -> str:
        nonlocal room, last
        last = found.end()
        wide = min(_columns(found["act"], found["far"] or ""), room)
        room -= wide
        return " " * wide

    drawn, many = _SEQUENCES.subn(shown, text, _LOOKED_AT)
    if many == _LOOKED_AT:
        rest = text[last:]
        drawn = drawn[: len(drawn) - len(rest)] + _SEQUENCES.sub("", rest)
    return _LEFT.sub("", drawn.rstrip("\r").rpartition("\r")[2])


def _columns(act: str | None, far: str) -> int:
    """How far right of what stands there the cursor goes: a jump (`H`, `G`) to somewhere else
    than a line's beginning counts as one column."""
    if act == "C":
        return min(int(far[-4:] or 1) or 1, _WIDTH) if not far or far.isdecimal() else 0
    return int(act in ("G", "H") and far.rpartition(";")[2] not in ("", "0", "1"))


def parse(data: bytes, position: int) -> list[Line]:
    """The whole records of `data`, which starts at `position`; a rest is left for later."""
    records = data.split(b"\n")
    records.pop()
    suspect = b"\xc2" in data or len(data.translate(None, _CONTROLS)) != len(data)
    lines = []
    for record in records:
        position += len(record) + 1
        parts = record.split(b" ", 2)
        stream = STREAMS.get(parts[1]) if len(parts) == 3 else None
        if (
            stream is None or not parts[0].isdigit() or len(parts[0]) > DIGITS
        ):  # somebody else has written here
            parts, stream = [b"0", b"o", record], "out"
        text, raw = parts[2].decode("utf-8", "replace"), None
        if suspect or parts[1].isupper():
            text, raw = clean(text), parts[2] + (b"" if parts[1].isupper() else b"\n")
        lines.append(Line(stream, int(parts[0]), text, position, raw))
    return lines


def read(path: Path | str, position: int, limit: int, cap: int | None = None) -> list[Line]:
    """Whole lines from a position, about `limit` bytes of them but at least one if there
    is one; none where the file does not exist yet. `cap` is the log cap that the launcher keeps:
    far beyond it somebody else has written, and no more is read. Raises OSError."""
    if position >= SPOILT:
        return []
    try:
        fd, size = _opened(path)
    except FileNotFoundError:
        return []
    except OSError as error:
        if error.errno not in _NO_FILE:
            raise
        return [mark("the output was taken away or replaced: no more of it can be read")]
    if cap is not None and position > cap + ROOM:
        os.close(fd)
        return [mark("the output is longer than the launcher writes: the rest is not read")]
    try:
        # No more than there is: room that stays empty would cost more than the reading.
        data = os.pread(fd, max(min(limit, size - position), 1), position)
        while data and b"\n" not in data:
            more = os.pread(fd, _STEP, position + len(data))
            if len(data) > LONGEST:  # no record of the launcher's: somebody has written here
                text = clean(data[:_NO_RECORD].decode("utf-8", "replace"))
                return [Line("out", 0, text, position + len(data))]
            if not more:
                break
            data += more
    finally:
        os.close(fd)
    return parse(data, position)


async def reading(
    path: Path | str, position: int, limit: int, cap: int | None = None
) -> list[Line]:
    """As `read`, and no other work waits for it. Raises Broken."""
    try:
        try:
            there = os.lstat(path)
        except PermissionError:  # the agent has closed the folder: reading opens it, or tells
            return read(path, position, limit, cap)
        if there.st_size <= position and stat.S_ISREG(there.st_mode):
            return []  # asked ten times a second of each session, and mostly so
        if limit > LARGE and there.st_size - position > LARGE:
            return await asyncio.to_thread(read, path, position, limit, cap)
        return read(path, position, limit, cap)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise Broken(f"{path} can't be read: {error.strerror}") from error


def mark(text: str) -> Line:
    """Our own word at the end of an output that was spoilt: nothing follows it."""
    return Line("mark", time.time_ns() // 1_000_000, text, SPOILT)


def tail(path: Path, size: int) -> list[Line]:
    """The last whole lines of the file, about `size` bytes of them. Raises OSError."""
    try:
        fd, there = _opened(path)
    except OSError as error:
        if error.errno in (errno.ENOENT, *_NO_FILE):
            return []
        raise
    os.close(fd)
    start = max(0, there - size)
    lines = read(path, start, size + _STEP)
    return lines[1:] if start else lines


def _opened(path: Path | str) -> tuple[int, int]:
    """The output and its size: a file, and neither a link nor a fifo put in its place."""
    fd = files.descriptor(path, os.O_RDONLY | os.O_NONBLOCK)
    about = os.fstat(fd)
    if not stat.S_ISREG(about.st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "it is no file", str(path))
    return fd, about.st_size
