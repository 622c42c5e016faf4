"""What an agent says is taken in line by line; no line holds up those that follow it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import structlog

from core.errors import Broken, Unreachable
from core.house import House
from core.lifecycle import Situation
from core.model import AgentEvent
from core.ports import Line
from core.sandboxes.host import HostSandbox
from core.sessions.tailer import Tailer
from core.store import logs
from core.store.database import Store
from tests.fakes.clock import FakeClock
from tests.house_bench import bring, house

LINES = [Line("out", 1, text, at) for at, text in enumerate(["one", "odd", "odd too", "last"], 1)]


class Stumbles:
    """A driver that can't read what is odd; all else is as it is with the one it wraps."""

    def __init__(self, driver: Any) -> None:
        self._driver = driver

    def parse(self, line: Line) -> Sequence[AgentEvent]:
        if "odd" in line.text:
            raise OverflowError("int too large")
        found: Sequence[AgentEvent] = self._driver.parse(line)
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self._driver, name)


class Scripted(HostSandbox):
    """A sandbox whose processes have said these lines."""

    async def read(self, folder: Path, position: int, limit: int) -> Sequence[Line]:
        return [line for line in LINES if line.end > position]


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    store = await Store(tmp_path / "data", FakeClock().now).open()
    plain = house(store, tmp_path)
    drivers: Mapping[str, Any] = {n: Stumbles(one) for n, one in plain.drivers.items()}
    yield replace(plain, drivers=drivers, sandboxes={"host": Scripted()})
    await store.close()


async def test_a_line_that_breaks_the_driver_is_kept_as_text(home: House) -> None:
    task = await home.store.write(lambda tx: bring(tx, home, Situation.WORKING))
    (row,) = await home.store.read("SELECT id FROM sessions WHERE task_id = ?", (task.id,))
    tailer = await Tailer.at(home, row["id"], lambda: None)
    with structlog.testing.capture_logs() as told:
        await tailer.drain()
    said = await home.store.logs.write(lambda tx: logs.tail(tx, row["id"], 10))
    assert said == ["one", "odd", "odd too", "last"]
    assert [one["event"] for one in told] == ["a line could not be read"]
    (attempt,) = await home.store.read("SELECT position FROM attempts")
    assert attempt["position"] == len(LINES)


class Lost(HostSandbox):
    """What it said can't be read any more."""

    why: Exception = Broken("output: Input/output error")

    async def read(self, folder: Path, position: int, limit: int) -> Sequence[Line]:
        if position < 2:
            return [line for line in LINES[:2] if line.end > position]
        raise self.why


async def test_an_output_that_is_lost_ends_with_a_mark_and_holds_no_end_up(home: House) -> None:
    lost = Lost()
    home = replace(home, sandboxes={"host": lost})
    task = await home.store.write(lambda tx: bring(tx, home, Situation.WORKING))
    (row,) = await home.store.read("SELECT id FROM sessions WHERE task_id = ?", (task.id,))
    lost.why = Unreachable("no answer")
    with pytest.raises(Unreachable):
        await (await Tailer.at(home, row["id"], lambda: None)).drain()
    lost.why = Broken("output: Input/output error")
    for _ in range(2):  # again after a restart
        await (await Tailer.at(home, row["id"], lambda: None)).drain()
    said = await home.store.logs.write(lambda tx: logs.tail(tx, row["id"], 10))
    assert said[:2] == ["one", "odd"]
    assert said[2:] == ["the rest of the output can't be read: output: Input/output error"]
