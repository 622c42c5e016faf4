"""A bench for sandboxes: starts attempts in a test's folder and leaves nothing behind."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from core.errors import Unreachable
from core.ports import Exit, Line, Order, Sandbox
from core.sandboxes.bubblewrap import BubblewrapSandbox
from core.sandboxes.docker import DockerSandbox
from core.sandboxes.host import HostSandbox
from tests import docker_ground
from tests.fakes.sandbox import CutOff
from tests.needs import need

PATIENCE = 60.0
"""Seconds after which a wait fails: a bound for a busy machine, not a measure."""

ENV = {"PATH": "/usr/local/bin:/usr/bin:/bin"}


def _bubblewrap(base: Path) -> Sandbox:
    sandbox = BubblewrapSandbox(hidden=(base / "data",))
    problem = sandbox.missing({})
    need("bubblewrap", problem is None, problem or "")
    return sandbox


def _docker(base: Path) -> Sandbox:
    return DockerSandbox(base / "data", docker_ground.engine().address)


SANDBOXES: dict[str, Callable[[Path], Sandbox]] = {
    "host": lambda base: HostSandbox(),
    "bubblewrap": _bubblewrap,
    "docker": _docker,
    "scripted": lambda base: CutOff("scripted"),
}
"""Every sandbox that the contract suite runs over: its name, and what makes one for a test's
folder, or skips the test with what is missing."""

ORDERS: dict[str, dict[str, object]] = {
    "docker": {"container": {"image": docker_ground.PYTHON_IMAGE}},
}
"""What every order to a sandbox of that name must say besides, its `container` say."""

WALLED = [name for name in SANDBOXES if name not in ("host", "scripted")]
"""Those that isolate."""


@dataclass
class Bench:
    sandbox: Sandbox
    base: Path
    started: list[tuple[Path, str]] = field(default_factory=list)
    count: int = 0

    def order(self, *argv: str, **changes: object) -> Order:
        """The next attempt: a command line in a workspace of its own."""
        self.count += 1
        folder = self.base / f"attempt-{self.count}"
        workspace = self.base / "workspace"
        workspace.mkdir(exist_ok=True)
        order = Order("coding-7f3a91c2", self.count, folder, workspace, argv, ENV, grace=0.3)
        changes = {**ORDERS.get(self.sandbox.name, {}), **changes}
        return replace(order, **changes)  # type: ignore[arg-type]

    def script(self, text: str, **changes: object) -> Order:
        """The next attempt: a script of Python."""
        return self.order(sys.executable, "-I", "-S", "-u", "-c", text, **changes)

    async def start(self, order: Order) -> str:
        handle = await self.sandbox.start(order)
        self.started.append((order.folder, handle))
        return handle

    async def end(self, order: Order, handle: str) -> Exit:
        """How it ended, waited for."""
        async with asyncio.timeout(PATIENCE):
            await self.sandbox.ended(order.folder, handle)
        status = await self.sandbox.status(order.folder, handle)
        assert not status.alive
        assert status.end is not None
        return status.end

    async def back(self, order: Order, handle: str) -> Exit:
        """How it ended; asked until there is an answer, as the house does."""
        async with asyncio.timeout(PATIENCE):
            while True:
                try:
                    return await self.end(order, handle)
                except Unreachable:
                    await asyncio.sleep(0.1)

    async def lost(self, order: Order, handle: str) -> str:
        """Wait until it is known that nothing is known, and why."""
        async with asyncio.timeout(PATIENCE):
            try:
                await self.sandbox.ended(order.folder, handle)
            except Unreachable as error:
                return str(error)
        raise AssertionError("it has ended meanwhile")

    async def play(self, order: Order) -> tuple[Exit, list[Line]]:
        """Start it, and wait for its end: how that was, and all that it wrote."""
        end = await self.end(order, await self.start(order))
        return end, await self.lines(order)

    async def lines(self, order: Order, position: int = 0, step: int = 1 << 20) -> list[Line]:
        """All lines from a position, read in steps of about so many bytes."""
        found: list[Line] = []
        while lines := await self.sandbox.read(order.folder, position, step):
            found += lines
            position = lines[-1].end
        return found

    async def said(self, order: Order, text: str) -> None:
        """Wait until a line holds that text."""
        async with asyncio.timeout(PATIENCE):
            while not any(text in line.text for line in await self.lines(order)):
                await asyncio.sleep(0.02)

    async def clean(self) -> None:
        for folder, handle in self.started:
            await self.sandbox.stop(folder, handle, force=True)


async def after_an_answer_it_has_its_whole_idle_time(bench: Bench, **changes: object) -> None:
    """Whoever was asked took longer than that; the agent thinks before it speaks again."""
    order = bench.order("sh", "-c", "echo ready; read x; sleep 2; echo $x",
                        idle_time=6.0, input_open=True, **changes)  # fmt: skip
    handle = await bench.start(order)
    await bench.said(order, "ready")
    await bench.sandbox.note(order.folder, "waiting", "yes")
    done = asyncio.create_task(bench.sandbox.ended(order.folder, handle))
    await asyncio.wait({done}, timeout=9.3)
    await bench.sandbox.send(order.folder, 1, b"go\n")
    await bench.sandbox.note(order.folder, "waiting", "")
    await asyncio.wait_for(done, PATIENCE)
    end = await bench.end(order, handle)
    assert (end.reason, texts(await bench.lines(order))) == (None, ["ready", "go"])


async def until(true: Callable[[], bool], what: str) -> None:
    """Wait until something is so; fails loudly when it never is."""
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        await asyncio.sleep(0.01)


def lose(folder: Path) -> None:
    """Delete a folder as a person would, whoever writes in there meanwhile."""
    deadline = time.monotonic() + PATIENCE
    while folder.exists():
        assert time.monotonic() < deadline, f"{folder} can't be deleted"
        shutil.rmtree(folder, ignore_errors=True)


def lives(pid: int) -> bool:
    """Whether a process with that pid is there and no zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0]
    except OSError:
        return False
    return state != b"Z"


def texts(lines: list[Line], stream: str = "out") -> list[str]:
    return [line.text for line in lines if line.stream == stream]


def written_pid(path: Path) -> int:
    """The pid that a process has written into a file, or 0 until it has."""
    text = path.read_text() if path.exists() else ""
    return int(text) if text.endswith("\n") else 0


def some_seconds() -> str:
    """A time to sleep by which a process is told from every other: inside a sandbox it has
    another pid than outside, but the same words."""
    return f"1000.{uuid.uuid4().int >> 70}"


def others_with(text: str) -> list[int]:
    """The living processes whose command line holds that text."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            words = Path(f"/proc/{name}/cmdline").read_bytes()
        except OSError:
            continue
        if text.encode() in words and lives(int(name)):
            found.append(int(name))
    return found
