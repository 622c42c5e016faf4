"""Starts git, and nothing that a repository or a home folder could slip in with it."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import AsyncGenerator, Awaitable, Mapping, Sequence
from contextlib import aclosing, suppress
from pathlib import Path
from typing import TypeVar, cast
from weakref import WeakValueDictionary

from core.errors import Broken

MOST_OUTPUT = 64 << 20
"""Bytes that `git` collects at most; what may be larger is read with `stream`."""

_T = TypeVar("_T")
_CHUNK = 1 << 16
_GUARDS = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.quotePath=false",
    "core.bigFileThreshold=32m",
    "core.commitGraph=false",
    "protocol.ext.allow=never",
    "credential.helper=",
    "commit.gpgSign=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "fetch.recurseSubmodules=false",
    "submodule.recurse=false",
    "advice.detachedHead=false",
)
_OPTIONS = tuple(part for guard in _GUARDS for part in ("-c", guard))
_NOISE = ("hint:", "Please make sure", "and the repository exists")
_LOUD = re.compile(r"^(?:remote: )?(?:fatal|error): ", re.IGNORECASE)

_locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()


class GitFailed(Broken):
    """Git ended with a status other than 0. `output` is the end of what it wrote (untrusted)."""

    def __init__(self, message: str, status: int, output: str) -> None:
        super().__init__(message)
        self.status = status
        self.output = output


async def git(
    *args: str,
    git_dir: Path | None = None,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    input: bytes = b"",
    timeout: float = 120.0,
    options: Sequence[str] = (),
) -> str:
    """What git wrote to standard output, without the last newline; undecodable bytes replaced.

    `env` is added to an environment made from nothing, `options` are more `key=value` for
    `-c`, `timeout` is in seconds. Raises GitFailed, or Broken when git is missing, too slow
    or says more than MOST_OUTPUT.
    """
    collected = bytearray()
    chunks = stream(
        *args, git_dir=git_dir, cwd=cwd, env=env, input=input, timeout=timeout, options=options
    )
    async with aclosing(chunks):
        async for chunk in chunks:
            collected += chunk
            if len(collected) > MOST_OUTPUT:
                raise Broken(f"git {args[0]} said more than {MOST_OUTPUT >> 20} MiB: given up.")
    return collected.decode("utf-8", "replace").removesuffix("\n")


async def stream(
    *args: str,
    git_dir: Path | None = None,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    input: bytes = b"",
    timeout: float = 120.0,
    options: Sequence[str] = (),
) -> AsyncGenerator[bytes, None]:
    """Standard output in chunks. Raises at the end as `git` does; closed early, git is killed.

    Wrap it in `contextlib.aclosing` wherever it may be left before its end.
    """
    process = await _started(_command(args, git_dir, options), cwd or git_dir or Path("/"), env)
    stdout = cast(asyncio.StreamReader, process.stdout)
    words = asyncio.create_task(_tail(cast(asyncio.StreamReader, process.stderr)))
    feed = asyncio.create_task(_feed(cast(asyncio.StreamWriter, process.stdin), input))
    deadline = asyncio.get_running_loop().time() + timeout
    kept = bytearray()
    whole = False
    try:
        while chunk := await _before(deadline, stdout.read(_CHUNK)):
            kept = (kept + chunk)[-_CHUNK:]
            yield chunk
        said = await _before(deadline, words)
        status = await _before(deadline, process.wait())
        whole = True
    except TimeoutError:
        raise Broken(f"git {args[0]} took longer than {timeout:g} s: stopped.") from None
    finally:
        feed.cancel()
        words.cancel()
        await asyncio.wait({feed, words})
        if not whole:
            await _end(process)
    if status != 0:
        raise _failure(args[0], status, kept.decode("utf-8", "replace"), said)


async def begin(
    *args: str, cwd: Path, env: Mapping[str, str], options: Sequence[str] = ()
) -> asyncio.subprocess.Process:
    """A git that the caller talks to over its pipes, and ends with `end`. Raises Broken."""
    return await _started(_command(args, None, options), cwd, env)


async def end(process: asyncio.subprocess.Process) -> None:
    """Leave nothing of it behind. Nobody else reads its outputs by now."""
    await _end(process)


def guarded(git_dir: Path) -> asyncio.Lock:
    """The lock under which refs of that repository are moved: one mover at a time."""
    return _locks.setdefault(str(git_dir), asyncio.Lock())


def _command(args: Sequence[str], git_dir: Path | None, options: Sequence[str]) -> list[str]:
    where = [f"--git-dir={git_dir}"] if git_dir else []
    more = [part for option in options for part in ("-c", option)]
    return ["git", "--no-pager", *where, *_OPTIONS, *more, *args]


async def _started(
    command: Sequence[str], cwd: Path, env: Mapping[str, str] | None
) -> asyncio.subprocess.Process:
    """asyncio cancelled in the midst of a start kills git alone, and waits for ever for what
    git has begun: so a start is always finished, and then ended whole."""
    starting = asyncio.ensure_future(_start(command, cwd, env))
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        with suppress(Broken):
            await _end(await starting)
        raise


async def _start(
    command: Sequence[str], cwd: Path, env: Mapping[str, str] | None
) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    try:
        return await asyncio.create_subprocess_exec(
            *command,
            cwd=cwd,
            env={**_environment(), **(env or {})},
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            start_new_session=True,
        )
    except FileNotFoundError as error:
        if error.filename != "git":
            raise Broken(f"The folder {cwd} is gone.") from error
        raise Broken("git was not found: install git 2.39 or newer.") from error
    except (OSError, ValueError) as error:
        raise Broken(f"git could not be started: {error}.") from error


def _environment() -> dict[str, str]:
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": "/nonexistent",
        "LANG": "C.UTF-8",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ALLOW_PROTOCOL": "file:ssh:https:http:git",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_OPTIONAL_LOCKS": "0",
    }


async def _before(deadline: float, wanted: Awaitable[_T]) -> _T:
    async with asyncio.timeout_at(deadline):
        return await wanted


async def _feed(writer: asyncio.StreamWriter, data: bytes) -> None:
    # Git may close its input early; its exit status says whether that matters.
    with suppress(BrokenPipeError, ConnectionResetError):
        writer.write(data)
        await writer.drain()
    writer.close()


async def _tail(reader: asyncio.StreamReader) -> str:
    kept = bytearray()
    while chunk := await reader.read(_CHUNK):
        kept = (kept + chunk)[-_CHUNK:]
    return kept.decode("utf-8", "replace")


async def _end(process: asyncio.subprocess.Process) -> None:
    """Leave nothing behind. asyncio tells of the end only when both outputs are read to their
    end and nobody holds them: so read on, and kill again whatever was just being born."""
    outputs = (process.stdout, process.stderr)
    ended = asyncio.gather(process.wait(), *(_tail(one) for one in outputs if one))
    while not ended.done():
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await asyncio.wait({ended}, timeout=0.2)


def _failure(verb: str, status: int, output: str, words: str) -> GitFailed:
    lines = [line.strip() for line in words.splitlines() if line.strip()]
    lines = [line for line in lines if not line.startswith(_NOISE)]
    loud = [line for line in lines if _LOUD.match(line)]
    said = _LOUD.sub("", (loud or lines or [f"exit status {status}"])[-1])
    return GitFailed(f"git {verb} failed: {said}", status, output)
