"""The way out of an image without Python: the engine's log becomes the attempt's output.

No launcher watches such an attempt, and its folder is not shown inside. `mirror.json` says how
much of the log has been taken, and how long `output` was then: what a crash left beyond that is
cut off and taken again, so no line is lost or doubled. Its input lasts as long as this process.
"""

from __future__ import annotations

import asyncio
import base64
import calendar
import contextlib
import io
import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import Broken
from core.ports import Exit, Order
from core.sandboxes.attempt import Attempt
from core.sandboxes.docker.engine import Engine
from core.sandboxes.docker.place import Place

if TYPE_CHECKING:
    from docker import APIClient

FILE = "mirror.json"
CLAIM = "docker"
CHUNK = 1 << 20
"""Bytes of log that are taken at once, with some for each message."""
LINE = 1 << 20
TAIL = 64 << 10
_SLACK = 2
"""Seconds by which two messages of a log may be out of order."""
_KINDS = {1: b"o", 2: b"e"}


class Mirror:
    """One attempt's log. `pull` brings what is new, `finish` what is left and the end."""

    def __init__(self, folder: Path, place: Place) -> None:
        self.folder, self.place = folder, place
        self._lock = asyncio.Lock()
        self._state = _State.of(folder)
        self._log: Iterator[tuple[bytes, str, bytes]] | None = None
        self._skip = 0
        self._input: Any = None
        self._asks = False

    async def begin(self, engine: Engine, order: Order) -> None:
        """Just before it starts: claim it, and hold its input open."""
        try:
            os.symlink(CLAIM, self.folder / "claim")
        except FileExistsError as error:
            raise Broken(f"the attempt in {self.folder} was called off") from error
        self._state.begun = self._state.heard = _now()
        self._state.write(self.folder)
        if order.first_input or order.input_open:
            self._input = await engine.call(self._attached)
            await engine.call(lambda client: self._give(order.first_input, not order.input_open))

    def never(self) -> None:
        """It could not be started, and never will be."""
        (self.folder / "claim").unlink(missing_ok=True)
        Attempt(self.folder).revoke()

    async def send(self, engine: Engine, number: int, data: bytes, last: bool) -> None:
        """Raises Broken where its input went with an earlier process of ours."""
        async with self._lock:
            known = self.folder / "input" / f"{number:06d}"
            if known.exists() or Path(f"{known}.last").exists():
                return
            if self._input is None:
                raise Broken("its image has no Python: after a restart it takes no more input")
            Attempt(self.folder).send(number, data, last)
            await engine.call(lambda client: self._give(data, last))

    async def pull(self, engine: Engine) -> None:
        """Take what is new, a chunk at the most."""
        async with self._lock:
            if not self._state.finished:
                await engine.call(self._take)

    async def finish(self, engine: Engine) -> None:
        """Take all that is left, and say so."""
        async with self._lock:
            while not self._state.finished and self._state.taken <= self.place.output_limit:
                if not await engine.call(self._take):
                    break
            if not self._state.finished:
                self._state.close(self.folder)

    def over(self) -> str | None:
        """The limit that it has passed, if it has."""
        state, place, now = self._state, self.place, _now()
        if place.idle_time:
            asked, self._asks = self._asks, _said(self.folder / "waiting")
            if asked or self._asks:  # also once when the answer has come
                state.heard = now
        if state.taken > place.output_limit:
            return "output_limit"
        if place.wall_time and now - state.begun > place.wall_time:
            return "wall_time"
        if place.idle_time and now - state.heard > place.idle_time:
            return "idle_time"
        return None

    def because(self, reason: str) -> None:
        """Remember why we end it; the first reason stays."""
        if self._state.reason is None:
            self._state.reason = reason
            self._state.write(self.folder)

    def end(self, code: int, starved: bool) -> Exit:
        """How it ended, by the status that the engine saw."""
        number = code - 128 if code - 128 in set(map(int, signal.valid_signals())) else None
        reason = self._state.reason or ("memory" if starved and code == 137 else None)
        status = None if number else code
        return Exit(status, number, reason, at=time.time_ns() // 1_000_000)

    def _attached(self, client: APIClient) -> Any:
        return client.attach_socket(self.place.name, params={"stdin": 1, "stream": 1})

    def _give(self, data: bytes, last: bool) -> None:
        raw = getattr(self._input, "_sock", self._input)
        raw.sendall(data)
        if last:
            raw.shutdown(1)

    def _take(self, client: APIClient) -> bool:
        """Whether there may be more at once."""
        state = self._state
        if self._log is None:
            self._log = _messages(client, self.place.name, state.since)
            self._skip = sum(state.counts.values())
        size, lines = 0, []
        for kind, at, data in self._log:
            if self._skip and at <= state.last:
                self._skip -= 1
                continue
            self._skip = 0  # what we have had is no longer all there: the log was cut by its size
            lines += state.message(kind, at, data)
            size += len(data) + 32
            if size >= CHUNK:
                break
        else:
            self._log = None
        if size:
            state.keep(self.folder, self.place.log_cap, lines)
        return self._log is not None


def _messages(client: APIClient, name: str, since: int) -> Iterator[tuple[bytes, str, bytes]]:
    """The log's messages from a second on, as far as there are any now: kind, time, bytes."""
    words = {"stdout": 1, "stderr": 1, "timestamps": 1, "since": since}
    url = f"{client.base_url}/v{client.api_version}/containers/{name}/logs"
    with client.get(url, params=words, stream=True, timeout=client.timeout) as answer:
        if answer.status_code in (404, 409):  # it was taken away, or is just now
            return
        answer.raise_for_status()
        answer.raw.auto_close = False  # else reading at its end raises
        stream = io.BufferedReader(answer.raw, CHUNK)
        while len(head := stream.read(8)) == 8:
            at, _, data = stream.read(int.from_bytes(head[4:], "big")).partition(b" ")
            yield _KINDS.get(head[0], b"o"), at.decode("ascii", "replace"), data


class _State:
    """What has been taken: the messages of each second since `since`, the time of the `last`, the
    pieces of lines that have no end yet, and the length of `output` with all that. `begun` and
    `heard` are seconds since the machine was started, which no change of the clock moves; no
    container outlives that."""

    def __init__(self) -> None:
        self.since, self.size, self.kept, self.taken = 0, 0, 0, 0
        self.counts: dict[int, int] = {}
        self.parts = {b"o": b"", b"e": b""}
        self.begun = self.heard = 0.0
        self.last = ""
        self.reason: str | None = None
        self.capped = self.finished = False
        self.dropped, self.tail = 0, b""

    @classmethod
    def of(cls, folder: Path) -> _State:
        state = cls()
        if (folder / FILE).exists():
            value = json.loads((folder / FILE).read_text("utf-8"))
            value["counts"] = {int(second): many for second, many in value["counts"].items()}
            value["parts"] = {k.encode(): base64.b64decode(v) for k, v in value["parts"].items()}
            vars(state).update(value)
            with open(folder / "output", "ab") as file:
                file.truncate(state.size)
        return state

    def message(self, kind: bytes, at: str, data: bytes) -> list[bytes]:
        """Count a message; the record that it completes, if it does."""
        second, ms = _time(at)
        self.counts[second] = self.counts.get(second, 0) + 1
        self.taken += len(data)
        self.last = max(self.last, at)
        self.heard = _now()
        self.parts[kind] += data
        if not data.endswith(b"\n") and len(self.parts[kind]) < LINE:
            return []
        whole, self.parts[kind] = self.parts[kind].rstrip(b"\n"), b""
        return [b"%d %s %s\n" % (ms, kind if data.endswith(b"\n") else kind.upper(), whole)]

    def keep(self, folder: Path, cap: int, lines: list[bytes]) -> None:
        """Append the records, and remember how far that was."""
        kept = []
        for line in lines:
            if not self.capped and self.kept + len(line) <= cap:
                self.kept += len(line)
                kept.append(line)
                continue
            if not self.capped:
                self.capped = True
                kept.append(_mark("log cap reached: what follows is read and not kept"))
            self.dropped += len(line)
            self.tail = (self.tail + line)[-2 * TAIL :]
        self._append(folder, kept)
        newest = max(self.counts, default=0)
        self.since = max(self.since, newest - _SLACK)
        self.counts = {at: many for at, many in self.counts.items() if at >= self.since}
        self.write(folder)

    def close(self, folder: Path) -> None:
        """The unfinished lines, and the last ones of what was not kept."""
        now = time.time_ns() // 1_000_000
        rest = [b"%d %s %s\n" % (now, kind, part) for kind, part in self.parts.items() if part]
        self.parts = {b"o": b"", b"e": b""}
        if self.capped:
            tail = (self.tail + b"".join(rest))[-TAIL:]
            tail = tail.partition(b"\n")[2] or tail
            words = f"{self.dropped - len(tail)} bytes were not kept; the last lines follow"
            rest = [_mark(words), tail]
        self._append(folder, rest)
        self.tail, self.finished = b"", True
        self.write(folder)

    def write(self, folder: Path) -> None:
        value = {key: kept for key, kept in vars(self).items() if key != "tail"}
        value["parts"] = {k.decode(): base64.b64encode(v).decode() for k, v in self.parts.items()}
        new = folder / f"{FILE}.new"
        with _unless_deleted():
            new.write_text(json.dumps(value), encoding="utf-8")
            new.rename(folder / FILE)

    def _append(self, folder: Path, lines: list[bytes]) -> None:
        with _unless_deleted(), open(folder / "output", "ab") as file:
            file.write(b"".join(lines))
            self.size = file.tell()


def _unless_deleted() -> contextlib.AbstractContextManager[None]:
    """An attempt whose folder was deleted, by hand say, is kept in its limits and ended like any
    other; what it says has no place any more."""
    return contextlib.suppress(FileNotFoundError)


def _now() -> float:
    return time.monotonic()


def _time(at: str) -> tuple[int, int]:
    """Second and ms since the epoch of `2026-11-21T14:00:46.933596481Z`."""
    whole, _, part = at.rstrip("Z").partition(".")
    try:
        second = calendar.timegm(time.strptime(whole, "%Y-%m-%dT%H:%M:%S"))
    except ValueError:
        second = int(time.time())
    return second, second * 1000 + int((part + "000")[:3])


def _mark(text: str) -> bytes:
    return b"%d m %s\n" % (time.time_ns() // 1_000_000, text.encode())


def _said(path: Path) -> bool:
    try:
        return bool(path.read_bytes().strip())
    except OSError:
        return False
