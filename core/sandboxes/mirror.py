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
        self.heard = time.monotonic()
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
        self.heard = time.monotonic()
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
                self._ended(record)
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
            at = block[-1].partition(b" ")[0]
            self.last_at = int(at) if at.isdigit() and len(at) < 15 else self.last_at
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

    def _ended(self, said: bytes) -> None:
        try:
            end = json.loads(said)
        except ValueError:
            return
        if isinstance(end, dict) and isinstance(end.get("exit"), dict):
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
        size = os.fstat(self._file).st_size
        at, tail = size, b""
        while at and b"\n" not in tail:
            at = max(0, at - (1 << 20))
            tail = os.pread(self._file, size - at, at)
        size = at + tail.rfind(b"\n") + 1
        os.ftruncate(self._file, size)
        self._remember_time(tail)
        return size

    def _remember_time(self, tail: bytes) -> None:
        records = tail.split(b"\n")[:-1]
        at = records[-1].partition(b" ")[0] if records else b""
        self.last_at = int(at) if at.isdigit() and len(at) < 15 else 0


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None


def _replace(path: Path, data: bytes) -> None:
    new = path.with_name(f"{path.name}.new")
    new.write_bytes(data)
    os.replace(new, path)
