"""Whatever an agent writes, with whatever driver: its session is kept until its end, and ends."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.drivers.acp import AcpDriver
from core.drivers.claude import ClaudeDriver
from core.drivers.codex import CodexDriver
from core.drivers.command import CommandDriver
from core.drivers.model_call import ModelCallDriver
from core.errors import Broken
from core.lifecycle import Situation
from core.model import AgentEvent, AgentEventKind, Limits
from core.ports import Driver, Exit, Line, Status
from core.sessions.absorb import LEFT_OUT
from core.sessions.crowding import AT_ONCE, DENIED
from core.sessions.keeper import Keeper
from core.store import logs
from core.store.database import Store
from tests.agent_bench import FIXTURES, recorded
from tests.damaged import JSON_VALUES, replaced
from tests.fakes.clock import FakeClock
from tests.fakes.sandbox import CutOff
from tests.house_bench import bring, house

NOW = 1_795_257_000_000
K = AgentEventKind


class Ended(CutOff):
    """A sandbox of this machine: what runs there ends by itself, or when it is asked to.
    `odd`: what comes of reading its output, where it can't be read."""

    def __init__(self, by_itself: bool = True, odd: Exception | None = None) -> None:
        super().__init__()
        self.over = asyncio.Event()
        self.told: list[bytes] = []
        self.odd = odd
        if by_itself:
            self.over.set()

    async def read(self, folder: Path, position: int, limit: int) -> Sequence[Line]:
        if self.odd is not None:
            raise self.odd
        return await super().read(folder, position, limit)

    async def status(self, folder: Path, handle: str) -> Status:
        return Status(not self.over.is_set(), Exit(status=0) if self.over.is_set() else None)

    async def ended(self, folder: Path, handle: str) -> None:
        await self.over.wait()

    async def send(self, folder: Path, number: int, data: bytes, last: bool = False) -> None:
        self.told.append(data)

    async def stop(self, folder: Path, handle: str, force: bool = False) -> Exit:
        self.over.set()
        return Exit(reason="stopped")


class Odd(CommandDriver):
    """A driver that reads in a line what can't be kept: in the log, or in the state. Like
    Claude's, it can ask an agent to end."""

    def parse(self, line: Line) -> Sequence[AgentEvent]:
        if line.text == "no text":
            return (AgentEvent(K.TEXT, "\ud800"),)
        if line.text == "no time":
            return (AgentEvent(K.LIMIT, "limit", {"reset_at": "soon"}),)
        if line.text == "no path":
            return (AgentEvent(K.FILE_CHANGE, "file", {"path": "a\udfffb"}),)
        if line.text == "the end":
            return (AgentEvent(K.FINISHED, "done", {"ok": True}),)
        return super().parse(line)

    def interrupt(self) -> bytes:
        return b"stop\n"


class Play:
    """A session of one driver, at work in a sandbox that is played."""

    def __init__(self, store: Store, folder: Path, driver: Driver, sandbox: Ended) -> None:
        home = house(store, folder, timezone="Pacific/Kiritimati", poll=0.02, interrupt=2.0)
        agents = {name: replace(agent, driver=driver.name, limits=Limits())
                  for name, agent in home.agents.items()}
        home.current.setup = replace(home.current.setup, agents=agents)
        self.home = replace(home, drivers={driver.name: driver}, sandboxes={"host": sandbox})
        self.store, self.driver, self.sandbox = store, driver, sandbox
        self.id = ""

    async def begin(self, *lines: str) -> None:
        task = await self.store.write(lambda tx: bring(tx, self.home, Situation.WORKING))
        (row,) = await self.store.read("SELECT id FROM sessions WHERE task_id = ?", (task.id,))
        self.id = row["id"]
        await self.store.write(lambda tx: tx.run(
            "UPDATE sessions SET driver = ?, sandbox = 'host' WHERE id = ?",
            (self.driver.name, self.id)))
        folder = self.home.attempt_folder(self.id, 1)
        folder.mkdir(parents=True)
        output = "".join(f"{NOW} o {line}\n" for line in lines)
        (folder / "output").write_bytes(output.encode(errors="surrogatepass"))

    async def kill(self) -> None:
        await self.store.write(lambda tx: tx.run(
            "UPDATE sessions SET state = 'terminating', outcome = 'killed' WHERE id = ?",
            (self.id,)))

    async def run(self) -> str:
        """Its keeper to the end; the session's state."""
        await asyncio.wait_for(Keeper(self.home, self.id).run(), 60)
        (attempt,) = await self.store.read(
            "SELECT state FROM attempts WHERE session_id = ?", (self.id,))
        assert attempt["state"] == "ended"
        (session,) = await self.store.read(
            "SELECT state FROM sessions WHERE id = ?", (self.id,))
        return str(session["state"])

    async def said(self) -> list[str]:
        return await self.store.logs.write(lambda tx: logs.tail(tx, self.id, 50))


@pytest.fixture
async def store(tmp_path: Path) -> Any:
    store = await opened(tmp_path)
    yield store
    await store.close()


LINES = ["one", "no text", "two", "no time", "no path", "no text", "three", "the end"]


async def test_what_cannot_be_taken_in_is_left_out_with_one_mark(
    store: Store, tmp_path: Path
) -> None:
    play = Play(store, tmp_path, Odd(), Ended())
    await play.begin(*LINES)
    assert await play.run() == "suspended"
    assert await play.said() == ["one", LEFT_OUT, "two", "limit", "file", "three", "done"]
    (iteration,) = await store.read("SELECT summary, state FROM iterations")
    assert tuple(iteration) == ("done", "completed")


@pytest.mark.parametrize("odd", [None, Broken("no file"), ValueError("too many digits")])
async def test_what_is_killed_is_stopped_although_what_it_wrote_cannot_be_taken_in(
    store: Store, tmp_path: Path, odd: Exception | None
) -> None:
    sandbox = Ended(by_itself=False, odd=odd)
    play = Play(store, tmp_path, Odd(), sandbox)
    await play.begin(*LINES[:4])
    await play.kill()
    assert await play.run() == "terminated"
    said = await play.said()
    assert said[-1] == f"the rest of the output can't be read: {odd}" if odd else LEFT_OUT in said


def asks(number: int) -> str:
    request = {"subtype": "can_use_tool", "tool_name": "Bash",
               "input": {"command": f"echo {number}"}}
    return json.dumps({"type": "control_request", "request_id": f"r{number}", "request": request})


async def test_a_flood_of_requests_reaches_no_person_and_is_denied_at_once(
    store: Store, tmp_path: Path
) -> None:
    """As many as one may call beside each other are asked; the agent hears of each other one, and
    people of them all, once."""
    sandbox = Ended(by_itself=False)
    play = Play(store, tmp_path, ClaudeDriver(), sandbox)
    await play.begin(*map(asks, range(2000)))
    kept = asyncio.create_task(play.run())
    while not sandbox.told and not kept.done():
        await asyncio.sleep(0.01)
    sandbox.over.set()
    await kept
    told = [json.loads(line)["response"] for line in sandbox.told[0].splitlines()]
    assert [one["request_id"] for one in told] == [f"r{number}" for number in range(AT_ONCE, 2000)]
    assert {one["response"]["behavior"] for one in told} == {"deny"}
    (gates,) = await store.read("SELECT count(*) FROM gates")
    assert gates[0] == AT_ONCE
    (said,) = await store.read("SELECT text, severity FROM events WHERE text LIKE '%at once%'")
    assert said["severity"] == "warning" and "TASK-001" in said["text"]
    marks = await store.logs.write(lambda tx: tx.all(
        "SELECT text FROM lines WHERE stream = 'mark' AND text = ?", (DENIED,)))
    assert len(marks) == 1


def test_a_failure_of_blanks_without_end_is_judged_in_one_go() -> None:
    last = AgentEvent(K.FINISHED, "", {"ok": False, "error": "It failed:" + " " * 900_000})
    assert (ClaudeDriver().verdict(last, None).reason or "").startswith("It failed:")


WORDS = ("type", "subtype", "message", "usage", "request", "result", "item", "error", "acp",
         "text", "content", "input", "id", "model", "questions", "options")
KINDS = ("system", "assistant", "result", "control_request", "rate_limit_event", "init",
         "can_use_tool", "turn.failed", "turn.completed", "item.completed", "started", "usage",
         "permission", "failed", "finished", "limit", "error")
FIGURES = st.sampled_from([2**53 - 1, 2**63, 10**30, -1, 1e300, 253_402_300_799, 9e15])
VALUES = JSON_VALUES | FIGURES | st.sampled_from(["\0", "\u2028", "AskUserQuestion", "9" * 400])
ANYTHING = st.dictionaries(st.sampled_from(WORDS), st.sampled_from(KINDS) | VALUES, max_size=5)
FOLDERS = {"claude": "claude", "codex": "codex", "acp": "acp"}
DRIVERS: dict[str, Driver] = {driver.name: driver for driver in (
    ClaudeDriver(), CodexDriver(), AcpDriver(), CommandDriver(), ModelCallDriver())}


def rows_of(name: str) -> list[str]:
    """Lines that such an agent has written."""
    folder = FIXTURES / FOLDERS.get(name, "claude")
    files = sorted(path.stem for path in folder.glob("*.jsonl"))
    return [row["text"] for file in files for row in recorded(file, folder)
            if row["stream"] == "out" and row["text"].startswith("{")]


@st.composite
def hostile(draw: st.DrawFn, rows: list[str]) -> str:
    """A line: one of a recording with a value that is another, or anything at all."""
    if draw(st.booleans()):
        found = json.loads(draw(st.sampled_from(rows)))
        where = draw(st.randoms(use_true_random=False))
        for _ in range(draw(st.integers(1, 3))):
            found = replaced(found, where, draw(VALUES))
    else:
        found = draw(ANYTHING)
    return json.dumps(found, ensure_ascii=draw(st.booleans()))


EXAMPLES = int(os.environ.get("BULLPEN_TEST_HOSTILE", "100"))


@pytest.mark.parametrize("name", DRIVERS)
def test_whatever_it_writes_its_session_ends(name: str, tmp_path: Path) -> None:
    """One house for all of them: what one said must not hold up the next."""
    with asyncio.Runner() as loop:
        store = loop.run(opened(tmp_path))
        play = loop.run(made(store, tmp_path, DRIVERS[name]))

        @settings(max_examples=EXAMPLES, deadline=None,
                  suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
        @given(lines=st.lists(hostile(rows_of(name)), min_size=1, max_size=8))
        def check(lines: list[str]) -> None:
            loop.run(play.begin(*lines))
            assert loop.run(play.run()) in ("suspended", "terminated")

        check()
        loop.run(store.close())


async def opened(folder: Path) -> Store:
    return await Store(folder / "data", FakeClock(NOW).now).open()


async def made(store: Store, folder: Path, driver: Driver) -> Play:
    return Play(store, folder, driver, Ended())
