"""Bullpen's MCP server as an agent starts it: the SDK's client over stdio, a real bot behind."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bot.api.server import Server
from bot.mcp import mcp_command, mcp_needs
from core import acts
from core.store import gates, sessions
from tests.api_bench import Api, Speaker, serving, short_folder
from tests.house_bench import ANN, HERE
from tests.needs import need

with contextlib.suppress(ModuleNotFoundError):  # `need` says so by name
    import mcp

ROOT = Path(__file__).parents[2]


@pytest.fixture
async def agent() -> AsyncIterator[Speaker]:
    need("the MCP extra", bool(mcp_command()), "make dev")
    with short_folder() as folder:
        async with serving(folder) as api:
            yield await api.speaker()


def server(agent: Speaker, **env: str) -> Any:
    command, *args = mcp_command()
    return mcp.StdioServerParameters(command=command, args=args, cwd="/", env={
        "PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "PYTHONPATH": str(ROOT),
        "BULLPEN_TOKEN": agent.token, "BULLPEN_API": agent.api.url, **env})


@contextlib.asynccontextmanager
async def tools(agent: Speaker, **env: str) -> AsyncIterator[Any]:
    async with mcp.Client(server(agent, **env)) as client:
        yield client


def words(result: Any) -> str:
    return "".join(part.text for part in result.content)


async def answer(api: Api, text: str, gate: int = 1) -> None:
    while not await api.home.store.read("SELECT 1 FROM gates WHERE id = ?", (gate,)):
        await asyncio.sleep(0.01)
    await api.home.store.write(lambda tx: acts.answer(
        tx, api.home, gates.get(tx, gate), ANN, HERE, text))


async def test_its_tools(agent: Speaker) -> None:
    async with tools(agent) as client:
        listed = (await client.list_tools()).tools
    assert {tool.name for tool in listed} == {
        "report_progress", "ask_human", "write_artifact", "read_artifact", "report_outcome"}
    assert all(tool.description for tool in listed)
    asking = next(tool for tool in listed if tool.name == "ask_human")
    assert set(asking.input_schema["properties"]) == {"question", "options"}


@pytest.mark.parametrize("by_socket", [False, True])
async def test_what_it_says_arrives(agent: Speaker, by_socket: bool) -> None:
    more = {}
    if by_socket:
        await agent.api.home.doors.open(agent.session.id)
        more = {"BULLPEN_SOCKET": str(agent.socket), "BULLPEN_TOKEN": "", "BULLPEN_API": ""}
    async with tools(agent, **more) as client:
        await client.call_tool("report_progress", {"text": "Reading"})
        kept = await client.call_tool("write_artifact", {"name": "plan.md", "content": "Plän"})
        assert words(kept) == "plan.md is kept as version 1."
        assert words(await client.call_tool("read_artifact", {"name": "plan.md"})) == "Plän"
        done = await client.call_tool("report_outcome", {
            "outcome": "verify.passed", "summary": "All well."})
        assert not done.is_error
    found = await agent.api.home.store.write(
        lambda tx: sessions.get_iteration(tx, agent.session.id))
    assert (found.outcome, found.summary) == ("verify.passed", "All well.")
    told = await agent.api.value("SELECT text FROM events WHERE type = 'task.progress'")
    assert told == "Reading"


async def test_a_refusal_is_told_in_the_servers_words(agent: Speaker) -> None:
    async with tools(agent) as client:
        for name, given, said in (
                ("report_outcome", {"outcome": "merged"}, "Say one of: default, verify.passed"),
                ("read_artifact", {"name": "nothing"}, "has no `nothing`"),
                ("read_artifact", {"name": "../../x"}, "can't be an artifact's name"),
                ("write_artifact", {"name": "raw-input.md", "content": ""}, "as it was given")):
            result = await client.call_tool(name, given)
            assert result.is_error and said in words(result)


async def test_a_human_is_asked_and_waited_for(agent: Speaker) -> None:
    heard: list[str | None] = []

    async def told(progress: float, total: float | None, message: str | None) -> None:
        heard.append(message)

    async with tools(agent) as client:
        asking = asyncio.create_task(client.call_tool(
            "ask_human", {"question": "Red or blue?", "options": ["red", "blue"]},
            progress_callback=told))
        await answer(agent.api, "blue")
        assert words(await asyncio.wait_for(asking, 60)) == "blue"
    assert heard[0] == "G-1 waits for an answer"
    assert await agent.api.value("SELECT options FROM gates") == '["red", "blue"]'


async def answered_by_another(api: Api, port: int, asking: asyncio.Task[Any]) -> None:
    """A bot comes up at the same address, and a person answers."""
    again = Server(api.home.data, "127.0.0.1", port, api.home)
    await again.start()
    try:
        await answer(api, "that")
        assert words(await asyncio.wait_for(asking, 60)) == "that"
    finally:
        await again.close()


async def test_a_question_outlives_the_bot(agent: Speaker) -> None:
    """It is asked once, however often the bot goes and comes back."""
    api = agent.api
    port = int(api.url.rpartition(":")[2])
    async with tools(agent) as client:
        asking = asyncio.create_task(client.call_tool("ask_human", {"question": "Which?"}))
        while not await api.home.store.read("SELECT 1 FROM gates"):
            await asyncio.sleep(0.01)
        await api.server.close()
        await answered_by_another(api, port, asking)
    assert await api.value("SELECT count(*) FROM gates") == 1


async def test_asked_while_the_bot_is_away(agent: Speaker) -> None:
    api = agent.api
    port = int(api.url.rpartition(":")[2])
    await api.server.close()
    async with tools(agent) as client:
        asking = asyncio.create_task(client.call_tool("ask_human", {"question": "Which?"}))
        await answered_by_another(api, port, asking)


async def test_a_question_of_an_ended_attempt_is_over(agent: Speaker) -> None:
    async with tools(agent) as client:
        asking = asyncio.create_task(client.call_tool("ask_human", {"question": "Which?"}))
        while not await agent.api.home.store.read("SELECT 1 FROM gates"):
            await asyncio.sleep(0.01)
        await agent.end()
        await agent.api.home.store.write(
            lambda tx: gates.cancel_of_session(tx, agent.session.id, "the agent has ended"))
        result = await asyncio.wait_for(asking, 60)
    assert result.is_error


def test_without_an_attempt_it_is_one_line() -> None:
    need("the MCP extra", bool(mcp_command()), "make dev")
    done = subprocess.run(mcp_command(), cwd=ROOT, env={"PATH": "/usr/bin:/bin"},
                          capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
    assert done.returncode == 2 and "BULLPEN_SOCKET nor BULLPEN_API" in done.stderr
    assert "Traceback" not in done.stderr and done.stderr.count("\n") == 1


def test_without_the_extra_it_is_one_line(tmp_path: Path) -> None:
    """An interpreter that has everything but `mcp`."""
    blind = ("import sys, runpy; sys.modules['mcp'] = None; sys.argv = ['bullpen', 'mcp']; "
             "from bot.cli import main; main()")
    done = subprocess.run([sys.executable, "-c", blind], cwd=ROOT, capture_output=True, text=True,
                          timeout=60, stdin=subprocess.DEVNULL)
    assert done.returncode == 2 and ".venv/bin/pip install -e '.[mcp]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_workspace_cannot_lend_it_modules(tmp_path: Path) -> None:
    need("the MCP extra", bool(mcp_command()), "make dev")
    for name in ("bot", "core", "mcp", "aiohttp"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('planted')\n")
    done = subprocess.run(mcp_command(), cwd=tmp_path, env={"PATH": "/usr/bin:/bin"},
                          capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
    assert "planted" not in done.stderr and "BULLPEN_SOCKET" in done.stderr


def test_what_it_needs_is_there() -> None:
    assert all(path.is_dir() for path in mcp_needs())
    assert ROOT not in mcp_needs()  # a data folder may lie in there
