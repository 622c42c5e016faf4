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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LONGEST = 4 << 20
"""Bytes of a line of the carrier's; a longer one is none of its."""
ROOM = 4 << 20
"""Bytes beside the log cap: marks and tails."""
_FARTHEST = 10**15
"""Bytes of output that nobody has."""
WORDS = 20
END = "end.json"


class Gap(Exception):
    """The stream begins too late: read it again from its very beginning."""


@dataclass(frozen=True, slots=True)
class _Lost:
    """At `here` stands a mark of `size` bytes; after it comes what begins at `there`."""

    here: int
    size: int
    there: int


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
        self._size = self._whole()
        self.next = self._size + self._shift()

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
        block: list[bytes] = []
        position = self.next
        for line in lines:
            head, _, record = line.partition(b" ")
            if head == b"=":
                self._put(block, position)
                block = []
                self._ended(record, from_start)
                position = self.next
            elif not head.isdigit() or len(head) > 15:
                self.words = [*self.words, line.decode("utf-8", "replace")[:300]][-WORDS:]
            elif int(head) >= position:
                if int(head) > position:
                    self._put(block, position)
                    block = []
                    if not from_start:
                        raise Gap
                    self._mark(int(head))
                block.append(record + b"\n")
                position = int(head) + len(record) + 1
        self._put(block, position)

    def _put(self, block: list[bytes], position: int) -> None:
        data = b"".join(block)
        if data:
            self.last_at = _moment(block[-1], time.time()) or self.last_at
            self._append(data)
            self.next = position

    def _append(self, data: bytes) -> None:
        """Whole or not at all: half of it would be taken for all of it. Past the cap nothing is
        kept but the place."""
        self._full = self._full or self._size + len(data) > self._cap
        if self._full:  # by who writes past the launcher, or lies about positions
            return
        written = 0
        try:
            while written < len(data):
                written += os.write(self._file, data[written:])
        except OSError:
            os.ftruncate(self._file, self._size)
            raise
        self._size += len(data)

    def _mark(self, there: int) -> None:
        lost = there - self.next
        text = f"{time.time_ns() // 1_000_000} m {lost} bytes of output were lost on the way here\n"
        gaps = [*self._gaps(), _Lost(self._size, len(text), there)][-1000:]
        rows = [[gap.here, gap.size, gap.there] for gap in gaps]
        _replace(self._folder / "gaps.json", json.dumps(rows).encode())
        self._append(text.encode())
        self.next = there

    def _ended(self, said: bytes, from_start: bool) -> None:
        """It says also where the output ends: what is missing before that is lost."""
        try:
            end = json.loads(said)
        except ValueError:
            return
        if isinstance(end, dict) and isinstance(end.get("exit"), dict):
            length = end.get("position")
            if isinstance(length, int) and self.next < length < _FARTHEST:
                if not from_start:
                    raise Gap
                self._mark(length)
            _replace(self._folder / END, json.dumps(end).encode())
            self.end = end

    def _gaps(self) -> list[_Lost]:
        """The marks that really stand in the file."""
        found = _json(self._folder / "gaps.json") or []
        return [_Lost(*row) for row in found if row[0] + row[1] <= self._size]

    def _shift(self) -> int:
        """By how much positions over there are ahead of those here."""
        gaps = self._gaps()
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


def _moment(record: bytes, known: float) -> int:
    """When a record was written, in milliseconds: at the latest when it was known here (seconds).
    An agent may have dated it ahead, and what comes before that would never be asked for."""
    at = record.partition(b" ")[0]
    return min(int(at), int(known * 1000)) if at.isdigit() and len(at) < 15 else 0


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None


def _replace(path: Path, data: bytes) -> None:
    new = path.with_name(f"{path.name}.new")
    new.write_bytes(data)
    os.replace(new, path)
