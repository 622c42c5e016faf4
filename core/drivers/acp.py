"""Any agent that speaks the Agent Client Protocol, by way of our bridge."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from core.drivers import acp_wire, known
from core.drivers.command import split_command
from core.drivers.common import installed, no_interpreter, own_program
from core.drivers.ending import ending
from core.errors import Unclear
from core.model import AgentEvent
from core.ports import Brief, Exit, Line, Plan, Verdict

_PACKAGE = "core.drivers.acp_bridge"
_HERE = Path(__file__).resolve()
_BRIDGE = _HERE.parent / "acp_bridge" / "__main__.py"
_EXAMPLE = 'options.command, for instance command = "opencode acp"'


_OPTIONS = {
    "command": known.command,
    "model": known.text,
    "mode": known.text,
    "auth_method": known.text,
    "files": known.flag,
    "terminals": known.flag,
    "start_timeout": known.number,
    "python": known.text,
}


class AcpDriver:
    """Starts the bridge (`core.drivers.acp_bridge`) with the agent as its child, in the sandbox.

    Options: `command` (the agent's command line, or a list of its words), `mode` and `model`
    (as the agent calls them), `auth_method` (the way to log in, where it wants one),
    `start_timeout` (seconds for its beginning; 120), `files` and `terminals` (false: the agent
    is left to its own ways of reading, writing and running), `python` (the bridge's
    interpreter, with Bullpen installed, where the bot's own isn't in the sandbox).
    """

    name = "acp"
    can_resume = True
    reports_tools = True
    structured = True

    def faults(self, options: Mapping[str, Any], given: Collection[str]) -> Sequence[str]:
        return known.faults(options, _OPTIONS)

    def missing(self, options: Mapping[str, Any], here: bool = True) -> str | None:
        try:
            program = _command(options)[0]
        except Unclear as error:
            return str(error)
        if not here:
            return None
        if shutil.which(program) is None:
            return f"{program} is not installed, or not on the PATH: install it or say its path"
        lacking = "The library of the protocol is missing: pip install agent-client-protocol"
        return no_interpreter(options, "acp", lacking)

    def plan(self, brief: Brief) -> Plan:
        """Raises Unclear where options.command is missing or can't be read."""
        env = {
            "BULLPEN_TASK": brief.task,
            "BULLPEN_PROMPT_FILE": str(brief.prompt_file),
            "BULLPEN_ARTIFACTS": str(brief.artifacts),
        }
        argv, readable = own_program(brief.options, _PACKAGE, _BRIDGE, _HERE.parents[1])
        command = _command(brief.options)
        return Plan(
            argv=(*argv, *_flags(brief), "--", *command),
            env=env,
            first_input=_first_input(brief),
            input_open=True,
            readable=(*readable, *installed(command[0])),
        )

    def parse(self, line: Line) -> Sequence[AgentEvent]:
        return acp_wire.events(line)

    def say(self, text: str) -> bytes:
        """The agent hears it when its turn is over: the protocol knows one prompt at a time."""
        return _line({"prompt": text})

    def answer(self, request: Mapping[str, Any], allow: bool, text: str) -> bytes:
        """Once, unless `text` begins with "always". The protocol has no field for the reason
        of a no: it is said as the next prompt."""
        always = text.strip().casefold().startswith("always")
        told: dict[str, Any] = {
            "answer": str(request.get("request_id", "")),
            "option": _chosen(request, "allow" if allow else "reject", always),
        }
        if not allow and text.strip() not in ("", "Denied."):
            told["say"] = f"You may not do this: {request.get('tool', '')}\n{text.strip()}"
        return _line(told)

    def interrupt(self) -> bytes:
        return _line({"interrupt": True})

    def verdict(self, last: AgentEvent | None, end: Exit | None) -> Verdict:
        """By the agent's own reason to stop; where it broke, by what broke it."""
        outside = ending(end) if end is not None and end.reason not in (None, "stopped") else None
        if last is not None and not (last.data.get("broken") and outside):
            ok = bool(last.data.get("ok"))
            reason = None if ok else str(last.data.get("error") or "the agent reported an error")
            return Verdict(ok, reason, last.text or None)
        if end is None:
            return Verdict(False, "it has not ended yet")
        return Verdict(False, f"ended without a result: {ending(end) or 'exit status 0'}")


def _command(options: Mapping[str, Any]) -> tuple[str, ...]:
    command = options.get("command")
    if isinstance(command, str) and command.strip():
        return split_command(command)
    if isinstance(command, list | tuple) and command and all(isinstance(w, str) for w in command):
        return tuple(command)
    raise Unclear(f"Say how the agent is started as an ACP server: {_EXAMPLE}.")


def _flags(brief: Brief) -> tuple[str, ...]:
    options = brief.options
    flags = ["--workspace", str(brief.workspace), "--artifacts", str(brief.artifacts)]
    if brief.resume:
        flags += ["--resume", brief.resume]
    if model := options.get("model") or brief.model:
        flags += ["--model", str(model)]
    for name in ("mode", "auth_method", "start_timeout"):
        if (value := options.get(name)) is not None:
            flags += [f"--{name.replace('_', '-')}", str(value)]
    for name in ("files", "terminals"):
        if options.get(name) is False:
            flags.append(f"--no-{name}")
    if brief.mcp:
        flags += ["--mcp", msgspec.json.encode(brief.mcp).decode()]
    return tuple(flags)


def _first_input(brief: Brief) -> bytes:
    told = {"prompt": brief.prompt}
    if brief.instructions:
        told["instructions"] = brief.instructions
    if brief.resume and brief.whole:
        told["whole"] = brief.whole
    return _line(told)


def _chosen(request: Mapping[str, Any], what: str, always: bool) -> str | None:
    """The option to take; None, where the agent offers none of that kind, cancels."""
    options = [option for option in request.get("options") or [] if isinstance(option, dict)]
    kinds = [f"{what}_always", f"{what}_once"] if always else [f"{what}_once"]
    for kind in kinds:
        for option in options:
            if option.get("kind") == kind:
                return str(option.get("id", ""))
    return None


def _line(value: Mapping[str, Any]) -> bytes:
    return msgspec.json.encode(value) + b"\n"
