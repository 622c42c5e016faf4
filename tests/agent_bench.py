"""Drives a real agent process by its driver, as a session would: for drivers' tests."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.model import AgentEvent, AgentEventKind
from core.ports import Brief, Driver, Exit, Line, Verdict

FAKE_CLAUDE = Path(__file__).parent / "fakes" / "claude"
FIXTURES = Path(__file__).parent / "fixtures"
RECORDED = FIXTURES / "claude"
DEADLINE = 90.0
"""Seconds after which an agent that hangs fails the test."""

END = None
"""What a reaction returns to end the agent's input."""

React = Callable[[AgentEvent], bytes | tuple[()] | None]


@dataclass
class Played:
    """What came of it. `lines` are those of standard output."""

    driver: Driver
    lines: list[Line] = field(default_factory=list)
    events: list[AgentEvent] = field(default_factory=list)
    errors: str = ""
    end: Exit = field(default_factory=Exit)

    def of(self, kind: AgentEventKind) -> list[AgentEvent]:
        return [event for event in self.events if event.kind is kind]

    @property
    def verdict(self) -> Verdict:
        finished = self.of(AgentEventKind.FINISHED)
        return self.driver.verdict(finished[-1] if finished else None, self.end)


def brief(workspace: Path, prompt: str = "", **more: Any) -> Brief:
    """A brief whose artifacts and prompt file lie beside the workspace."""
    return Brief(
        task="TASK-001",
        title="Add a greeting",
        session_id="coding-00000001",
        workspace=workspace,
        artifacts=workspace.parent / "artifacts",
        prompt=prompt,
        prompt_file=workspace.parent / "prompt.md",
        **more,
    )


def when_finished(event: AgentEvent) -> bytes | tuple[()] | None:
    """Ends the input at the first result."""
    return END if event.kind is AgentEventKind.FINISHED else ()


async def play(
    driver: Driver, told: Brief, env: Mapping[str, str], react: React = when_finished
) -> Played:
    """Start what the driver plans, answer by `react` (`()`: say nothing), wait for its end."""
    plan = driver.plan(told)
    process = await asyncio.create_subprocess_exec(
        *plan.argv,
        cwd=told.workspace,
        env={**env, **plan.env},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=16 << 20,
    )
    assert process.stdin is not None and process.stderr is not None
    played = Played(driver)
    errors = asyncio.create_task(process.stderr.read())
    try:
        async with asyncio.timeout(DEADLINE):
            process.stdin.write(plan.first_input)
            if not plan.input_open:
                process.stdin.close()
            await _follow(process, played, react)
            status = await process.wait()
            played.errors = (await errors).decode(errors="replace")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    signal = -status if status < 0 else None
    played.end = Exit(status=None if signal else status, signal=signal)
    return played


async def _follow(process: asyncio.subprocess.Process, played: Played, react: React) -> None:
    assert process.stdout is not None and process.stdin is not None
    position = 0
    async for raw in process.stdout:
        position += len(raw)
        line = Line("out", 0, raw.decode(errors="replace").rstrip("\n"), position)
        played.lines.append(line)
        for event in played.driver.parse(line):
            played.events.append(event)
            said = react(event)
            if said is END:
                process.stdin.close()
            elif said:
                process.stdin.write(said)


def recorded(name: str, folder: Path = RECORDED) -> Sequence[dict[str, Any]]:
    """A recording's rows, without its header: `{stream, text}` or `{stream: exit, status}`."""
    rows = [json.loads(line) for line in (folder / f"{name}.jsonl").read_text().splitlines()]
    header, *rest = rows
    assert header["fixture"] == name and header["version"]
    return rest
