"""What the core asks of the outside: five protocols, and the values that cross them.

An adapter is one module that fulfils one of these. `tests/contracts/` holds one suite a
port, run over every adapter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from core.commands.reply import Reply
from core.model import AgentEvent, Repo


class Clock(Protocol):
    def now(self) -> int:
        """Wall-clock time, ms since the epoch. For records, never for measuring."""

    def monotonic(self) -> float:
        """Seconds that only go forward. For limits and pauses."""


# -- Driver: how to talk to an agent ------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Brief:
    """What a driver is told. Paths are as the agent sees them inside its sandbox."""

    task: str
    title: str
    session_id: str
    workspace: Path
    artifacts: Path
    prompt: str
    prompt_file: Path
    command: str | None = None
    model: str | None = None
    resume: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan:
    """How to start the agent. `first_input` is written to its standard input; where
    `input_open` is False the input ends after it."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    first_input: bytes = b""
    input_open: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """One line of output. `stream` is `out`, `err` or `mark` (the launcher's own words);
    `at` is ms since the epoch; `end` is the position in the output just after it."""

    stream: str
    at: int
    text: str
    end: int


@dataclass(frozen=True, slots=True)
class Exit:
    """How an attempt ended. `reason`: None (by itself), `stopped`, `output_limit`,
    `wall_time`, `not_started` (then `error` says why) or `gone` (no trace of an end)."""

    status: int | None = None
    signal: int | None = None
    reason: str | None = None
    error: str | None = None
    at: int = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """A driver's judgement: never the bare exit status where the agent says more."""

    ok: bool
    reason: str | None = None
    summary: str | None = None


class Driver(Protocol):
    name: str
    can_resume: bool
    reports_tools: bool

    def missing(self, options: Mapping[str, Any]) -> str | None:
        """None when this driver can work here, else one line that says what to install."""

    def plan(self, brief: Brief) -> Plan:
        """The command line for a first start, or with `brief.resume` for going on."""

    def parse(self, line: Line) -> Sequence[AgentEvent]:
        """A line of output as events. Pure; a line it doesn't know becomes one `text`."""

    def say(self, text: str) -> bytes | None:
        """Input for the running agent; None when this driver takes none."""

    def answer(self, request: Mapping[str, Any], allow: bool, text: str) -> bytes | None:
        """The answer to a permission request or question, as input bytes."""

    def interrupt(self) -> bytes | None:
        """Input that asks the agent to stop what it does; None when there is none."""

    def verdict(self, last: AgentEvent | None, end: Exit | None) -> Verdict:
        """The judgement, from the last `finished` event and the end (None: still alive)."""


# -- Sandbox: where a process runs --------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Order:
    """One process to start. `folder` is the attempt's own folder (output, input, exit);
    everything about the attempt can be found again from it. `env` is the whole
    environment. Caps in bytes, times in seconds."""

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
    name: str

    def missing(self) -> str | None:
        """None when this sandbox can work here, else one line that says what to install."""

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

    async def stop(self, folder: Path, handle: str, force: bool = False) -> Exit:
        """TERM, the order's grace, KILL (force: KILL at once) to everything it started.
        Returns only when nothing of it is left; raises Broken when that can't be proven."""

    async def run(self, order: Order) -> Ran:
        """A short command of ours, inside, waited for."""


# -- Forge: where changes go --------------------------------------------------------------


NOWHERE = "0" * 40
"""A commit that no branch stands at."""


@dataclass(frozen=True, slots=True)
class MergeOrder:
    """A change to merge: commit `head` of `git_dir` (the bot's bare repository), approved
    with patch id `patch_id`, onto `repo`'s default branch.

    `onto`: the commit of that branch with which the change was checked; None: it may stand
    anywhere. `at`: when it was approved, ms since the epoch: the merge commit's date, so that
    the same order on the same branch makes the same commit; None: now."""

    repo: Repo
    git_dir: Path
    head: str
    patch_id: str
    message: str
    author: str
    onto: str | None = None
    at: int | None = None


@dataclass(frozen=True, slots=True)
class Merged:
    """`outcome`: `pr.merged` (with `commit`), `moved` (it could be merged, but the branch is no
    longer at `onto`: check it there first), `merge.conflict` (with `files`), `stale` (the
    patch is no longer the approved one: `patch_id` is the new one) or `refused` (the
    approval stays valid; `detail` is one line that says what to do).

    With `moved` and `stale`, `git_dir` holds what would be merged: `base`..`commit` is the
    change of `patch_id`, `base` being the branch as it stands (and `commit` too when nothing
    is left)."""

    outcome: str
    commit: str | None = None
    patch_id: str | None = None
    detail: str = ""
    files: tuple[str, ...] = ()
    base: str | None = None


class Forge(Protocol):
    name: str

    async def sync(self, repo: Repo, git_dir: Path) -> str:
        """Fetch the default branch into `git_dir`; returns its commit. Raises Broken."""

    async def merge(self, order: MergeOrder) -> Merged:
        """Merge it, unless the branch has left `onto`: then nothing is pushed, and the answer
        is `moved`. Doing the same order again after a crash gives the same answer."""


# -- Face: where people are ---------------------------------------------------------------


class Face(Protocol):
    platform: str

    async def post(
        self, chat: str, reply: Reply, *, silent: bool = False, reply_to: str | None = None
    ) -> str:
        """Send a new message; returns its id. Raises Flooded, ChatGone or Broken; Refused for
        what the platform will never take."""

    async def edit(self, chat: str, message: str, reply: Reply) -> None:
        """Replace a message. Unchanged content is no error. Raises MessageGone, and as post."""
