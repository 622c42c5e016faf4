"""Facts about processes, from /proc: who lives, who is ours, and how to end them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Identity:
    """One process for all time: `start` is in clock ticks after the boot `boot`."""

    pid: int
    start: int
    boot: str


@dataclass(frozen=True, slots=True)
class Signs:
    """How to know the processes of an attempt whose launcher is dead.

    `seal` is a resource limit that every descendant inherits; `marker` a setting in the
    environment, which it can drop. `since` is the launcher's start in ticks: nothing older
    is of this attempt.
    """

    seal: int
    marker: str
    since: int


@cache
def boot_id() -> str:
    """This boot of the machine."""
    return (PROC / "sys/kernel/random/boot_id").read_text("ascii").strip()


def alive(who: Identity) -> bool:
    """Whether exactly that process lives (a zombie does not)."""
    return who.boot == boot_id() and _start(who.pid) == who.start


def signal_to(who: Identity, number: int) -> bool:
    """Send a signal to that process and never to another; False when it is gone."""
    with contextlib.suppress(ProcessLookupError):
        fd = os.pidfd_open(who.pid)
        try:
            if alive(who):
                signal.pidfd_send_signal(fd, number)
                return True
        finally:
            os.close(fd)
    return False


async def gone(who: Identity) -> None:
    """Returns as soon as that process has ended, whoever its parent is."""
    try:
        fd = os.pidfd_open(who.pid)
    except ProcessLookupError:
        return
    except OSError:
        while alive(who):  # noqa: ASYNC110 (nothing tells us: no pidfd to be had)
            await asyncio.sleep(0.2)
        return
    try:
        if alive(who):
            await readable(fd)
    finally:
        os.close(fd)


async def readable(fd: int) -> None:
    """Returns when there is something to read; a pidfd is readable when its process ended."""
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(fd, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(fd)


def strays(signs: Signs) -> list[Identity]:
    """What still lives of an attempt, wherever it has moved in the process tree."""
    mine, found = os.getpid(), []
    for name in os.listdir(PROC):
        if name.isdigit() and int(name) != mine:
            start = _start(int(name))
            if start is not None and start >= signs.since and _is_of(int(name), signs):
                found.append(Identity(int(name), start, boot_id()))
    return found


async def end_strays(signs: Signs, patience: float = 10.0) -> list[int]:
    """Kill what still lives of an attempt; returns the pids that would not die, in
    `patience` seconds."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + patience
    while left := strays(signs):
        for who in left:
            with contextlib.suppress(PermissionError):
                signal_to(who, signal.SIGKILL)
        if loop.time() > deadline:
            return [who.pid for who in left]
        await asyncio.sleep(0.01)
    return []


def _start(pid: int) -> int | None:
    """The start time of a living process, in ticks; None for none and for a zombie."""
    try:
        fields = (PROC / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    return None if fields[0] in b"ZXx" else int(fields[19])


def _is_of(pid: int, signs: Signs) -> bool:
    try:
        limits = (PROC / str(pid) / "limits").read_text("ascii")
        if str(signs.seal) in limits:
            return True
        if _sealable():
            return False
        return signs.marker.encode() in (PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:
        return False


@cache
def _sealable() -> bool:
    """Whether the launcher may set the limit that serves as seal (its maximum is unlimited)."""
    import resource

    return resource.getrlimit(resource.RLIMIT_RTTIME)[1] == resource.RLIM_INFINITY


def environment() -> Mapping[str, str]:
    """What the launcher itself needs; the agent gets nothing of it."""
    kept = {key: os.environ[key] for key in ("LD_LIBRARY_PATH",) if key in os.environ}
    return {"LANG": "C.UTF-8", **kept}
