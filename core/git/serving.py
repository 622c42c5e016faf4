"""Git over smart HTTP for one repository: `git http-backend` as a child, streaming both ways.

Who asks is an agent. Fetch and push, of the branches that are there and of no other ref;
nothing is deleted; no hook, no configuration from outside; protocol 0, which hands out nothing
but what those branches reach.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from core.errors import Broken, Unclear
from core.git.runner import begin, end, git

LARGEST_PUSH = 1 << 30
"""Bytes."""
LONGEST = 900.0
"""Seconds of one exchange."""
SERVICES = ("git-upload-pack", "git-receive-pack")
_CHUNK = 1 << 16
_MOST_HEAD = 8192
_SERVED = (
    "http.uploadpack=true",
    "http.receivepack=true",
    "http.getanyfile=false",
    "receive.denyDeletes=true",
    "receive.autogc=false",
    "receive.advertiseAtomic=true",
    "receive.advertisePushOptions=false",
    f"receive.maxInputSize={LARGEST_PUSH}",
    "uploadpack.allowAnySHA1InWant=false",
    "uploadpack.allowFilter=false",
    "transfer.hideRefs=refs/",
)


@dataclass(frozen=True, slots=True)
class Asked:
    """One request of git's: `service` is one of SERVICES; `info`: which refs there are."""

    service: str
    info: bool


@dataclass(slots=True)
class Exchange:
    """What git answers: its status and headers, then `body()`; `close()` always."""

    process: asyncio.subprocess.Process
    tasks: tuple[asyncio.Task[None], ...]
    status: int
    headers: dict[str, str]
    _rest: bytes

    async def body(self) -> AsyncGenerator[bytes, None]:
        out = cast(asyncio.StreamReader, self.process.stdout)
        if self._rest:
            yield self._rest
        while chunk := await out.read(_CHUNK):
            yield chunk

    async def close(self) -> None:
        """Nothing of it is left, however far it came."""
        await _over(self.process, self.tasks)


async def exchange(repository: Path, asked: Asked, body: AsyncIterator[bytes]) -> Exchange:
    """Begin it. Raises Broken where git answers nothing; what `body` raises ends the input."""
    branches = await _branches(repository)
    shown = [f"transfer.hideRefs=!refs/heads/{name}" for name in branches]
    process = await begin(
        "http-backend",
        cwd=repository,
        env=_environment(repository, asked),
        options=(*_SERVED, *shown),
    )
    feeding = asyncio.create_task(_feed(process, body))
    tasks = (feeding, asyncio.create_task(_drain(cast(asyncio.StreamReader, process.stderr))))
    try:
        status, headers, rest = await _head(cast(asyncio.StreamReader, process.stdout))
    except BaseException as error:
        given_up = feeding.exception() if feeding.done() and not feeding.cancelled() else None
        await _over(process, tasks)
        raise (given_up or error) from None
    return Exchange(process, tasks, status, headers, rest)


async def _over(process: asyncio.subprocess.Process, tasks: tuple[asyncio.Task[None], ...]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    for task in tasks:
        if not task.cancelled():
            task.exception()  # told already, or of no matter any more
    await end(process)


async def _drain(stderr: asyncio.StreamReader) -> None:
    while await stderr.read(_CHUNK):
        pass


async def _branches(repository: Path) -> list[str]:
    said = await git("for-each-ref", "--format=%(refname)", "refs/heads", git_dir=repository)
    return [line.removeprefix("refs/heads/") for line in said.splitlines()]


def _environment(repository: Path, asked: Asked) -> dict[str, str]:
    if asked.service not in SERVICES:
        raise Unclear(f"git asks for {asked.service[:40]}: that is not served.")
    # No CONTENT_LENGTH: a body that breaks off before it has http-backend spin for ever.
    return {
        "GIT_PROJECT_ROOT": str(repository.parent),
        "GIT_HTTP_EXPORT_ALL": "1",
        "REMOTE_USER": "agent",
        "REMOTE_ADDR": "",
        "REQUEST_METHOD": "GET" if asked.info else "POST",
        "PATH_INFO": f"/{repository.name}/{'info/refs' if asked.info else asked.service}",
        "QUERY_STRING": f"service={asked.service}" if asked.info else "",
        "CONTENT_TYPE": "" if asked.info else f"application/x-{asked.service}-request",
    }


async def _feed(process: asyncio.subprocess.Process, body: AsyncIterator[bytes]) -> None:
    """Git may stop to listen before the end; what it says then counts. A body that breaks off
    ends git too: half a push is none."""
    stdin = cast(asyncio.StreamWriter, process.stdin)
    try:
        async for chunk in body:
            with suppress(BrokenPipeError, ConnectionResetError):
                stdin.write(chunk)
                await stdin.drain()
    except Exception:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        raise
    finally:
        stdin.close()


async def _head(stdout: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
    """The status and the headers that git begins with, and what came along after them."""
    seen = b""
    while b"\r\n\r\n" not in seen:
        chunk = await stdout.read(_CHUNK)
        if not chunk or len(seen) > _MOST_HEAD:
            raise Broken("git gave no answer.")
        seen += chunk
    head, _, rest = seen.partition(b"\r\n\r\n")
    status, headers = 200, {}
    for line in head.decode("latin-1").split("\r\n"):
        name, _, value = line.partition(": ")
        if name.lower() == "status":
            status = int(value.split()[0])
        else:
            headers[name] = value
    return status, headers, rest
