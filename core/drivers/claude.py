"""Claude Code, driven over its stream of JSON lines."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from core.drivers import claude_questions, claude_wire, known
from core.drivers.common import (
    MCP_SERVER,
    PATIENCE,
    WAY_BACK,
    argument,
    by_result,
    further,
    installed,
)
from core.model import AgentEvent
from core.ports import Brief, Exit, Line, Plan, Verdict

_STREAM = (
    *("-p", "--input-format", "stream-json", "--output-format", "stream-json", "--verbose"),
    *("--permission-prompt-tool", "stdio"),
)

_PATIENT = {
    "MCP_TIMEOUT": "60000",
    "MCP_CONNECT_TIMEOUT_MS": "60000",
    "CLAUDE_CODE_MCP_STARTUP_WAIT_MS": "60000",
    "MCP_TOOL_TIMEOUT": str(PATIENCE * 1000),
}
"""It begins when Bullpen's tools are there, also on a busy machine; and a question may wait."""


_LOGIN = "· Please run /login"
"""What it advises to whom it thinks before it."""


_OPTIONS = {
    "program": known.text,
    "model": known.text,
    "permission_mode": known.one_of(
        "default", "acceptEdits", "plan", "bypassPermissions", "dontAsk", "auto"
    ),
    "append_system_prompt": known.text,
    "args": known.words,
}


class ClaudeDriver:
    """Starts `claude -p` with its input open: prompts, answers and interrupts are lines there.
    For a person at a terminal it is the plain `claude`, and what it shows is text.

    Options: `program` (default `claude`), `model`, `permission_mode` (default `default`),
    `append_system_prompt`, `args` (a list of further arguments). `--resume` finds a
    conversation only from the working directory in which it began.
    """

    name = "claude"
    can_resume = True
    reports_tools = True
    structured = True

    def faults(self, options: Mapping[str, Any], given: Collection[str]) -> Sequence[str]:
        return known.faults(options, _OPTIONS)

    def missing(self, options: Mapping[str, Any], here: bool = True) -> str | None:
        program = str(options.get("program", "claude"))
        if not here or shutil.which(program):
            return None
        if "program" in options:
            return f"Claude Code is not at {program}: correct options.program in agents.toml"
        return "Claude Code is not installed: npm install -g @anthropic-ai/claude-code"

    def plan(self, brief: Brief) -> Plan:
        """Raises Unclear when `options["args"]` is not a list of words."""
        program = str(brief.options.get("program", "claude"))
        env = {
            "BULLPEN_TASK": brief.task,
            "BULLPEN_PROMPT_FILE": str(brief.prompt_file),
            "BULLPEN_ARTIFACTS": str(brief.artifacts),
        }
        env |= _PATIENT if brief.mcp else {}
        flags = (*_flags(brief), *further(brief.options))
        readable = installed(program)
        if brief.interactive:
            env |= {"DISABLE_AUTOUPDATER": "1"}
            begun = None if brief.resume else str(uuid.uuid4())
            named = ("--session-id", begun) if begun else ()
            return Plan(
                argv=(program, *flags, *named, *_opening(brief)),
                env=env,
                input_open=True,
                readable=readable,
                pty=True,
                conversation=begun,
                settings={".claude.json": _welcomed(brief)},
            )
        return Plan(
            argv=(program, *_STREAM, *flags),
            env=env,
            first_input=self.say(brief.prompt),
            input_open=True,
            readable=readable,
        )

    def parse(self, line: Line) -> Sequence[AgentEvent]:
        return claude_wire.events(line)

    def say(self, text: str) -> bytes:
        content = [{"type": "text", "text": text}]
        message = {"role": "user", "content": content}
        return _line({"type": "user", "message": message, "parent_tool_use_id": None})

    def answer(self, request: Mapping[str, Any], allow: bool, text: str) -> bytes:
        """`text` is the reason of a no, or the answer to a question: a line for each where
        several were asked; raises Unclear where it has not as many. Allowed is
        `request["input"]`, also when changed."""
        given = dict(request.get("input") or {})
        if not allow:
            words = text or "The user did not allow this."
            return _response(request, {"behavior": "deny", "message": words})
        if request.get("tool") == claude_wire.QUESTION_TOOL:
            given["answers"] = claude_questions.answers(given, text)
        return _response(request, {"behavior": "allow", "updatedInput": given})

    def interrupt(self) -> bytes:
        request = {"subtype": "interrupt"}
        return _line({"type": "control_request", "request_id": "interrupt", "request": request})

    def verdict(self, last: AgentEvent | None, end: Exit | None) -> Verdict:
        judged = by_result(last, end)
        reason, advice, _ = (judged.reason or "").partition(_LOGIN)
        if advice:
            reason = f"{reason.rstrip()}: give it a key or a token (docs/agents.md)"
        return replace(judged, reason=reason or None)


def _flags(brief: Brief) -> tuple[str, ...]:
    options = brief.options
    flags = ["--permission-mode", str(options.get("permission_mode", "default"))]
    if model := brief.model or options.get("model"):
        flags += ["--model", str(model)]
    said = (str(options.get("append_system_prompt") or ""), brief.instructions)
    if words := "\n\n".join(part.strip() for part in said if part.strip()):
        flags += ["--append-system-prompt", argument(words)]
    if brief.mcp:
        flags += ["--mcp-config", _mcp(brief.mcp), f"--allowedTools=mcp__{MCP_SERVER}"]
    if brief.resume:
        flags += ["--resume", brief.resume]
    return tuple(flags)


def _mcp(command: Sequence[str]) -> str:
    """Its variables are named, not told: a command line can be read by everyone here."""
    server = {
        "type": "stdio",
        "command": command[0],
        "args": list(command[1:]),
        "env": {name: f"${{{name}:-}}" for name in WAY_BACK},
        "alwaysLoad": True,
    }
    return msgspec.json.encode({"mcpServers": {MCP_SERVER: server}}).decode()


def _welcomed(brief: Brief) -> Mapping[str, Any]:
    """Its home is new: without this it would ask each time about colours, and its folder."""
    trusted = {"hasTrustDialogAccepted": True}
    return {"hasCompletedOnboarding": True, "projects": {str(brief.workspace): trusted}}


def _opening(brief: Brief) -> tuple[str, ...]:
    """The first words of a talk at a terminal; one that goes on waits for its person."""
    return () if brief.resume or not brief.prompt.strip() else ("--", argument(brief.prompt))


def _response(request: Mapping[str, Any], body: Mapping[str, Any]) -> bytes:
    response = {
        "subtype": "success",
        "request_id": request.get("request_id", ""),
        "response": body,
    }
    return _line({"type": "control_response", "response": response})


def _line(value: Mapping[str, Any]) -> bytes:
    return msgspec.json.encode(value) + b"\n"
