"""Real agents of the Agent Client Protocol, against scripted models on loopback, under the
launcher. Each is skipped by name where it isn't installed (scripts/tools.sh)."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from core.drivers.acp import AcpDriver
from core.model import AgentEvent, AgentEventKind
from core.ports import Exit
from core.sandboxes.host import HostSandbox
from tests.acp_kits import KITS, Kit
from tests.agent_bench import brief
from tests.fakes.model_server import Fail, ModelServer, Say, Turn
from tests.sandbox_bench import Bench, others_with, some_seconds, until

DRIVER = AcpDriver()
K = AgentEventKind
ASKING = Path(__file__).parents[1] / "fakes" / "asking_mcp.py"

LONG = 150.0
"""Seconds after which an agent that says nothing fails the test: some take long to begin."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
each = pytest.mark.parametrize("kit", KITS, ids=lambda kit: kit.name)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    for name in ("home", "artifacts", "workspace"):
        (tmp_path / name).mkdir()
    bench = Bench(HostSandbox(), tmp_path)
    yield bench
    await bench.clean()


class Attempt:
    """One attempt of a real agent, followed as the bot follows it."""

    def __init__(self, bench: Bench, kit: Kit, model: ModelServer, **told: Any) -> None:
        workspace = bench.base / "workspace"
        options = {"command": kit.command(), **kit.options, **told.pop("options", {})}
        plan = DRIVER.plan(brief(workspace, "Please do it.", options=options, **told))
        env = kit.env(bench.base / "home", model.url) | dict(plan.env)
        self._bench = bench
        self.order = bench.order(*plan.argv, workspace=workspace, env=env, grace=3.0,
                                 first_input=plan.first_input, input_open=True)
        self.handle = ""
        self.events: list[AgentEvent] = []
        self._position = self._inputs = self._seen = 0

    async def start(self) -> Attempt:
        self.handle = await self._bench.start(self.order)
        return self

    async def until(self, *kinds: AgentEventKind) -> AgentEvent:
        """The next event of one of these kinds."""
        async with asyncio.timeout(LONG):
            while True:
                while self._seen < len(self.events):
                    self._seen += 1
                    if self.events[self._seen - 1].kind in kinds:
                        return self.events[self._seen - 1]
                alive = (await self._bench.sandbox.status(self.order.folder, self.handle)).alive
                assert await self._read() or alive, f"it ended before {kinds}: {self.events}"
                await asyncio.sleep(0.02)

    async def _read(self) -> bool:
        lines = await self._bench.sandbox.read(self.order.folder, self._position, 1 << 20)
        for line in lines:
            self._position = line.end
            self.events += DRIVER.parse(line)
        return bool(lines)

    async def send(self, data: bytes, last: bool = False) -> None:
        self._inputs += 1
        await self._bench.sandbox.send(self.order.folder, self._inputs, data, last)

    async def answer(self, allow: bool, text: str = "") -> AgentEvent:
        asked = await self.until(K.PERMISSION_REQUEST)
        await self.send(DRIVER.answer(asked.data["request"], allow, text))
        return asked

    async def finish(self) -> Exit:
        """Its result (what it asks meanwhile is allowed), the end of its input, its end."""
        while not self.of(K.FINISHED):
            event = await self.until(K.FINISHED, K.PERMISSION_REQUEST)
            if event.kind is K.PERMISSION_REQUEST:
                await self.send(DRIVER.answer(event.data["request"], True, ""))
        await self.send(b"", last=True)
        end = await self._bench.end(self.order, self.handle)
        while await self._read():
            pass
        return end

    def of(self, kind: AgentEventKind) -> list[AgentEvent]:
        return [event for event in self.events if event.kind is kind]

    def said(self) -> str:
        return "\n".join(event.text for event in self.of(K.TEXT))

    @property
    def ok(self) -> bool:
        return DRIVER.verdict(self.of(K.FINISHED)[-1], None).ok

    @property
    def reason(self) -> str:
        return DRIVER.verdict(self.of(K.FINISHED)[-1], None).reason or ""


def waits(seconds: str) -> str:
    """A command that waits, and is told from every other by these words."""
    return f"python3 -c 'import time; time.sleep({seconds})'"


def serving(kit: Kit, turns: Sequence[Turn]) -> ModelServer:
    return kit.server({"Please do it.": turns})


@each
async def test_a_file_is_written_once_that_is_allowed(kit: Kit, bench: Bench) -> None:
    target = bench.base / "workspace" / "greeting.txt"
    async with serving(kit, [kit.writes(target, "hello\n"), Say("All\nover.")]) as model:
        attempt = await Attempt(bench, kit, model).start()
        asked = await attempt.until(K.PERMISSION_REQUEST)
        assert "hello" in asked.text and str(target) in asked.text and not target.exists()
        await attempt.send(DRIVER.answer(asked.data["request"], True, ""))
        end = await attempt.finish()
    assert (attempt.ok, end.status) == (True, 0), attempt.events
    assert target.read_text() == "hello\n"
    (change,) = attempt.of(K.FILE_CHANGE)
    assert change.data == {"path": str(target), "added": 1, "removed": 0}
    assert len(attempt.of(K.TOOL_CALL)) == len(attempt.of(K.TOOL_RESULT)) == 1
    assert attempt.of(K.FINISHED)[0].text.endswith("All\nover.")


@each
async def test_a_command_is_not_run_when_that_is_denied(kit: Kit, bench: Bench) -> None:
    async with serving(kit, [kit.runs("touch made.txt"), Say("Then not.")]) as model:
        attempt = await Attempt(bench, kit, model).start()
        asked = await attempt.answer(False, "Make none.")
        assert "touch made.txt" in asked.text
        await attempt.finish()
        prompts = str(model.requests)
    assert not (bench.base / "workspace" / "made.txt").exists()
    assert "Make none." in prompts, "the reason reached the model"


async def at_its_command(bench: Bench, kit: Kit, model: Any, seconds: str) -> Attempt:
    """It was allowed to run its command, and does."""
    attempt = await Attempt(bench, kit, model).start()
    await attempt.answer(True)
    await until(lambda: bool(others_with(f"time.sleep({seconds})")), "the command runs")
    return attempt


@each
async def test_an_interrupt_ends_a_command_and_the_turn(kit: Kit, bench: Bench) -> None:
    seconds = some_seconds()
    async with serving(kit, [kit.runs(waits(seconds)), Say("Slept.")]) as model:
        attempt = await at_its_command(bench, kit, model, seconds)
        await attempt.send(DRIVER.interrupt())
        await attempt.finish()
        await until(lambda: not others_with(f"time.sleep({seconds})"), "the command's end")
    assert attempt.reason == "interrupted"


@each
async def test_an_interrupt_while_it_asks_ends_the_turn(kit: Kit, bench: Bench) -> None:
    async with serving(kit, [kit.runs("touch made.txt"), Say("Made.")]) as model:
        attempt = await Attempt(bench, kit, model).start()
        await attempt.until(K.PERMISSION_REQUEST)
        await attempt.send(DRIVER.interrupt())
        await attempt.finish()
    assert attempt.reason == "interrupted"
    assert not (bench.base / "workspace" / "made.txt").exists()


@pytest.mark.parametrize("kit", [kit for kit in KITS if kit.resumes], ids=lambda kit: kit.name)
async def test_a_conversation_goes_on_after_its_process_has_ended(kit: Kit, bench: Bench) -> None:
    async with serving(kit, [Say("The first answer.")]) as model:
        first = await Attempt(bench, kit, model).start()
        session = (await first.until(K.STARTED)).data["driver_session"]
        await first.finish()
    async with serving(kit, [Say("Never said."), Say("The second answer.")]) as model:
        again = await Attempt(bench, kit, model, resume=session, whole="All of it.").start()
        started = await again.until(K.STARTED)
        await again.finish()
        heard = str(model.requests[-1])
    assert started.data["driver_session"] == session and "goes on" in started.text
    assert "The first answer." in heard and "All of it." not in heard
    assert "The first answer." not in again.said(), "what was told is not told again"


@pytest.mark.parametrize("kit", [kit for kit in KITS if not kit.resumes], ids=lambda k: k.name)
async def test_one_that_does_not_find_its_conversation_hears_all_again(
    kit: Kit, bench: Bench
) -> None:
    async with serving(kit, [Say("The first answer.")]) as model:
        first = await Attempt(bench, kit, model).start()
        session = (await first.until(K.STARTED)).data["driver_session"]
        await first.finish()
        again = await Attempt(bench, kit, model, resume=session, whole="All of it.").start()
        started = await again.until(K.STARTED)
        await again.finish()
        assert "All of it." in str(model.requests[-1])
    assert started.data["driver_session"] != session and again.ok
    assert "can't go on with its conversation" in again.said()


@each
async def test_a_question_goes_by_the_tool_of_bullpens(kit: Kit, bench: Bench) -> None:
    """The protocol has no questions: an agent asks with a tool over MCP."""
    async with serving(kit, [kit.asks("Tea?"), Say("Thanks.")]) as model:
        attempt = await Attempt(bench, kit, model, mcp=(sys.executable, str(ASKING))).start()
        await attempt.finish()
        heard = str(model.requests[-1])
    assert "Tea? yes, says" in heard, heard[-3000:]


@each
async def test_a_usage_limit_is_told(kit: Kit, bench: Bench) -> None:
    limit = Fail(429, "rate_limit_error", "You have reached your usage limit.",
                 {"retry-after": "0"})
    async with serving(kit, [limit]) as model:
        attempt = await Attempt(bench, kit, model).start()
        await attempt.finish()
    assert attempt.of(K.LIMIT) and not attempt.ok, attempt.events


@each
@pytest.mark.parametrize("force", [False, True], ids=["stopped", "killed"])
async def test_nothing_is_left_of_it(force: bool, kit: Kit, bench: Bench) -> None:
    seconds = some_seconds()
    async with serving(kit, [kit.runs(f"setsid {waits(seconds)}"), Say("Slept.")]) as model:
        attempt = await at_its_command(bench, kit, model, seconds)
        end = await bench.sandbox.stop(attempt.order.folder, attempt.handle, force=force)
    assert end.reason == "stopped"
    assert not others_with(f"time.sleep({seconds})") and not others_with(str(bench.base) + "/")


@each
async def test_its_end_in_the_middle_of_its_work_is_told(kit: Kit, bench: Bench) -> None:
    seconds = some_seconds()
    async with serving(kit, [kit.runs(waits(seconds)), Say("Slept.")]) as model:
        attempt = await at_its_command(bench, kit, model, seconds)
        os.kill(agent_of(bench), signal.SIGKILL)
        await attempt.until(K.FINISHED)
        await bench.end(attempt.order, attempt.handle)
    assert "ended in the middle of its work (signal 9 (SIGKILL))" in attempt.reason
    assert not others_with(f"time.sleep({seconds})")


def agent_of(bench: Bench) -> int:
    """The bridge's child."""
    (bridge,) = [pid for pid in others_with("acp_bridge/__main__.py")
                 if str(bench.base).encode() in Path(f"/proc/{pid}/cmdline").read_bytes()]
    children = Path(f"/proc/{bridge}/task/{bridge}/children").read_text().split()
    return int(children[0])
