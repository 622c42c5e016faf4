"""Where a process runs: the Sandbox port, and what crosses it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from core.model import Mount
from core.ports.driver import Exit, Line


@dataclass(frozen=True, slots=True)
class Door:
    """The way back to Bullpen, for one attempt (http-api.md, `session` routes). `token` is the
    attempt's own. `socket` answers that attempt alone, where the sandbox shares the session's
    folder; `url` is the HTTP API's address as seen from outside this machine's loopback where
    one is configured, else on loopback (None: it does not listen)."""

    token: str
    url: str | None = None
    socket: Path | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """One process to start. `folder` is the attempt's own folder (output, input, exit);
    everything about the attempt can be found again from it. `env` is the whole
    environment. Caps and memory in bytes, times in seconds.

    `writable`: folders besides the workspace that it may write (its HOME, its artifacts, a
    persistent agent's memory); `readable`: what else it may read; `mounts`: credentials, shown
    inside at their own place. All of these have the same path inside and outside. `network`:
    `on`, `off`, or the name of one (containers). `container`: what a container sandbox needs to
    know, as configured for the agent. `idle_time`: without a byte of output; `memory`: resident,
    of the whole tree; `cpu_time`: used by the whole tree; `processes`: at once."""

    session_id: str
    number: int
    folder: Path
    workspace: Path
    argv: tuple[str, ...]
    env: Mapping[str, str]
    first_input: bytes = b""
    input_open: bool = False
    log_cap: int = 64 << 20
    output_limit: int = 1 << 30
    wall_time: float | None = None
    grace: float = 10.0
    idle_time: float | None = None
    memory: int | None = None
    cpu_time: float | None = None
    processes: int | None = None
    writable: tuple[Path, ...] = ()
    readable: tuple[Path, ...] = ()
    mounts: tuple[Mount, ...] = ()
    network: str = "on"
    container: Mapping[str, Any] = field(default_factory=dict)
    door: Door | None = None
    pty: bool = False


@dataclass(frozen=True, slots=True)
class Status:
    """`alive`, or the `end`; neither means: not yet known to have started."""

    alive: bool
    end: Exit | None = None


@dataclass(frozen=True, slots=True)
class Ran:
    """A short command of ours inside a sandbox: its exit and its output (untrusted text)."""

    end: Exit
    output: str


class Sandbox(Protocol):
    """Every call but `missing` raises Unreachable where the engine or cluster gives no answer:
    then nothing is known, and the caller asks again later."""

    name: str
    shares_folder: bool
    """Whether the session's folder is the same one inside. Where not, code arrives by git and
    leaves by git, artifacts leave over the door, and nothing else in there outlives an attempt;
    after an end the workspace outside holds the branch as the agent left it."""

    def missing(self, container: Mapping[str, Any]) -> str | None:
        """None when this sandbox can work here, for an agent with that `container` table; else
        one line that says what to install. Answers at once, from what is known."""

    async def start(self, order: Order) -> str:
        """Start it, at most once for a folder, and return a handle (text, to be stored).
        The process outlives the caller. Raises Broken, with the reason, when it can't."""

    async def find(self, folder: Path) -> str | None:
        """After a crash: the handle of what was started in that folder; None, and then it
        has not started and never will."""

    async def status(self, folder: Path, handle: str) -> Status:
        """Whether it lives. Never guesses: an `end` of reason `gone` means proof of absence."""

    async def ended(self, folder: Path, handle: str) -> None:
        """Returns as soon as it has ended (at once when it has). Cancellable."""

    async def read(self, folder: Path, position: int, limit: int) -> Sequence[Line]:
        """Whole lines of output from a position, at most about `limit` bytes of them."""

    async def send(self, folder: Path, number: int, data: bytes, last: bool = False) -> None:
        """Input number `number` (1, 2, …). Writing the same number again changes nothing;
        `last` ends the input after it."""

    async def note(self, folder: Path, name: str, text: str) -> None:
        """Leave word for a running attempt: `size` (`80x24`, of its terminal), or `waiting`
        (anything: a person is asked, and its idle time does not count; empty: no longer)."""

    async def stop(self, folder: Path, handle: str, force: bool = False) -> Exit:
        """TERM, the order's grace, KILL (force: KILL at once) to everything it started.
        Returns only when nothing of it is left; raises Broken when that can't be proven."""

    async def forget(self, folder: Path) -> None:
        """Its attempt has ended, or never will start: nothing secret of it stays in its folder."""

    async def run(self, order: Order) -> Ran:
        """A short command of ours, inside, waited for."""


@runtime_checkable
class Sized(Protocol):
    """What a sandbox may have besides, where the output is a file of this machine: then nothing
    is read as long as nothing has come."""

    def size(self, folder: Path) -> int:
        """Bytes of output so far, at once: what `read` counts positions in. Where it can't be
        told more than there can be, so that `read` says why."""
