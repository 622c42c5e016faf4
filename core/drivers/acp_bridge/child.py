"""A child process whose end is seen although its own children hold its pipes open."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from typing import IO


class Child:
    """Starts at once, in a session of its own. Raises OSError where it can't be started.

    `output`, `errors`, `input`: our ends of its pipes, None where it has none."""

    def __init__(
        self,
        argv: Sequence[str],
        cwd: str,
        env: Mapping[str, str],
        *,
        stdin: bool = False,
        together: bool = False,
    ) -> None:
        self._process = subprocess.Popen(
            argv,
            cwd=cwd,
            env=dict(env),
            bufsize=0,
            stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if together else subprocess.PIPE,
            start_new_session=True,
        )
        self.input: IO[bytes] | None = self._process.stdin
        self.output: IO[bytes] | None = self._process.stdout
        self.errors: IO[bytes] | None = self._process.stderr
        self.ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        threading.Thread(target=self._wait, args=(self.ended.get_loop(),), daemon=True).start()

    def _wait(self, loop: asyncio.AbstractEventLoop) -> None:
        status = self._process.wait()
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody asks any more
            loop.call_soon_threadsafe(self._over, status)

    def _over(self, status: int) -> None:
        if not self.ended.done():
            self.ended.set_result(status)

    @property
    def status(self) -> int | None:
        return self.ended.result() if self.ended.done() else None

    def signal(self, number: signal.Signals) -> None:
        """To it and what it started, as far as that stayed in its session."""
        if self._process.pid == os.getpgrp():
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    async def waited(self, seconds: float) -> bool:
        """Whether it has ended within that time."""
        await asyncio.wait({self.ended}, timeout=seconds)
        return self.ended.done()


def how(status: int) -> str:
    """How a process ended, in words."""
    if status >= 0:
        return f"exit status {status}"
    with contextlib.suppress(ValueError):
        return f"signal {-status} ({signal.Signals(-status).name})"
    return f"signal {-status}"
