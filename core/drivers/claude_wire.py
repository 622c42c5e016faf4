"""Claude Code's lines, translated into a few events at the wall.

Tolerant: a field that is absent or of another kind is as good as empty, and a line that
isn't known stays readable as text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from core.drivers.claude_asked import asked_words
from core.model import AgentEvent, AgentEventKind
from core.ports import Line

QUESTION_TOOL = "AskUserQuestion"
_MOST = 2**53
"""From here on a number of JSON is no count any more, and a sum of them soon fits nowhere."""
_LAST_SECOND = 253_402_300_799
"""The end of the year 9999, in seconds since the epoch: no calendar goes further."""

_Object = Mapping[str, Any]
_decoder = msgspec.json.Decoder()


def events(line: Line) -> tuple[AgentEvent, ...]:
    """The events of a line of output; one `text` when the line isn't known."""
    value = _decoded(line)
    translate = _TRANSLATE.get(str(value.get("type")))
    found = translate(value) if translate else None
    return (_text(line.text),) if found is None else found


def _decoded(line: Line) -> _Object:
    if line.stream != "out" or not line.text.startswith("{"):
        return {}
    try:
        return _object(_decoder.decode(line.text))
    except (msgspec.DecodeError, RecursionError):
        return {}


def _system(value: _Object) -> tuple[AgentEvent, ...] | None:
    if value.get("subtype") == "api_retry":
        return (_retry(value),)
    if value.get("subtype") != "init":
        return None
    model = _string(value.get("model"))
    data = {"driver_session": _string(value.get("session_id")), "model": model}
    return (AgentEvent(AgentEventKind.STARTED, f"Claude Code started ({model})", data),)


def _retry(value: _Object) -> AgentEvent:
    """A refused key stays refused, so it is an error at once; the rest may pass by itself."""
    status = value.get("error_status")
    words = (
        f"The model's API failed ({status or 'no connection'}, {value.get('error')}): "
        f"try {value.get('attempt')} of {value.get('max_retries')}"
    )
    return _error(words) if status in (401, 403) else _text(words)


def _assistant(value: _Object) -> tuple[AgentEvent, ...] | None:
    blocks = _blocks(value)
    if value.get("error"):
        words = "\n".join(_string(block.get("text")) for block in blocks).strip()
        return _failure(str(value["error"]), words or str(value["error"]))
    said = [event for block in blocks for event in _said(block)]
    return (*said, *_used(_object(value.get("message")))) or None


def _used(message: _Object) -> Iterator[AgentEvent]:
    """What one answer of the model's used so far; the result's total takes its place."""
    usage, name = _object(message.get("usage")), _string(message.get("id"))
    kept = _number(usage.get("cache_read_input_tokens"))
    taken = _number(usage.get("input_tokens")) + _number(usage.get("cache_creation_input_tokens"))
    given = _number(usage.get("output_tokens"))
    if name and (taken or kept or given):
        data = {
            "message": name,
            "model": _string(message.get("model")),
            "tokens_in": int(taken + kept),
            "tokens_out": int(given),
            "cached": int(kept),
        }
        yield AgentEvent(AgentEventKind.USAGE, "", data)


def _failure(kind: str, words: str) -> tuple[AgentEvent, ...]:
    told = " resets " in words  # then a `rate_limit_event` before it has said when, exactly
    if kind != "rate_limit" or told:
        return (_error(words),)
    return (AgentEvent(AgentEventKind.LIMIT, words, {"reset_at": None}),)


def _said(block: _Object) -> Iterator[AgentEvent]:
    if block.get("type") == "text":
        yield _text(_string(block.get("text")))
    elif block.get("type") == "thinking":
        if thought := _string(block.get("thinking")):
            yield _text(thought)
    elif block.get("type") == "tool_use":
        name, given = _string(block.get("name")), _object(block.get("input"))
        data = {"id": _string(block.get("id")), "name": name, "input": given}
        yield AgentEvent(AgentEventKind.TOOL_CALL, _titled(name, given), data)
    elif block.get("type") != "redacted_thinking":
        yield _text(msgspec.json.encode(block).decode())


def _user(value: _Object) -> tuple[AgentEvent, ...] | None:
    return _some(event for block in _blocks(value) for event in _returned(block, value))


def _returned(block: _Object, value: _Object) -> Iterator[AgentEvent]:
    if block.get("type") != "tool_result":
        yield _text(_string(block.get("text")) or msgspec.json.encode(block).decode())
        return
    data = {"id": _string(block.get("tool_use_id")), "is_error": bool(block.get("is_error"))}
    yield AgentEvent(AgentEventKind.TOOL_RESULT, _content(block.get("content")), data)
    change = _object(value.get("tool_use_result"))
    if isinstance(change.get("structuredPatch"), list) and change.get("filePath"):
        yield _file_change(change)


def _file_change(change: _Object) -> AgentEvent:
    hunks = _objects(change["structuredPatch"])
    patch = [_string(line) for hunk in hunks for line in _list(hunk.get("lines"))]
    added = sum(line.startswith("+") for line in patch)
    removed = sum(line.startswith("-") for line in patch)
    if change.get("type") == "create":
        added = len(_string(change.get("content")).splitlines())
    path = _string(change["filePath"])
    data = {"path": path, "added": added, "removed": removed}
    return AgentEvent(AgentEventKind.FILE_CHANGE, f"{path} (+{added} -{removed})", data)


def _control(value: _Object) -> tuple[AgentEvent, ...] | None:
    asked = _object(value.get("request"))
    if asked.get("subtype") != "can_use_tool":
        return None
    tool, given = _string(asked.get("tool_name")), _object(asked.get("input"))
    request = {"request_id": value.get("request_id"), "tool": tool, "input": given}
    if tool == QUESTION_TOOL:
        return (_question(request, given),)
    data = {"request": request, "tool": tool, "input": given}
    return (AgentEvent(AgentEventKind.PERMISSION_REQUEST, asked_words(tool, given), data),)


def _question(request: _Object, given: _Object) -> AgentEvent:
    questions = [
        {
            "question": _string(asked.get("question")),
            "options": [_string(option.get("label")) for option in _objects(asked.get("options"))],
        }
        for asked in _objects(given.get("questions"))
    ]
    words = "\n".join(str(asked["question"]) for asked in questions)
    data = {"request": request, "questions": questions}
    return AgentEvent(AgentEventKind.QUESTION, words, data)


def _limit(value: _Object) -> tuple[AgentEvent, ...] | None:
    info = _object(value.get("rate_limit_info"))
    status, kind = _string(info.get("status")), _string(info.get("rateLimitType"))
    if status == "allowed":
        return ()
    if status != "rejected" or info.get("isUsingOverage"):
        return (_text(f"Usage limit ({kind.replace('_', ' ')}): {status.replace('_', ' ')}"),)
    seconds = _number(info.get("resetsAt"))
    reset = int(seconds * 1000) if seconds <= _LAST_SECOND else 0
    words = f"Usage limit reached ({kind.replace('_', ' ')})"
    return (AgentEvent(AgentEventKind.LIMIT, words, {"reset_at": reset or None}),)


def _result(value: _Object) -> tuple[AgentEvent, ...] | None:
    words, error = _string(value.get("result")), None
    if value.get("is_error") is not False:
        error = _reason(value, words)
    finished = {"ok": error is None, "error": error}
    return (
        AgentEvent(AgentEventKind.USAGE, "", _usage(value)),
        AgentEvent(AgentEventKind.FINISHED, words, finished),
    )


def _reason(value: _Object, words: str) -> str:
    if _string(value.get("terminal_reason")).startswith("aborted"):
        return "interrupted"
    told = "; ".join(_string(error) for error in _list(value.get("errors")))
    kind = _string(value.get("subtype")).replace("_", " ")
    return told or words or kind or "the agent reported an error"


def _usage(value: _Object) -> _Object:
    """`modelUsage` and the cost grow over the process; `usage` is the last turn's alone."""
    models = [_object(used) for used in _object(value.get("modelUsage")).values()]
    taken = ("inputTokens", "cacheReadInputTokens", "cacheCreationInputTokens")
    tokens_in = sum(_number(used.get(key)) for used in models for key in taken)
    tokens_out = sum(_number(used.get("outputTokens")) for used in models)
    return {
        "tokens_in": int(_number(tokens_in)),
        "tokens_out": int(_number(tokens_out)),
        "cost_usd": _number(value.get("total_cost_usd")),
    }


def _control_response(value: _Object) -> tuple[AgentEvent, ...] | None:
    answer = _object(value.get("response"))
    return () if answer.get("subtype") == "success" else None


_TRANSLATE: Mapping[str, Callable[[_Object], tuple[AgentEvent, ...] | None]] = {
    "system": _system,
    "assistant": _assistant,
    "user": _user,
    "control_request": _control,
    "control_response": _control_response,
    "rate_limit_event": _limit,
    "result": _result,
}


def _titled(tool: str, given: _Object) -> str:
    """A tool call in a line: its name, and what it is about where that is one string."""
    if tool == QUESTION_TOOL:
        return "asks a question"
    for key in ("command", "file_path", "notebook_path", "pattern", "url", "query", "description"):
        if about := _string(given.get(key)):
            return f"{tool}: {about}"
    return tool


def _some(found: Iterator[AgentEvent]) -> tuple[AgentEvent, ...] | None:
    return tuple(found) or None


def _text(text: str) -> AgentEvent:
    return AgentEvent(AgentEventKind.TEXT, text)


def _error(text: str) -> AgentEvent:
    return AgentEvent(AgentEventKind.ERROR, text)


def _blocks(value: _Object) -> Sequence[_Object]:
    content = _object(value.get("message")).get("content")
    if isinstance(content, str):
        return ({"type": "text", "text": content},)
    return _objects(content)


def _content(content: object) -> str:
    """A tool's result as text; pictures and the like by their kind."""
    if isinstance(content, str):
        return content
    blocks = _objects(content)
    return "\n".join(_string(b.get("text")) or f"[{_string(b.get('type'))}]" for b in blocks)


def _objects(value: object) -> Sequence[_Object]:
    return [item for item in _list(value) if isinstance(item, dict)]


def _list(value: object) -> Sequence[Any]:
    return value if isinstance(value, list) else ()


def _object(value: object) -> _Object:
    return value if isinstance(value, dict) else {}


def _string(value: object) -> str:
    return value if isinstance(value, str) else ""


def _number(value: object) -> float:
    """A count, an amount or a time; 0 for what can be none: below zero, not finite, too large."""
    return value if isinstance(value, int | float) and 0 <= value < _MOST else 0.0
