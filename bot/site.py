"""The dashboard's builder, seen from the bot: a niced child process, a line a tick."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.cards.place import bounds
from core.errors import Broken
from core.house import House
from core.model import Agent
from core.waiting import left

_ENVIRONMENT = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "PYTHONPATH", "VIRTUAL_ENV")
_LIMIT = 1 << 20


@dataclass(frozen=True, slots=True)
class Report:
    """What a tick did: files written and removed (besides `heartbeat.js`), how many seconds
    it took, and the newest event that the pages now show."""

    written: int
    removed: int
    seconds: float
    seq: int


class Site:
    """Keeps the pages of a data folder fresh. One per process and data folder.

    `interval` is in seconds and only told to the pages; whoever owns this calls `tick`.
    `agents` are the names to show also while they are idle. `now` tells at each tick what may
    change: `secrets`, and of the crew what `site_gen.crew` knows (`agents` in full, `slots`,
    `timezone`, `day_tokens`, `day_usd`).
    """

    def __init__(
        self,
        data: Path,
        *,
        interval: float = 60.0,
        secrets: Sequence[str] = (),
        title: str = "Bullpen",
        agents: Sequence[str] = (),
        out: Path | None = None,
        demo: bool = False,
        now: Callable[[], Mapping[str, Any]] | None = None,
    ) -> None:
        self._data = data
        self.out = out or data / "site"
        self._now = now
        self._settings: dict[str, Any] = {
            "interval": interval,
            "title": title,
            "secrets": list(secrets),
            "agents": list(agents),
            "demo": demo,
        } | self._fresh()
        self._child: asyncio.subprocess.Process | None = None
        self._turn: asyncio.Task[Report] | None = None
        self._again: asyncio.Task[Report] | None = None

    @property
    def pid(self) -> int | None:
        """The child's process id, None while there is none."""
        return None if self._child is None else self._child.pid

    async def start(self) -> None:
        """Start the child. Raises Broken when it can't be started."""
        if self._child is not None and self._child.returncode is None:
            return
        argv = [sys.executable, "-m", "site_gen", "--data", str(self._data), "--out", str(self.out)]
        pipe = asyncio.subprocess.PIPE
        try:
            self._child = await asyncio.create_subprocess_exec(
                *argv,
                stdin=pipe,
                stdout=pipe,
                stderr=asyncio.subprocess.DEVNULL,
                env=_environment(),
                limit=_LIMIT,
                start_new_session=True,
            )
            await self._send(json.dumps(self._settings))
        except OSError as error:
            raise Broken(f"The dashboard's builder can't be started: {error}.") from error

    async def tick(self) -> Report:
        """Bring the pages up to now. Only one tick is under way: who asks meanwhile shares
        the next one. Starts the child anew when it has died. Raises Broken."""
        if self._turn is None or self._turn.done():
            self._turn = asyncio.create_task(self._tick())
            return await asyncio.shield(self._turn)
        if self._again is None or self._again.done():
            self._again = asyncio.create_task(self._after(self._turn))
        return await asyncio.shield(self._again)

    async def close(self, patience: float = 1.0) -> None:
        """End the child: at once where it is idle, within `patience` seconds where it isn't."""
        for task in (self._again, self._turn):
            if task is not None:
                await left(task)
        child, self._child = self._child, None
        if child is None or child.stdin is None:
            return
        child.stdin.close()
        try:
            await asyncio.wait_for(child.wait(), patience)
        except TimeoutError:
            await _ended(child)  # each file is replaced whole, so nothing is left half-written

    async def _after(self, before: asyncio.Task[Report]) -> Report:
        await asyncio.wait([before])
        self._turn, self._again = asyncio.current_task(), None
        return await self._tick()

    async def _tick(self) -> Report:
        await self._renew()
        for last in (False, True):
            await self.start()
            try:
                await self._send("tick")
                return _report(await self._answer())
            except (BrokenPipeError, ConnectionResetError, EOFError) as error:
                await self._bury()
                if last:
                    raise Broken(
                        "The dashboard's builder ended twice in a row. Run "
                        f"python -m site_gen --data {self._data} --once to see why."
                    ) from error
        raise AssertionError("unreachable")

    async def _renew(self) -> None:
        """What the child was told has changed: it ends, and the next one is told anew."""
        fresh = self._settings | self._fresh()
        if fresh != self._settings:
            self._settings = fresh
            await self._bury()

    def _fresh(self) -> dict[str, Any]:
        return dict(self._now()) if self._now else {}

    async def _send(self, line: str) -> None:
        stdin = self._running().stdin
        assert stdin is not None  # noqa: S101 - it was started with a pipe
        stdin.write(line.encode() + b"\n")
        await stdin.drain()

    async def _answer(self) -> dict[str, Any]:
        stdout = self._running().stdout
        assert stdout is not None  # noqa: S101 - it was started with a pipe
        line = await stdout.readline()
        if not line.endswith(b"\n"):
            raise EOFError
        answer: dict[str, Any] = json.loads(line)
        return answer

    async def _bury(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            await _ended(child)

    def _running(self) -> asyncio.subprocess.Process:
        if self._child is None:
            raise EOFError
        return self._child


async def _ended(child: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):  # it may just have gone by itself
        child.kill()
    await child.wait()


def _report(answer: dict[str, Any]) -> Report:
    if "error" in answer:
        raise Broken(f"The dashboard can't be built: {answer['error']}")
    return Report(**answer)


def _environment() -> dict[str, str]:
    """No token of the bot's own reaches the child by its environment."""
    return {key: os.environ[key] for key in _ENVIRONMENT if key in os.environ}


def crew_told(house: House) -> dict[str, Any]:
    """What the pages tell of the crew and of budgets, as it is now."""
    policy = house.policy
    return {
        "slots": policy.max_concurrent,
        "timezone": policy.timezone,
        "day_tokens": policy.day_tokens,
        "day_usd": policy.day_usd,
        "agents": [_member(house, agent) for agent in house.agents.values()],
    }


def _member(house: House, agent: Agent) -> dict[str, Any]:
    return {
        "name": agent.name,
        "missing": house.missing(agent),
        "capacity": agent.max_concurrent_tasks,
        "role": agent.role.value,
        "driver": agent.driver,
        "model": agent.model,
        "mode": agent.mode,
        "sandbox": house.place(agent),
        "bounds": bounds(agent),
        "lane": agent.lane,
        "types": list(agent.types),
        "skills": sorted(agent.skills),
        "languages": sorted(agent.languages),
        "budget_tokens": agent.budget_tokens,
        "budget_usd": agent.budget_usd,
    }
