"""Brings an attempt's output here from a place that shares no folder, without loss or doubling.

The carrier's words come in any number of streams, each from some point on: each record says at
which position of the output over there it begins, so what is known already is left out. The
attempt's own `output` file holds the records alone, so that everybody reads it as usual; where
records were lost on the way (a rotated log, a node gone) it holds a mark, and `gaps.json` says
how positions differ from there on. Killed at any instruction, a new one goes on.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.sandboxes import files

LONGEST = 4 << 20
"""Bytes of a line of the carrier's; a longer one is none of its."""
ROOM = 4 << 20
"""Bytes beside the log cap: marks and tails."""
_FARTHEST = 10**15
"""Bytes of output that nobody has."""
WORDS = 20
END, GAPS = "end.json", "gaps.json"
_MOST_GAPS = 1000
_FIELDS = ("status", "signal", "reason", "error", "at", "dropped")


class Gap(Exception):
    """The stream begins too late: read it again from its very beginning."""


@dataclass(frozen=True, slots=True)
class _Lost:
    """At `here` stands a mark of `size` bytes; after it comes what begins at `there`."""

    here: int
    size: int
    there: int


@dataclass(slots=True)
class _Block:
    """What is put into the file at once, however many lines it is: how long it is then, which
    position is expected then, and the last record."""

    size: int
    next: int
    from_start: bool
    parts: list[bytes] = field(default_factory=list)
    gaps: list[_Lost] = field(default_factory=list)
    last: bytes = b""

    def take(self, position: int, record: bytes) -> None:
        """Raises Gap."""
        if position > self.next:
            self.skip(position)
        self.last = record
        self.next = position + len(record) + 1
        self._add(record + b"\n")

    def skip(self, there: int) -> None:
        """What comes before that is lost. Raises Gap where it may be there still."""
        if not self.from_start:
            raise Gap
        lost = there - self.next
        text = f"{time.time_ns() // 1_000_000} m {lost} bytes of output were lost on the way here\n"
        self.gaps.append(_Lost(self.size, len(text), there))
        self.next = there
        self._add(text.encode())

    def _add(self, line: bytes) -> None:
        self.parts.append(line)
        self.size += len(line)


class Mirror:
    """`feed` what comes; `next` is the position that is expected; `end` what the carrier has
    told last. `words`: the last lines that were no records (why it could not begin)."""

    def __init__(self, folder: Path, cap: int) -> None:
        self._folder, self._cap = folder, cap + ROOM
        self._rest, self._skipping, self._full = b"", False, False
        self.words: list[str] = []
        self.last_at = 0
        self.end: dict[str, Any] | None = _json(folder / END)
        self._file = os.open(
            folder / "output", os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600
        )
        try:
            self._size = self._whole()
            self._gaps = self._marked()
            self.next = self._size + self._shift()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        os.close(self._file)

    def begin(self) -> None:
        """A new stream follows: forget the half line of the one before."""
        self._rest, self._skipping = b"", False

    def feed(self, data: bytes, from_start: bool = False) -> None:
        """Take in the next bytes of a stream. `from_start`: it holds all that there still is, so
        what is missing is lost. Raises Gap when it may be there still; OSError on a full disk:
        then begin again, nothing is lost."""
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        if lines and self._skipping:
            lines, self._skipping = lines[1:], False
        if len(self._rest) > LONGEST:
            self._rest, self._skipping = b"", True
        block = _Block(self._size, self.next, from_start)
        end = None
        try:
            for line in lines:
                head, _, record = line.partition(b" ")
                if head == b"=":
                    end = self._told(record, block) or end
                elif not head.isdigit() or len(head) > 15:
                    self.words = [*self.words, line[:300].decode("utf-8", "replace")][-WORDS:]
                elif int(head) >= block.next:
                    block.take(int(head), record)
        finally:
            self._put(block)
        if end is not None and end != self.end:
            _replace(self._folder / END, json.dumps(end).encode())
            self.end = end

    def _told(self, said: bytes, block: _Block) -> dict[str, Any] | None:
        """The end that a line tells of, if it does; it says also where the output ends: what is
        missing before that is lost."""
        end = _end(said)
        if end is not None and block.next < end.get("position", 0) < _FARTHEST:
            block.skip(end["position"])
        return end

    def _put(self, block: _Block) -> None:
        if not block.parts:
            return
        self._full = self._full or block.size > self._cap
        if not self._full:  # else by who writes past the launcher, or lies about positions
            gaps = [*self._gaps, *block.gaps][-_MOST_GAPS:]
            if block.gaps:
                _replace(self._folder / GAPS, _rows(gaps))
            self._append(b"".join(block.parts))
            self._gaps = gaps
        if block.last:
            self.last_at = _moment(block.last, time.time()) or self.last_at
        self.next = block.next

    def _append(self, data: bytes) -> None:
        """Whole or not at all: half of it would be taken for all of it."""
        written = 0
        try:
            while written < len(data):
                written += os.write(self._file, data[written:])
        except OSError:
            os.ftruncate(self._file, self._size)
            raise
        self._size += len(data)

    def _marked(self) -> list[_Lost]:
        """The marks that really stand in the file: of another that never came there, nothing may
        be left when the file is that long."""
        found = [_Lost(*row) for row in _json(self._folder / GAPS) or []]
        standing = [gap for gap in found if gap.here + gap.size <= self._size]
        if standing != found:
            _replace(self._folder / GAPS, _rows(standing))
        return standing

    def _shift(self) -> int:
        """By how much positions over there are ahead of those here."""
        gaps = self._gaps
        return gaps[-1].there - gaps[-1].here - gaps[-1].size if gaps else 0

    def _whole(self) -> int:
        """Half a record at the end was being written when we were killed: it comes again."""
        about = os.fstat(self._file)
        at, tail = about.st_size, b""
        while at and b"\n" not in tail:
            at = max(0, at - (1 << 20))
            tail = os.pread(self._file, about.st_size - at, at)
        size = at + tail.rfind(b"\n") + 1
        if size < about.st_size:
            os.ftruncate(self._file, size)
            os.utime(self._file, ns=(about.st_atime_ns, about.st_mtime_ns))
        records = tail.split(b"\n")[:-1]
        if records:
            self.last_at = _moment(records[-1], about.st_mtime)
        return size


def _end(said: bytes) -> dict[str, Any] | None:
    """What an end has, of what says that it is one. An agent may have said it."""
    try:
        value = json.loads(said) if len(said) <= files.SMALL else None
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict) or not isinstance(value.get("exit"), dict):
        return None
    told, position = value["exit"], value.get("position")
    end = {name: told[name] for name in _FIELDS if isinstance(told.get(name), (int, str))}
    return {"exit": end} | ({"position": position} if type(position) is int else {})


def _rows(gaps: list[_Lost]) -> bytes:
    return json.dumps([[gap.here, gap.size, gap.there] for gap in gaps]).encode()


def _moment(record: bytes, known: float) -> int:
    """When a record was written, in milliseconds: at the latest when it was known here (seconds).
    An agent may have dated it ahead, and what comes before that would never be asked for."""
    at = record.partition(b" ")[0]
    return min(int(at), int(known * 1000)) if at.isdigit() and len(at) < 15 else 0


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None


def _replace(path: Path, data: bytes) -> None:
    new = path.with_name(f"{path.name}.new")
    new.write_bytes(data)
    os.replace(new, path)
