"""Claude Code's lines, translated into a few events at the wall.

Tolerant: a field that is absent or of another kind is as good as empty, and a line that
isn't known stays readable as text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec

from core.drivers.claude_asked import asked_words
from core.drivers.claude_questions import question_words
from core.drivers.loose import Table, decoded, items, number, objects, string, table
from core.drivers.resets import reset_at
from core.model import AgentEvent, AgentEventKind
from core.ports import Line

QUESTION_TOOL = "AskUserQuestion"
_LOST = "No conversation found with session ID: "
"""What it says, before its first turn, of a conversation that it can't go on with."""
_LAST_SECOND = 253_402_300_799
"""The end of the year 9999, in seconds since the epoch: no calendar goes further."""


def events(line: Line) -> tuple[AgentEvent, ...]:
    """The events of a line of output; one `text` when the line isn't known."""
    value = decoded(line)
    kind = str(value.get("type"))
    translate = _TRANSLATE.get(kind)
    found = translate(value) if translate else None
    if kind == "assistant" and value.get("error"):
        found = _failure(value, line.at)
    return (_text(line.text),) if found is None else found


def _system(value: Table) -> tuple[AgentEvent, ...] | None:
    if value.get("subtype") == "api_retry":
        return (_retry(value),)
    if value.get("subtype") in ("task_started", "task_notification"):
        return _command(value)
    if value.get("subtype") != "init":
        return None
    model = string(value.get("model"))
    data = {"driver_session": string(value.get("session_id")), "model": model}
    return (AgentEvent(AgentEventKind.STARTED, f"Claude Code started ({model})", data),)


def _command(value: Table) -> tuple[AgentEvent, ...]:
    """Its shell's commands are tool calls, which say the same; but for what went wrong beside."""
    status = string(value.get("status"))
    if not status or status in ("completed", "stopped"):
        return ()
    return (_text(f"In the background: {string(value.get('summary'))}: {status}"),)


def _retry(value: Table) -> AgentEvent:
    """A refused key stays refused, so it is an error at once; the rest may pass by itself."""
    status = value.get("error_status")
    words = (
        f"The model's API failed ({status or 'no connection'}, {value.get('error')}): "
        f"try {value.get('attempt')} of {value.get('max_retries')}"
    )
    return _error(words) if status in (401, 403) else _text(words)


def _assistant(value: Table) -> tuple[AgentEvent, ...] | None:
    blocks = _blocks(value)
    said = [event for block in blocks for event in _said(block)]
    return (*said, *_used(table(value.get("message")))) or None


def _used(message: Table) -> Iterator[AgentEvent]:
    """What one answer of the model's used so far; the result's total takes its place."""
    usage, name = table(message.get("usage")), string(message.get("id"))
    kept = number(usage.get("cache_read_input_tokens"))
    taken = number(usage.get("input_tokens")) + number(usage.get("cache_creation_input_tokens"))
    given = number(usage.get("output_tokens"))
    if name and (taken or kept or given):
        data = {
            "message": name,
            "model": string(message.get("model")),
            "tokens_in": int(taken + kept),
            "tokens_out": int(given),
            "cached": int(kept),
        }
        yield AgentEvent(AgentEventKind.USAGE, "", data)


def _failure(value: Table, now: int) -> tuple[AgentEvent, ...]:
    """A limit that a `rate_limit_event` told of before is said again here: twice is no harm."""
    kind = str(value["error"])
    words = "\n".join(string(block.get("text")) for block in _blocks(value)).strip() or kind
    if kind != "rate_limit" and "limit reached|" not in words:
        return (_error(words),)
    return (AgentEvent(AgentEventKind.LIMIT, words, {"reset_at": reset_at(words, now)}),)


def _said(block: Table) -> Iterator[AgentEvent]:
    if block.get("type") == "text":
        yield _text(string(block.get("text")))
    elif block.get("type") == "thinking":
        if thought := string(block.get("thinking")):
            yield _text(thought)
    elif block.get("type") == "tool_use":
        name, given = string(block.get("name")), table(block.get("input"))
        data = {"id": string(block.get("id")), "name": name, "input": given}
        yield AgentEvent(AgentEventKind.TOOL_CALL, _titled(name, given), data)
    elif block.get("type") != "redacted_thinking":
        yield _text(msgspec.json.encode(block).decode())


def _user(value: Table) -> tuple[AgentEvent, ...] | None:
    return _some(event for block in _blocks(value) for event in _returned(block, value))


def _returned(block: Table, value: Table) -> Iterator[AgentEvent]:
    if block.get("type") != "tool_result":
        yield _text(string(block.get("text")) or msgspec.json.encode(block).decode())
        return
    data = {"id": string(block.get("tool_use_id")), "is_error": bool(block.get("is_error"))}
    yield AgentEvent(AgentEventKind.TOOL_RESULT, _content(block.get("content")), data)
    change = table(value.get("tool_use_result"))
    if isinstance(change.get("structuredPatch"), list) and change.get("filePath"):
        yield _file_change(change)


def _file_change(change: Table) -> AgentEvent:
    hunks = objects(change["structuredPatch"])
    patch = [string(line) for hunk in hunks for line in items(hunk.get("lines"))]
    added = sum(line.startswith("+") for line in patch)
    removed = sum(line.startswith("-") for line in patch)
    if change.get("type") == "create":
        added = len(string(change.get("content")).splitlines())
    path = string(change["filePath"])
    data = {"path": path, "added": added, "removed": removed}
    return AgentEvent(AgentEventKind.FILE_CHANGE, f"{path} (+{added} -{removed})", data)


def _control(value: Table) -> tuple[AgentEvent, ...] | None:
    asked = table(value.get("request"))
    if asked.get("subtype") != "can_use_tool":
        return None
    tool, given = string(asked.get("tool_name")), table(asked.get("input"))
    request = {"request_id": value.get("request_id"), "tool": tool, "input": given}
    if tool == QUESTION_TOOL:
        return (_question(request, given),)
    data = {"request": request, "tool": tool, "input": given}
    return (AgentEvent(AgentEventKind.PERMISSION_REQUEST, asked_words(tool, given), data),)


def _question(request: Table, given: Table) -> AgentEvent:
    questions = [
        {
            "question": string(asked.get("question")),
            "options": [string(option.get("label")) for option in objects(asked.get("options"))],
        }
        for asked in objects(given.get("questions"))
    ]
    data = {"request": request, "questions": questions}
    return AgentEvent(AgentEventKind.QUESTION, question_words(given), data)


def _limit(value: Table) -> tuple[AgentEvent, ...] | None:
    info = table(value.get("rate_limit_info"))
    status, kind = string(info.get("status")), string(info.get("rateLimitType"))
    if status == "allowed":
        return ()
    if status != "rejected" or info.get("isUsingOverage"):
        return (_text(f"Usage limit ({kind.replace('_', ' ')}): {status.replace('_', ' ')}"),)
    seconds = number(info.get("resetsAt"))
    reset = int(seconds * 1000) if seconds <= _LAST_SECOND else 0
    words = f"Usage limit reached ({kind.replace('_', ' ')})"
    return (AgentEvent(AgentEventKind.LIMIT, words, {"reset_at": reset or None}),)


def _result(value: Table) -> tuple[AgentEvent, ...] | None:
    words, error = string(value.get("result")), None
    if value.get("is_error") is not False:
        error = _reason(value, words)
    finished: dict[str, object] = {"ok": error is None, "error": error}
    if error is not None and error.startswith(_LOST) and not number(value.get("num_turns")):
        finished["lost"] = True
    return (
        AgentEvent(AgentEventKind.USAGE, "", _usage(value)),
        AgentEvent(AgentEventKind.FINISHED, words, finished),
    )


def _reason(value: Table, words: str) -> str:
    if string(value.get("terminal_reason")).startswith("aborted"):
        return "interrupted"
    told = "; ".join(string(error) for error in items(value.get("errors")))
    kind = string(value.get("subtype")).replace("_", " ")
    return told or words or kind or "the agent reported an error"


def _usage(value: Table) -> Table:
    """`modelUsage` and the cost grow over the process; `usage` is the last turn's alone."""
    models = [table(used) for used in table(value.get("modelUsage")).values()]
    taken = ("inputTokens", "cacheReadInputTokens", "cacheCreationInputTokens")
    tokens_in = sum(number(used.get(key)) for used in models for key in taken)
    tokens_out = sum(number(used.get("outputTokens")) for used in models)
    return {
        "tokens_in": int(number(tokens_in)),
        "tokens_out": int(number(tokens_out)),
        "cost_usd": number(value.get("total_cost_usd")),
    }


def _control_response(value: Table) -> tuple[AgentEvent, ...] | None:
    answer = table(value.get("response"))
    return () if answer.get("subtype") == "success" else None


_TRANSLATE: Mapping[str, Callable[[Table], tuple[AgentEvent, ...] | None]] = {
    "system": _system,
    "assistant": _assistant,
    "user": _user,
    "control_request": _control,
    "control_response": _control_response,
    "rate_limit_event": _limit,
    "result": _result,
}


def _titled(tool: str, given: Table) -> str:
    """A tool call in a line: its name, and what it is about where that is one string."""
    if tool == QUESTION_TOOL:
        return "asks a question"
    for key in ("command", "file_path", "notebook_path", "pattern", "url", "query", "description"):
        if about := string(given.get(key)):
            return f"{tool}: {about}"
    return tool


def _some(found: Iterator[AgentEvent]) -> tuple[AgentEvent, ...] | None:
    return tuple(found) or None


def _text(text: str) -> AgentEvent:
    return AgentEvent(AgentEventKind.TEXT, text)


def _error(text: str) -> AgentEvent:
    return AgentEvent(AgentEventKind.ERROR, text)


def _blocks(value: Table) -> Sequence[Table]:
    content = table(value.get("message")).get("content")
    if isinstance(content, str):
        return ({"type": "text", "text": content},)
    return objects(content)


def _content(content: object) -> str:
    """A tool's result as text; pictures and the like by their kind."""
    if isinstance(content, str):
        return content
    blocks = objects(content)
    return "\n".join(string(b.get("text")) or f"[{string(b.get('type'))}]" for b in blocks)
