"""Artifacts that come in over HTTP: few of one session at a time, none of them in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.api.session import UPLOADS
from core.artifacts import LARGEST
from tests.api_bench import Api, Speaker, serving, short_folder

SIZE = 12 << 20


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    with short_folder() as folder:
        async with serving(folder) as api:
            yield api


class Upload:
    """A PUT that is written byte by byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def of(cls, agent: Speaker, name: str, sent: int) -> Upload:
        """`sent` of its SIZE bytes are on their way."""
        reader, writer = await asyncio.open_connection(*agent.api.url[7:].split(":"))
        lines = [f"PUT /api/session/artifacts/{name} HTTP/1.1", f"Host: {agent.api.url[7:]}",
                 f"Authorization: Bearer {agent.token}", f"Content-Length: {SIZE}",
                 "Connection: close", "", ""]
        writer.write("\r\n".join(lines).encode() + b"x" * sent)
        return cls(reader, writer)

    async def rest(self, sent: int) -> None:
        self.writer.write(b"x" * (SIZE - sent))

    async def status(self) -> int:
        reply = await asyncio.wait_for(self.reader.read(), 60)
        self.writer.close()
        return int(reply.split(b" ")[1])


async def test_one_more_than_a_session_may_send_waits_for_its_turn(api: Api) -> None:
    agent, other = await api.speaker(), await api.speaker("keeper")
    stalled = [await Upload.of(agent, f"slow-{n}.bin", SIZE - 1) for n in range(UPLOADS)]
    while len(_spooled()) < UPLOADS:
        await asyncio.sleep(0.01)
    late = await Upload.of(agent, "late.bin", SIZE)
    assert await (await Upload.of(other, "other.bin", SIZE)).status() == 200
    assert (await agent.ask("POST", "progress", {"text": "still here"})).status == 200
    assert await _names(agent) == set() and len(_spooled()) == UPLOADS
    await stalled[0].rest(SIZE - 1)
    assert await late.status() == 200 and await stalled[0].status() == 200
    assert await _names(agent) == {"late.bin", "slow-0.bin"}
    stalled[1].writer.close()


async def _names(agent: Speaker) -> set[str]:
    listed = (await agent.ask("GET", "artifacts")).json["artifacts"]
    return {one["name"] for one in listed if one["name"].endswith(".bin")}


async def test_what_is_half_there_lies_on_the_disk(api: Api) -> None:
    """Each open file without a name that the bot holds is an upload's."""
    agent = await api.speaker()
    upload = await Upload.of(agent, "slow.bin", SIZE - 1)
    while not _spooled():
        await asyncio.sleep(0.01)
    await upload.rest(SIZE - 1)
    assert await upload.status() == 200 and not _spooled()


def _spooled() -> list[Path]:
    found = []
    for entry in Path("/proc/self/fd").iterdir():
        try:
            if str(entry.readlink()).endswith(" (deleted)") and entry.stat().st_size > SIZE // 2:
                found.append(entry)
        except OSError:
            continue
    return found


async def test_the_largest_is_taken_and_one_byte_more_is_not(api: Api) -> None:
    agent = await api.speaker()
    for size, status in ((LARGEST, 200), (LARGEST + 1, 413)):
        said = await agent.ask("PUT", "artifacts/big.bin", data=b"x" * size)
        assert said.status == status


@pytest.mark.parametrize("headers, status", [
    ({"Authorization": "Bearer \udcff"}, 401), ({"Idempotency-Key": "\udcff"}, 400),
    ({"Idempotency-Key": "a\x85b"}, 400)])
async def test_bytes_that_are_no_text_are_refused(
        api: Api, headers: dict[str, str], status: int) -> None:
    agent = await api.speaker()
    reader, writer = await asyncio.open_connection(*api.url[7:].split(":"))
    given = {"Authorization": f"Bearer {agent.token}"} | headers
    body = b'{"text": "x"}'
    lines = ["POST /api/session/question HTTP/1.1", f"Host: {api.url[7:]}",
             *(f"{name}: {value}" for name, value in given.items()),
             f"Content-Length: {len(body)}", "Connection: close", "", ""]
    writer.write("\r\n".join(lines).encode("utf-8", "surrogateescape") + body)
    reply = await asyncio.wait_for(reader.read(), 60)
    writer.close()
    assert reply.startswith(f"HTTP/1.1 {status} ".encode())
