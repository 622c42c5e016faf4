"""Codex, driven by `codex exec --json`: one prompt, its turn, its end."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from core.drivers import codex_wire, known
from core.drivers.common import MCP_SERVER, PATIENCE, WAY_BACK, Deaf, by_result, further, installed
from core.errors import Unclear
from core.model import AgentEvent
from core.ports import Brief, Exit, Line, Plan, Verdict

_MODES = ("off", "read-only", "workspace-write")
_LONG_PROMPT = 900_000
"""Codex takes no prompt of a million characters and more."""


_OPTIONS = {
    "program": known.text,
    "model": known.text,
    "codex_sandbox": known.one_of(*_MODES),
    "base_url": known.address,
    "key_variable": known.text,
    "config": known.table,
    "args": known.words,
}


class CodexDriver(Deaf):
    """Starts `codex exec --json`, with the prompt as its whole input: it can't be asked or told
    anything while it runs, and asks for no leave. `exec resume` goes on with its thread.

    Options: `program` (default `codex`; npm's launcher is replaced by the native program that it
    starts, which would outlive it), `model`, `codex_sandbox` (`read-only`, `workspace-write`,
    `off`; by default `off` where Bullpen's sandbox keeps it in, and `workspace-write` on the
    plain host), `base_url` and `key_variable` (a provider that speaks the Responses API),
    `config` (a table of Codex's own settings, as in its config.toml), `args`.
    """

    name = "codex"
    can_resume = True
    reports_tools = True
    structured = True

    def faults(self, options: Mapping[str, Any], given: Collection[str]) -> Sequence[str]:
        return known.faults(options, _OPTIONS)

    def missing(self, options: Mapping[str, Any], here: bool = True) -> str | None:
        program = str(options.get("program", "codex"))
        if not here or shutil.which(program):
            return None
        if "program" in options:
            return f"Codex is not at {program}: correct options.program in agents.toml"
        return "Codex is not installed: npm install -g @openai/codex"

    def plan(self, brief: Brief) -> Plan:
        """Raises Unclear for options that can't be read, and for a talk at a terminal."""
        if brief.interactive:
            raise Unclear("Codex has no talk at a terminal here: it takes one prompt a turn.")
        program = native(str(brief.options.get("program", "codex")))
        going_on = ("resume", brief.resume) if brief.resume else ()
        return Plan(
            argv=(
                program,
                "exec",
                "--json",
                "--skip-git-repo-check",
                *_flags(brief),
                *going_on,
                "-",
            ),
            env={
                "BULLPEN_TASK": brief.task,
                "BULLPEN_PROMPT_FILE": str(brief.prompt_file),
                "BULLPEN_ARTIFACTS": str(brief.artifacts),
                "TZ": "UTC",  # it tells the end of a limit by this clock, without its zone
            },
            first_input=_prompt(brief),
            files={".codex/AGENTS.md": brief.instructions} if brief.instructions else {},
            readable=installed(program),
        )

    def parse(self, line: Line) -> Sequence[AgentEvent]:
        return codex_wire.events(line)

    def verdict(self, last: AgentEvent | None, end: Exit | None) -> Verdict:
        return by_result(last, end)


def native(program: str) -> str:
    """The program itself where `program` is npm's launcher: killed, that one leaves the real
    one alive. As given where it is something else, or isn't on this machine."""
    found = shutil.which(program)
    if found is None:
        return program
    launcher = Path(found).resolve()
    if launcher.suffix != ".js":
        return program
    package = launcher.parents[1]
    for place in (package.parent, package / "node_modules" / "@openai", package.parents[1]):
        for real in sorted(place.glob(f"codex*/vendor/{platform.machine()}-*/*/codex")):
            if real.is_file():
                return str(real)
    return program


def _prompt(brief: Brief) -> bytes:
    data = brief.prompt.encode(errors="replace")
    if len(brief.prompt) <= _LONG_PROMPT:
        return data
    return f"Your instructions are in the file {brief.prompt_file}: read all of it.\n".encode()


def _flags(brief: Brief) -> list[str]:
    options = brief.options
    flags = _walls(brief)
    if model := brief.model or options.get("model"):
        flags += ["-m", str(model)]
    for key, value in _settings(brief):
        flags += ["-c", f"{key}={_toml(value)}"]
    return [*flags, *further(options)]


def _mode(brief: Brief) -> str:
    """Its own sandbox: none where Bullpen's keeps it in."""
    usual = "workspace-write" if brief.sandbox == "host" else "off"
    mode = str(brief.options.get("codex_sandbox", usual))
    if mode not in _MODES:
        raise Unclear(f"options.codex_sandbox is one of {', '.join(_MODES)}; {mode!r} is none.")
    return mode


def _walls(brief: Brief) -> list[str]:
    """It never asks for leave, since nobody could give it."""
    if (mode := _mode(brief)) == "off":
        return ["--dangerously-bypass-approvals-and-sandbox"]
    return ["--sandbox", mode, "-c", 'approval_policy="never"']


def _settings(brief: Brief) -> list[tuple[str, object]]:
    options = brief.options
    settings: list[tuple[str, object]] = [("check_for_update_on_startup", False)]
    if _mode(brief) == "workspace-write":
        settings.append(("sandbox_workspace_write.writable_roots", [str(brief.artifacts)]))
    if base := options.get("base_url"):
        provider = {
            "name": "bullpen",
            "base_url": str(base),
            "env_key": str(options.get("key_variable", "OPENAI_API_KEY")),
            "wire_api": "responses",
        }
        settings += [("model_provider", "bullpen"), ("model_providers.bullpen", provider)]
    if brief.mcp:
        settings.append((f"mcp_servers.{MCP_SERVER}", _mcp(brief.mcp)))
    own = options.get("config", {})
    if not isinstance(own, Mapping):
        raise Unclear('options.config must be a table, for instance {"web_search" = "disabled"}.')
    return [*settings, *((str(key), value) for key, value in own.items())]


def _mcp(command: Sequence[str]) -> Mapping[str, object]:
    """Its variables are named, not told: a command line can be read by everyone here."""
    return {
        "command": command[0],
        "args": list(command[1:]),
        "env_vars": list(WAY_BACK),
        "required": True,
        "startup_timeout_sec": 60,
        "tool_timeout_sec": PATIENCE,
        "default_tools_approval_mode": "approve",
    }


def _toml(value: object) -> str:
    """A value as TOML writes it. Raises Unclear for what has no place there."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_toml(str(k))} = {_toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(one) for one in value) + "]"
    if isinstance(value, bool | int | float):
        return str(value).lower()
    if isinstance(value, str):
        return msgspec.json.encode(value.replace("\0", "").replace("\x7f", "")).decode()
    raise Unclear(f"options.config holds what Codex can't be told: {value!r}")
