"""How to talk to an agent: the Driver port, and what crosses it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import msgspec

from core.model import AgentEvent


@dataclass(frozen=True, slots=True)
class Brief:
    """What a driver is told. Paths are the same inside every sandbox and outside.

    `instructions`: the scoped words about this one task (session/AGENTS.md), for the place where
    this agent reads such words. `mcp`: the command line of Bullpen's MCP server, empty where the
    agent gets none. `input`, `output`: the artifact that its step reads, and the one that it
    must write. `interactive`: a person types to it in a terminal. `whole`: with `resume`, all
    that was said in this session: what a fresh conversation needs where the old one is lost.
    `sandbox`: the name of the one that it runs in."""

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
    instructions: str = ""
    mcp: tuple[str, ...] = ()
    input: Path | None = None
    output: Path | None = None
    interactive: bool = False
    whole: str = ""
    sandbox: str = "host"


@dataclass(frozen=True, slots=True)
class Plan:
    """How to start the agent. `first_input` is written to its standard input; where
    `input_open` is False the input ends after it. `files`: path below the agent's HOME → text,
    written there before it starts; `settings`: path → a JSON object, of which only what the file
    lacks is added. `readable`: folders and files outside the workspace that its
    program needs (an interpreter, a package), shown read-only where a sandbox hides the rest.
    `pty`: its input and output are a terminal. `conversation`: what it is told to call the one
    that it begins, where it can't say so itself."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    first_input: bytes = b""
    input_open: bool = False
    files: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    readable: tuple[Path, ...] = ()
    pty: bool = False
    conversation: str | None = None


class Line(msgspec.Struct, frozen=True, gc=False):
    """One line of output. `stream` is `out`, `err` or `mark` (the launcher's own words);
    `at` is ms since the epoch; `end` is the position in the output just after it. `raw`: the
    bytes as they came, with what ends the line, where `text` lacks any of them."""

    stream: str
    at: int
    text: str
    end: int
    raw: bytes | None = None


@dataclass(frozen=True, slots=True)
class Exit:
    """How an attempt ended. `reason`: None (by itself), `stopped`, `not_started` (then `error`
    says why), `gone` (no trace of an end), or the limit that ended it: `wall_time`, `idle_time`,
    `output_limit`, `memory`, `cpu_time` or `processes`."""

    status: int | None = None
    signal: int | None = None
    reason: str | None = None
    error: str | None = None
    at: int = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """A driver's judgement: never the bare exit status where the agent says more. `lost`: it
    was to go on with a conversation that is not there any more, and has done nothing."""

    ok: bool
    reason: str | None = None
    summary: str | None = None
    lost: bool = False


class Driver(Protocol):
    name: str
    can_resume: bool
    reports_tools: bool
    structured: bool
    """Its output is JSON, a value a line."""

    def faults(self, options: Mapping[str, Any], given: Collection[str]) -> Sequence[str]:
        """What is wrong with what is written of an agent, a line each: the key, and what instead.
        `given`: the names of its own variables. Pure."""

    def missing(self, options: Mapping[str, Any], here: bool = True) -> str | None:
        """None when this driver can work here, else one line that says what to install. Not
        `here`: its programs are an image's, and only what is written can be judged."""

    def plan(self, brief: Brief) -> Plan:
        """The command line for a first start, or with `brief.resume` for going on."""

    def parse(self, line: Line) -> Sequence[AgentEvent]:
        """A line of output as events. Pure; a line it doesn't know becomes one `text`."""

    def say(self, text: str) -> bytes | None:
        """Input for the running agent; None when this driver takes none."""

    def answer(self, request: Mapping[str, Any], allow: bool, text: str) -> bytes | None:
        """The answer to a permission request or question, as input bytes. Raises Unclear, with
        one line that says what to type, where the words are no answer to what was asked."""

    def interrupt(self) -> bytes | None:
        """Input that asks the agent to stop what it does; None when there is none."""

    def verdict(self, last: AgentEvent | None, end: Exit | None) -> Verdict:
        """The judgement, from the last `finished` event and the end (None: still alive)."""
