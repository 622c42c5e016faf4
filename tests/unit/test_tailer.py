"""What an agent says is taken in line by line; no line holds up those that follow it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import structlog

from core.drivers.command import CommandDriver
from core.errors import Unreachable
from core.house import House
from core.lifecycle import Situation
from core.model import AgentEvent
from core.ports import Line
from core.sessions.tailer import Tailer
from core.store import logs
from core.store.database import Store
from tests.fakes.clock import FakeClock
from tests.fakes.sandbox import CutOff
from tests.house_bench import bring, house

SAID = ["one", "odd", "odd too", "last"]


class Stumbling(CommandDriver):
    """A driver that can't read what is odd."""

    def parse(self, line: Line) -> Sequence[AgentEvent]:
        if "odd" in line.text:
            raise OverflowError("int too large")
        return super().parse(line)


class Session:
    """One at work in a sandbox that can be cut off."""

    def __init__(self, home: House, sandbox: CutOff, name: str) -> None:
        self.home, self.sandbox, self.name = home, sandbox, name
        self.output = home.attempt_folder(name, 1) / "output"
        self.output.parent.mkdir(parents=True)

    def says(self, *lines: str) -> None:
        with self.output.open("a") as file:
            file.writelines(f"1 o {line}\n" for line in lines)

    async def drain(self) -> None:
        """As after a restart."""
        await (await Tailer.at(self.home, self.name, lambda: None)).drain()

    async def said(self) -> list[str]:
        return await self.home.store.logs.write(lambda tx: logs.tail(tx, self.name, 10))


@pytest.fixture
async def session(tmp_path: Path) -> AsyncIterator[Session]:
    store = await Store(tmp_path / "data", FakeClock().now).open()
    plain, sandbox = house(store, tmp_path), CutOff()
    home = replace(plain, drivers=dict.fromkeys(plain.drivers, Stumbling()),
                   sandboxes={"host": sandbox})
    task = await store.write(lambda tx: bring(tx, home, Situation.WORKING))
    (row,) = await store.read("SELECT id FROM sessions WHERE task_id = ?", (task.id,))
    yield Session(home, sandbox, row["id"])
    await store.close()


async def test_a_line_that_breaks_the_driver_is_kept_as_text(session: Session) -> None:
    session.says(*SAID)
    with structlog.testing.capture_logs() as told:
        await session.drain()
    assert await session.said() == SAID
    assert [one["event"] for one in told] == ["a line could not be read"]
    (attempt,) = await session.home.store.read("SELECT position FROM attempts")
    assert attempt["position"] == session.output.stat().st_size


async def test_an_output_that_is_lost_ends_with_a_mark_and_holds_no_end_up(
    session: Session,
) -> None:
    session.says(*SAID[:2])
    await session.drain()
    session.says(*SAID[2:])
    session.sandbox.cut()
    with pytest.raises(Unreachable):
        await session.drain()
    session.sandbox.mend()
    assert await session.said() == SAID[:2]
    session.output.parent.rename(session.output.parent.with_name("away"))
    session.output.parent.touch()
    for _ in range(2):
        await session.drain()
    lost = f"the rest of the output can't be read: {session.output} can't be read: Not a directory"
    assert await session.said() == [*SAID[:2], lost]
