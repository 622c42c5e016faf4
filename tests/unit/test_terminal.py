"""Lines as they are typed or piped, made whole commands."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot import terminal
from core.commands.incoming import File
from core.errors import Refused
from core.model import Role


async def commands(text: str) -> list[str]:
    """What a whole piped input says."""
    read, write = os.pipe()
    with os.fdopen(read, encoding="utf-8") as source:
        with os.fdopen(write, "w", encoding="utf-8") as sink:
            sink.write(text)
        lines = terminal.Lines(source)
        found = []
        async with asyncio.timeout(60):
            while (line := await lines.next()) is not None:
                found.append(line)
        return found


@asynccontextmanager
async def pipe() -> AsyncIterator[tuple[terminal.Lines, int]]:
    """Lines of a pipe that stays open, and its other end."""
    read, write = os.pipe()
    source = os.fdopen(read, encoding="utf-8")
    try:
        yield terminal.Lines(source), write
    finally:
        os.close(write)
        source.close()


@pytest.mark.parametrize(("typed", "whole"), [
    ("", []), ("\n\n  \n", []), ("/status", ["/status"]), ("/status\n", ["/status"]),
    ("/status\n\n/list\n", ["/status", "/list"]),
    ("# a comment\n/status\n# another\n", ["/status"]),
    ("/add T\nfirst\n- [ ] box\n\nlast\n/list\n", ["/add T\nfirst\n- [ ] box\n\nlast", "/list"]),
    ("/add T\nfirst\n# a comment\nsecond\n", ["/add T\nfirst\nsecond"]),
    ("  /status  \n", ["/status"]), ("no slash\n", ["no slash"]),
    ("/say 42 one \\\ntwo\n/list\n", ["/say 42 one \ntwo", "/list"]),
    ("/add T\\\n/not a command\n", ["/add T\n/not a command"]),
    ("/add T\\\n# not a comment\n", ["/add T\n# not a comment"]),
    ("/status\r\n/list\r\n", ["/status", "/list"]),
    ("/add T\n## Why\nso\n", ["/add T\n## Why\nso"]), ("/say 1 a\\", ["/say 1 a"]),
    ("\\\n", []), ("/approve 1\n# then\n/list", ["/approve 1", "/list"]),
])
async def test_lines_become_commands(typed: str, whole: list[str]) -> None:
    assert await commands(typed) == whole


@settings(max_examples=50, deadline=None)
@given(st.text("ab /-\n", max_size=60))
async def test_nothing_typed_is_lost_or_made_up(text: str) -> None:
    found = await commands(text)
    given_lines = [line.strip() for line in text.split("\n") if line.strip()]
    assert [line.strip() for c in found for line in c.split("\n") if line.strip()] == given_lines
    assert all(command == command.strip() != "" for command in found)
    slashes = [line for line in given_lines if line.startswith("/")]
    assert [c.split("\n")[0].strip() for c in found if c.startswith("/")] == slashes


@settings(max_examples=50, deadline=None)
@given(st.text("ab /#\\\n", max_size=40))
async def test_every_input_comes_to_an_end(text: str) -> None:
    assert all(command == command.strip() != "" for command in await commands(text))


async def test_what_is_no_text_is_marked_and_ends_nothing() -> None:
    read, write = os.pipe()
    os.write(write, b"/say \xff\xfe\n/status\n")
    os.close(write)
    with os.fdopen(read, encoding="utf-8") as source:
        lines = terminal.Lines(source)
        async with asyncio.timeout(60):
            assert [await lines.next() for _ in range(3)] == ["/say \ufffd\ufffd", "/status", None]


async def test_a_command_is_carried_out_without_waiting_for_the_next() -> None:
    async with pipe() as (lines, write), asyncio.timeout(60):
        os.write(write, b"/status\n")
        assert await lines.next() == "/status"
        os.write(write, b"/add T\nmore\n")
        assert await lines.next() == "/add T\nmore"


async def test_each_is_fed_when_all_before_it_is_done() -> None:
    done: list[str] = []

    async def keep(line: str) -> None:
        done.append(line)

    async def idle() -> None:
        done.append("idle")

    read, write = os.pipe()
    os.write(write, b"/one\n/two\n")
    os.close(write)
    with os.fdopen(read, encoding="utf-8") as source:
        await asyncio.wait_for(terminal.feed(terminal.Lines(source), keep, idle), 60)
    assert done == ["idle", "/one", "idle", "/two", "idle"]


async def test_what_is_typed_comes_from_the_terminals_owner() -> None:
    entrance = terminal.Entrance()
    incoming = entrance.understand(terminal.payload('/add "Größe" {"'))
    assert incoming is not None and incoming.text == '/add "Größe" {"'
    assert terminal.people()[incoming.actor.user_id] is Role.ADMIN
    assert (incoming.place.platform, incoming.genuine) == ("console", True)
    with pytest.raises(Refused, match="takes no files"):
        await entrance.fetch(File("plan.md", 1, "ref"))


async def test_a_command_that_broke_the_feeding_is_the_first_of_the_next() -> None:
    kept: list[str] = []

    async def keep(line: str) -> None:
        if line == "/two" and not broken.is_set():
            broken.set()
            raise RuntimeError("once")
        kept.append(line)

    broken = asyncio.Event()
    async with pipe() as (lines, write):
        os.write(write, b"/one\n/two\n/three\n/four\n")
        with pytest.raises(RuntimeError):
            await asyncio.wait_for(terminal.feed(lines, keep, None), 60)
        again = asyncio.create_task(terminal.feed(lines, keep, None))
        async with asyncio.timeout(60):
            while len(kept) < 4:
                await asyncio.sleep(0.01)
        again.cancel()
    assert kept == ["/one", "/two", "/three", "/four"]
