"""The host sandbox: the agent is a process of this machine, under a launcher of ours.

It isolates nothing but the environment: what the user may do, the agent may do. Processes
are found by pid, start time and boot id, so a bot that was killed finds them again.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from core.errors import Broken, Unreachable
from core.ports import Exit, Line, Order, Ran, Status
from core.sandboxes import errands, output, procs
from core.sandboxes.attempt import REVOKED, Attempt, claimant, handle_of, identity

LAUNCHER = Path(__file__).with_name("launcher.py")
_START_PATIENCE = 60.0
_STOP_PATIENCE = 30.0


class HostSandbox:
    """Runs agents as processes of this machine. `python` runs the launcher (≥ 3.9). `patience`:
    seconds that a start may take."""

    name = "host"
    shares_folder = True

    def __init__(self, python: str = sys.executable, patience: float = _START_PATIENCE) -> None:
        self._python = python
        self._patience = patience
        self._spawning: set[asyncio.Task[None]] = set()

    def missing(self, container: Mapping[str, Any]) -> str | None:
        if sys.platform != "linux" or not hasattr(os, "pidfd_open"):
            return "the host sandbox needs Linux 5.3 or newer: choose a container sandbox"
        if not (procs.PROC / "self/stat").exists():
            return "the host sandbox needs /proc: mount it (mount -t proc proc /proc)"
        if shutil.which(self._python) is None:
            return f"{self._python} is missing: install Python 3.9 or newer"
        return None

    async def start(self, order: Order) -> str:
        attempt = Attempt(order.folder)
        if attempt.claim() is None:
            attempt.prepare(order, await self._walls(order))
            await self._spawn(order.folder)
            if attempt.claim() is None and attempt.revoke():  # so that it can't start later
                raise Broken(f"the launcher did not start: {_last_words(order.folder)}")
        handle = await self._handle(attempt)
        if handle is None:
            raise Broken(f"the attempt in {order.folder} was called off before it started")
        return handle

    async def find(self, folder: Path) -> str | None:
        attempt = Attempt(folder)
        if not folder.exists():
            return None
        try:
            return None if attempt.revoke() else await self._handle(attempt)
        except OSError as error:
            raise Broken(f"can't look into {folder}: {error.strerror}") from error

    async def status(self, folder: Path, handle: str) -> Status:
        return await _status(Attempt(folder), handle, "gone")

    async def ended(self, folder: Path, handle: str) -> None:
        await procs.gone(identity(handle))  # whatever the agent itself may have told of an end

    def size(self, folder: Path) -> int:
        try:
            there = os.lstat(f"{folder}/{output.NAME}")
        except FileNotFoundError:
            return 0
        except OSError:
            return sys.maxsize
        return there.st_size if stat.S_ISREG(there.st_mode) else sys.maxsize

    async def read(self, folder: Path, position: int, limit: int) -> Sequence[Line]:
        path = f"{folder}/{output.NAME}"  # a Path of it would cost as much as the reading
        return await output.reading(path, position, limit)

    async def send(self, folder: Path, number: int, data: bytes, last: bool = False) -> None:
        Attempt(folder).send(number, data, last)

    async def note(self, folder: Path, name: str, text: str) -> None:
        Attempt(folder).note(name, text)

    async def stop(self, folder: Path, handle: str, force: bool = False) -> Exit:
        attempt, launcher = Attempt(folder), identity(handle)
        status = await self.status(folder, handle)
        if status.alive:
            await _end(launcher, 0.0 if force else attempt.grace())
            status = await _status(attempt, handle, "stopped")
        await _within(_STOP_PATIENCE, launcher)
        left = await _left(attempt, handle) if attempt.left() else []
        if status.end is None or left:
            pids = f" (pids {', '.join(map(str, left))})" if left else ""
            raise Broken(f"not all of the attempt in {folder} can be ended{pids}: look with ps")
        return status.end

    async def forget(self, folder: Path) -> None:
        Attempt(folder).forget()

    async def run(self, order: Order) -> Ran:
        return await errands.run(self, order)

    async def _walls(self, order: Order) -> Sequence[str]:
        """What goes before the agent's command line; none here. Raises Broken for what only
        walls can keep."""
        if order.network != "on" or order.mounts:
            what = "closes no network" if order.network != "on" else "shows no mounts"
            raise Broken(f"the plain host {what}: choose bubblewrap, or a container sandbox")
        return ()

    async def _spawn(self, folder: Path) -> None:
        """Run the launcher until it is in the background. A caller that is cancelled leaves
        no zombie: the wait goes on without it."""
        waiting = asyncio.create_task(self._launch(folder.absolute()))
        self._spawning.add(waiting)
        waiting.add_done_callback(self._spawning.discard)
        await asyncio.shield(waiting)

    async def _launch(self, folder: Path) -> None:
        argv = [self._python, "-I", "-S", "-X", "utf8", str(LAUNCHER), str(folder)]
        try:
            with open(folder / "launcher.log", "ab", opener=_private) as log:  # noqa: ASYNC230
                first = subprocess.Popen(  # noqa: ASYNC220 (asyncio's costs a thread)
                    argv,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd="/",
                    env=procs.environment(),
                    start_new_session=True,
                )
        except OSError as error:
            raise Broken(f"can't start {self._python}: {error.strerror}") from error
        fd = os.pidfd_open(first.pid)
        try:
            async with asyncio.timeout(self._patience):
                await procs.readable(fd)
        except TimeoutError:
            first.kill()
        finally:
            os.close(fd)
        first.wait()

    async def _handle(self, attempt: Attempt) -> str | None:
        """The handle of whoever has claimed the attempt; None when nobody ever will."""
        claim = attempt.claim()
        if claim is None or claim == REVOKED:
            return None
        launcher = claimant(claim)
        deadline = time.monotonic() + self._patience
        while procs.alive(launcher) and attempt.handle() is None:
            if time.monotonic() > deadline:
                raise await _too_late(attempt, launcher)
            await asyncio.sleep(0.01)
        return attempt.handle() or handle_of(launcher)


async def _too_late(attempt: Attempt, launcher: procs.Identity) -> Broken:
    """What to say of a start that has taken too long. It never will be one any more: else it
    would run with nobody watching."""
    procs.signal_to(launcher, signal.SIGKILL)
    gone = await _within(_STOP_PATIENCE, launcher)
    if not gone or await _left(attempt, handle_of(launcher)):
        return Unreachable(f"the launcher in {attempt.folder} neither starts nor can be ended")
    return Broken("the launcher did not start in time, and was ended: is the machine too busy?")


def _last_words(folder: Path) -> str:
    lines = (folder / "launcher.log").read_text("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else "it left no word"


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)


async def _status(attempt: Attempt, handle: str, reason: str) -> Status:
    """As the port says; `reason` is the end's where the launcher left none itself."""
    if procs.alive(identity(handle)):
        return Status(alive=True)
    if (end := attempt.end()) is not None:
        return Status(alive=False, end=end)
    if await _left(attempt, handle):
        return Status(alive=True)
    restarted = None if identity(handle).boot == procs.boot_id() else "the machine was restarted"
    end = Exit(reason=reason, error=restarted, at=time.time_ns() // 1_000_000)
    attempt.bury(end)
    return Status(alive=False, end=end)


async def _left(attempt: Attempt, handle: str) -> list[int]:
    """What lives on without its launcher and can't be killed, by pid; the rest is killed."""
    launcher = identity(handle)
    signs = attempt.signs(launcher)
    if signs is None or launcher.boot != procs.boot_id():
        return []
    return await procs.end_strays(signs)


async def _end(launcher: procs.Identity, grace: float) -> None:
    """Ask the launcher to end it all; then to force it; then kill the launcher itself."""
    asked = signal.SIGTERM if grace else signal.SIGUSR1
    for number, patience in ((asked, grace), (signal.SIGUSR1, 0.0), (signal.SIGKILL, 0.0)):
        procs.signal_to(launcher, number)
        if await _within(patience + _STOP_PATIENCE, launcher):
            return


async def _within(seconds: float, launcher: procs.Identity) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await procs.gone(launcher)
    except TimeoutError:
        return False
    return True
