"""Commands that an agent runs through its client: in the workspace, with bounded output."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
from collections.abc import Mapping, Sequence

from acp import RequestError
from acp.schema import TerminalExitStatus, TerminalOutputResponse

from core.drivers.acp_bridge.child import Child
from core.drivers.acp_bridge.files import Files, refused
from core.drivers.acp_bridge.lines import reading

AT_ONCE = 32
KEPT = 1 << 20
"""Bytes of a terminal's newest output that are kept, where the agent asks for no less."""
_SAID = 32 << 10
"""Characters of its output that stand in the log."""
_LAST = 0.3
"""Seconds for output that is still on its way when the command has ended."""


class Terminal:
    """One command and the end of what it printed."""

    def __init__(self, child: Child, most: int) -> None:
        self._child = child
        self._most = most
        self._output = bytearray()
        self.truncated = False
        self._reads = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self._child.output is not None  # noqa: S101 - always piped
        stream = await reading(self._child.output)
        while chunk := await stream.read(64 << 10):
            self._output += chunk
            if len(self._output) > self._most:
                del self._output[: -self._most or len(self._output)]
                self.truncated = True

    def text(self) -> str:
        """From a character's beginning on."""
        data = bytes(self._output)
        while self.truncated and data and data[0] & 0xC0 == 0x80:
            data = data[1:]
        return data.decode("utf-8", errors="replace")

    @property
    def exit(self) -> TerminalExitStatus | None:
        status = self._child.status
        if status is None:
            return None
        if status >= 0:
            return TerminalExitStatus(exit_code=status)
        with contextlib.suppress(ValueError):
            return TerminalExitStatus(signal=signal.Signals(-status).name)
        return TerminalExitStatus(signal=str(-status))

    async def ended(self) -> TerminalExitStatus:
        await asyncio.shield(self._child.ended)
        await asyncio.wait({self._reads}, timeout=_LAST)
        return self.exit or TerminalExitStatus()

    def kill(self) -> None:
        self._child.signal(signal.SIGKILL)


class Terminals:
    """Every command ends with the bridge. Raises RequestError for what is refused."""

    def __init__(self, files: Files, workspace: str, env: Mapping[str, str]) -> None:
        self._files = files
        self._workspace = workspace
        self._env = env
        self._open: dict[str, Terminal] = {}
        self._released: dict[str, str] = {}
        self._count = 0

    def create(
        self,
        command: str,
        args: Sequence[str],
        env: Mapping[str, str],
        cwd: str | None,
        most: int | None,
    ) -> str:
        if len(self._open) >= AT_ONCE:
            raise refused(f"more than {AT_ONCE} terminals at once: release some")
        where = str(self._files.place(cwd)) if cwd else self._workspace
        argv = [command, *args]
        if not args and shutil.which(command, path=self._env.get("PATH")) is None:
            argv = ["/bin/sh", "-c", command]  # agents give a whole line of the shell's, too
        try:
            child = Child(argv, where, {**self._env, **env}, together=True)
        except (OSError, ValueError) as error:
            raise refused(f"can't run {command[:200]}: {error}") from error
        self._count += 1
        name = f"terminal-{self._count}"
        self._open[name] = Terminal(child, min(KEPT if most is None else most, KEPT))
        return name

    def get(self, name: str) -> Terminal:
        if name not in self._open:
            raise RequestError.resource_not_found(name[:200])
        return self._open[name]

    def output(self, name: str) -> TerminalOutputResponse:
        found = self.get(name)
        return TerminalOutputResponse(
            output=found.text(), truncated=found.truncated, exit_status=found.exit
        )

    def said(self, name: str) -> str:
        """The end of what it printed, for the log; a released one is remembered for a while."""
        if name in self._open:
            return self._open[name].text()[-_SAID:]
        return self._released.get(name, "")

    def release(self, name: str) -> None:
        terminal = self.get(name)
        self._released[name] = terminal.text()[-_SAID:]
        while len(self._released) > AT_ONCE:
            del self._released[next(iter(self._released))]
        terminal.kill()
        del self._open[name]

    def end(self) -> None:
        for terminal in self._open.values():
            terminal.kill()
        self._open.clear()
