"""The bridge's lines, translated into a few events at the wall.

Tolerant: a line that isn't known stays readable as text. What an agent says of its usage
limit is in no field of the protocol: it is read in the words of its error.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from core.drivers.claude_asked import asked_words, visible
from core.drivers.loose import Table, decoded, items, number, objects, string, table
from core.drivers.resets import is_limit
from core.model import AgentEvent, AgentEventKind
from core.ports import Line

_Events = tuple[AgentEvent, ...]

_LATEST = 253_402_300_799_000
"""The end of the year 9999, in ms since the epoch."""

_LOGIN, _TOO_MANY = -32000, 429

_STOPS = {
    "refusal": "the agent refused to go on",
    "max_tokens": "it reached the most tokens that its model gives in one answer",
    "max_turn_requests": "it reached the most requests that it may make in one turn",
    "cancelled": "interrupted",
}
_MARKS = {"completed": "✓", "in_progress": "▸"}


def events(line: Line) -> _Events:
    """The events of a line of output; one `text` when the line isn't known."""
    value = decoded(line)
    translate = _TRANSLATE.get(string(value.get("acp")))
    found = translate(value, line) if translate else None
    return (_text(line.text),) if found is None else found


def _started(value: Table, line: Line) -> _Events:
    model, agent = string(value.get("model")), string(value.get("agent"))
    afresh = {"afresh": True} if value.get("resumed") is False else {}
    data = {"driver_session": string(value.get("session")), "model": model, **afresh}
    goes_on = " and goes on" if value.get("resumed") is True else ""
    words = f"{agent or 'The agent'} started{goes_on}{f' ({model})' if model else ''}"
    return (AgentEvent(AgentEventKind.STARTED, words, data),)


def _said(value: Table, line: Line) -> _Events | None:
    words = string(value.get("text"))
    return (_text(words),) if words else None


def _plan(value: Table, line: Line) -> _Events:
    entries = [
        f"{_MARKS.get(string(entry.get('status')), '·')} {string(entry.get('content'))}"
        for entry in objects(value.get("entries"))
    ]
    return (_text("\n".join(["Plan:", *entries])),)


def _update(value: Table, line: Line) -> _Events:
    return (_text(msgspec.json.encode(table(value.get("update"))).decode()),)


def _tool_call(value: Table, line: Line) -> _Events:
    name, title = string(value.get("name")), string(value.get("title"))
    data = {
        "id": string(value.get("id")),
        "name": name,
        "input": table(value.get("input")),
        "kind": string(value.get("kind")),
        "locations": [string(place) for place in items(value.get("locations"))],
    }
    return (AgentEvent(AgentEventKind.TOOL_CALL, title or name, data),)


def _tool_result(value: Table, line: Line) -> _Events:
    data = {"id": string(value.get("id")), "is_error": value.get("failed") is True}
    return (AgentEvent(AgentEventKind.TOOL_RESULT, string(value.get("text")), data),)


def _file(value: Table, line: Line) -> _Events:
    path = string(value.get("path"))
    added, removed = int(number(value.get("added"))), int(number(value.get("removed")))
    data = {"path": path, "added": added, "removed": removed}
    return (AgentEvent(AgentEventKind.FILE_CHANGE, f"{path} (+{added} -{removed})", data),)


def _usage(value: Table, line: Line) -> _Events:
    data: dict[str, Any] = {
        "tokens_in": int(number(value.get("tokens_in"))),
        "tokens_out": int(number(value.get("tokens_out"))),
        "cached": int(number(value.get("cached"))),
    }
    if cost := number(value.get("cost_usd")):
        data["cost_usd"] = cost
    return (AgentEvent(AgentEventKind.USAGE, "", data),)


def _permission(value: Table, line: Line) -> _Events:
    """Everything that is asked for is shown, what a file is to become included."""
    call, options = table(value.get("call")), objects(value.get("options"))
    title, given = string(call.get("title")), table(call.get("input"))
    fields = dict(given)
    if said := string(call.get("words")):
        fields["it says"] = said
    for change in objects(call.get("changes")):
        name = f"change to {string(change.get('path'))}"
        fields[name] = string(change.get("newText")) or "(emptied)"
        if before := string(change.get("oldText")):
            fields[f"{name}, before"] = before
    words = asked_words(title, fields)
    if names := [visible(string(option.get("name"))) for option in options]:
        words += f"\nIt offers: {', '.join(name for name in names if name)}"
    request = {
        "request_id": string(value.get("request_id")),
        "tool": title,
        "options": [
            {"id": string(option.get("id")), "kind": string(option.get("kind"))}
            for option in options
        ],
    }
    data = {"request": request, "tool": title, "input": given}
    return (AgentEvent(AgentEventKind.PERMISSION_REQUEST, words, data),)


# -- ends ----------------------------------------------------------------------------------


def _error(value: Table, line: Line) -> _Events | None:
    words = string(value.get("text"))
    return (AgentEvent(AgentEventKind.ERROR, words),) if words else None


def _failed(value: Table, line: Line) -> _Events:
    """The conversation never began, or the agent broke in its middle."""
    words = string(value.get("text")) or "it failed"
    data = {"ok": False, "error": words, "broken": value.get("broken") is True}
    return (_told(words, line), AgentEvent(AgentEventKind.FINISHED, "", data))


def _finished(value: Table, line: Line) -> _Events:
    words, stop = string(value.get("text")), string(value.get("stop"))
    failure = value.get("failure")
    if isinstance(failure, dict):
        told = _failure(failure, line)
        return (told, _end(words, told.text))
    if stop == "end_turn":
        return (_end(words, None),)
    if stop == "cancelled" and value.get("denied") is True:
        return (_end(words, "it stopped, since what it asked for was not allowed"),)
    return (_end(words, _STOPS.get(stop) or f"it stopped: {stop or 'it says no reason'}"),)


def _end(words: str, error: str | None) -> AgentEvent:
    return AgentEvent(AgentEventKind.FINISHED, words, {"ok": error is None, "error": error})


def _failure(failure: Table, line: Line) -> AgentEvent:
    words = string(failure.get("message")) or "the agent reported an error"
    if failure.get("code") == _LOGIN:
        words = f"it wants a login: {words}"
    return _told(words, line, failure.get("data"), failure.get("code") == _TOO_MANY)


def _told(words: str, line: Line, more: object = None, limit: bool = False) -> AgentEvent:
    """An error, or the limit that it tells of."""
    whole = words if more is None else f"{words} {_json(more)}"
    if not limit and not is_limit(whole):
        return AgentEvent(AgentEventKind.ERROR, words)
    return AgentEvent(AgentEventKind.LIMIT, words, {"reset_at": reset_at(whole, line.at)})


# -- when a limit is over --------------------------------------------------------------------

_EPOCH = re.compile(r"(?:reset\w*|\|)\W{0,4}(\d{10}(?:\d{3})?)\b", re.IGNORECASE)
_DATE = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d(?::\d\d)?)(?:\.\d+)?(Z|[+-]\d\d:?\d\d)")
_WAIT = re.compile(
    r"(?:retry|try again|reset\w*|available)\W{1,4}(?:after|in)\W{1,4}"
    r"((?:\d+(?:\.\d+)?\s*(?:d|h|m|s|ms|days?|hours?|minutes?|seconds?|mins?|secs?)?\W{0,2})+)",
    re.IGNORECASE,
)
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|d|h|m|s)?", re.IGNORECASE)
_UNITS = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1, "": 1000}


def reset_at(words: str, now: int) -> int | None:
    """When the limit is over by these words, ms since the epoch; None where they don't say."""
    words = words[:10_000]
    if found := _EPOCH.search(words):
        count = int(found[1])
        return count if count > 10**12 else count * 1000
    if found := _DATE.search(words):
        zone = "+00:00" if found[3] == "Z" else found[3]
        try:
            at = datetime.fromisoformat(f"{found[1]}T{found[2]}{zone}")
            return int(at.astimezone(UTC).timestamp() * 1000)
        except (ValueError, OverflowError):
            return None
    if found := _WAIT.search(words):
        parts = _PART.findall(found[1])
        wait = sum(float(count) * _UNITS[unit.lower()] for count, unit in parts)
        return int(now + wait) if 0 < wait < _LATEST - now else None
    return None


_TRANSLATE: Mapping[str, Callable[[Table, Line], _Events | None]] = {
    "started": _started,
    "text": _said,
    "thought": _said,
    "note": _said,
    "stray": _said,
    "plan": _plan,
    "update": _update,
    "tool_call": _tool_call,
    "tool_result": _tool_result,
    "file": _file,
    "usage": _usage,
    "permission": _permission,
    "error": _error,
    "failed": _failed,
    "finished": _finished,
}


def _text(text: str) -> AgentEvent:
    return AgentEvent(AgentEventKind.TEXT, text)


def _json(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
