"""Strangers who hold connections lock nobody out of the HTTP door."""

from __future__ import annotations

import asyncio
import contextlib
import resource
from collections.abc import AsyncIterator

from aiohttp import web

from bot.api.bounded import Bounded, admitted, heard
from bot.api.server import MOST
from tests.api_bench import serving, short_folder

HALF = b"GET /health HTTP/1.1\r\nHost: x"
Pair = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def call(port: int, data: bytes) -> Pair:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    return reader, writer


async def test_half_finished_requests_lock_nobody_out() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    with short_folder() as folder:
        async with serving(folder) as api:
            agent = await api.speaker()
            port = int(api.url.rpartition(":")[2])
            held = [await call(port, HALF) for _ in range(MOST + 100)]
            assert (await api.ask("GET", "/health")).status == 401, "it is answered"
            assert (await agent.ask("GET", "artifacts")).status == 200
            for _, writer in held:
                writer.close()
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextlib.asynccontextmanager
async def listening(most: int, patience: float) -> AsyncIterator[int]:
    """Whoever names themselves by the path is known; `/WHO/wait` is never answered."""

    async def answer(request: web.Request) -> web.Response:
        heard(request)
        who, _, rest = request.path.strip("/").partition("/")
        if who:
            admitted(request, who)
        if rest == "wait":
            await asyncio.Event().wait()
        return web.Response(text="yes")

    app = web.Application()
    app.router.add_get("/{rest:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    assert runner.server
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Bounded(runner.server, most, patience), "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await runner.cleanup()


async def asked(pair: Pair, path: str) -> bytes:
    """The answer's last word; empty where the connection was hung up."""
    reader, writer = pair
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
        return (await reader.readuntil(b"yes"))[-3:]
    return b""


async def test_strangers_go_first_then_who_has_most() -> None:
    async with listening(most=6, patience=60) as port:
        person = await call(port, b"")
        assert await asked(person, "/person") == b"yes"
        mine = await call(port, b"")
        assert await asked(mine, "/one") == b"yes"
        strangers = [await call(port, HALF) for _ in range(50)]
        assert await asked(person, "/person") == b"yes"
        assert await asked(mine, "/one") == b"yes"
        many = []
        for _ in range(50):
            many.append(await call(port, b""))
            assert await asked(many[-1], "/two") == b"yes"
        assert await asked(person, "/person") == b"yes"
        assert await asked(mine, "/one") == b"yes"
        assert await asked(many[0], "/two") == b""
        for _, writer in (person, mine, *strangers, *many):
            writer.close()


async def test_who_never_finishes_asking_is_hung_up_who_waits_is_not() -> None:
    async with listening(most=6, patience=0.3) as port:
        waits = await call(port, b"GET /one/wait HTTP/1.1\r\nHost: x\r\n\r\n")
        known = await call(port, b"")
        assert await asked(known, "/one") == b"yes"
        stranger = await call(port, HALF)
        with contextlib.suppress(ConnectionError):
            assert await stranger[0].read() == b""
        assert not waits[0].at_eof()
        assert await asked(known, "/one") == b"yes"
        for _, writer in (waits, known, stranger):
            writer.close()
