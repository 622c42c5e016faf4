"""What `codex exec --json` prints, translated into a few events at the wall.

Tolerant like the other drivers: what isn't known stays readable as text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import msgspec

from core.drivers.loose import Table, decoded, items, number, objects, string, table
from core.drivers.resets import is_limit, reset_at
from core.model import AgentEvent, AgentEventKind
from core.ports import Line

_HARMLESS = ("Model metadata for ", "Reconnecting... ")
"""Errors that Codex goes on after."""
_LOST = "Error: thread/resume: thread/resume failed: no rollout found for thread id "
"""What it says, on its standard error, of a thread that it can't go on with."""
_DONE = {"add": "added", "update": "changed", "delete": "deleted"}

_Events = tuple[AgentEvent, ...]


def events(line: Line) -> _Events:
    """The events of a line of output; one `text` when the line isn't known."""
    if line.stream == "err" and line.text.startswith(_LOST):
        return (_lost(line.text.removeprefix("Error: ")),)
    value = decoded(line)
    kind = string(value.get("type"))
    found: _Events | None = None
    if kind.startswith("item."):
        found = _item(kind, table(value.get("item")))
    elif kind == "turn.failed":
        found = _turn_failed(value, line.at)
    elif translate := _TRANSLATE.get(kind):
        found = translate(value)
    return (_text(line.text),) if found is None else found


def _thread_started(value: Table) -> _Events | None:
    thread = string(value.get("thread_id"))
    data = {"driver_session": thread, "model": None}
    return (AgentEvent(AgentEventKind.STARTED, "Codex started", data),) if thread else None


def _turn_completed(value: Table) -> _Events:
    finished = AgentEvent(AgentEventKind.FINISHED, "", {"ok": True, "error": None})
    used = table(value.get("usage"))
    data = {
        "tokens_in": int(number(used.get("input_tokens"))),
        "tokens_out": int(number(used.get("output_tokens"))),
        "cached": int(number(used.get("cached_input_tokens"))),
        "conversation": True,
    }
    if not data["tokens_in"] and not data["tokens_out"]:
        return (finished,)
    return (AgentEvent(AgentEventKind.USAGE, "", data), finished)


def _turn_failed(value: Table, now: int) -> _Events:
    words = _plain(string(table(value.get("error")).get("message"))) or "the turn failed"
    failed = AgentEvent(AgentEventKind.FINISHED, "", {"ok": False, "error": words})
    if is_limit(words):
        limit = {"reset_at": reset_at(words, now)}
        return (AgentEvent(AgentEventKind.LIMIT, words, limit), failed)
    return (failed,)


def _lost(words: str) -> AgentEvent:
    return AgentEvent(AgentEventKind.FINISHED, "", {"ok": False, "error": words, "lost": True})


def _error(value: Table) -> _Events | None:
    words = _plain(string(value.get("message")))
    return (_trouble(words),) if words else None


def _trouble(words: str) -> AgentEvent:
    return _text(words) if words.startswith(_HARMLESS) else AgentEvent(AgentEventKind.ERROR, words)


def _plain(words: str) -> str:
    """The provider's own message, where the words are the body of its answer."""
    value = decoded(Line("out", 0, words, 0))
    return string(table(value.get("error")).get("message")) or words


# -- items: what it did, each told when it begins, changes and is completed ------------------


def _item(when: str, item: Table) -> _Events | None:
    kind, over = string(item.get("type")), when == "item.completed"
    if kind == "todo_list":
        return (_text(_todo(item)),)
    if kind in _CALLS:
        name, given = _CALLS[kind](item)
        if kind == "web_search":  # it says only at the end what it looked for
            return (_call(item, name, given),) if over else ()
        if when == "item.started":
            return (_call(item, name, given),)
        return _returned(kind, item) if over else ()
    words = string(item.get("text") or item.get("message"))
    if kind not in ("agent_message", "reasoning", "error") or not words:
        return None
    if not over:
        return ()
    if kind == "error":
        return (_trouble(words),)
    said = {"closing": True} if kind == "agent_message" else {}
    return (AgentEvent(AgentEventKind.TEXT, words, said),)


def _call(item: Table, name: str, given: Table) -> AgentEvent:
    about = next((words for value in given.values() if (words := string(value))), "")
    data = {"id": string(item.get("id")), "name": name, "input": given}
    return AgentEvent(AgentEventKind.TOOL_CALL, f"{name}: {about}" if about else name, data)


def _returned(kind: str, item: Table) -> _Events:
    status = string(item.get("status"))
    data = {"id": string(item.get("id")), "is_error": status in ("failed", "declined")}
    result = AgentEvent(AgentEventKind.TOOL_RESULT, _RESULTS[kind](item), data)
    if kind == "file_change" and status == "completed":
        return (result, *_changed(objects(item.get("changes"))))
    return (result,)


def _changed(changes: Iterable[Table]) -> _Events:
    """Codex names the files, and doesn't count their lines."""
    return tuple(
        AgentEvent(
            AgentEventKind.FILE_CHANGE,
            f"{string(change.get('path'))} ({_DONE.get(string(change.get('kind')), 'changed')})",
            {"path": string(change.get("path")), "added": 0, "removed": 0},
        )
        for change in changes
    )


def _shell(item: Table) -> tuple[str, Table]:
    return "shell", {"command": string(item.get("command"))}


def _patch(item: Table) -> tuple[str, Table]:
    changes = objects(item.get("changes"))
    return "apply_patch", {"files": ", ".join(string(change.get("path")) for change in changes)}


def _mcp(item: Table) -> tuple[str, Table]:
    name = f"mcp__{string(item.get('server'))}__{string(item.get('tool'))}"
    return name, table(item.get("arguments"))


def _search(item: Table) -> tuple[str, Table]:
    return "web_search", {"query": string(item.get("query"))}


def _output(item: Table) -> str:
    status, words = item.get("exit_code"), string(item.get("aggregated_output"))
    return f"{words.rstrip()}\n(exit status {status})".strip() if status else words


def _patched(item: Table) -> str:
    return string(item.get("status"))


def _answered(item: Table) -> str:
    error = string(table(item.get("error")).get("message"))
    blocks = objects(table(item.get("result")).get("content"))
    texts = [string(block.get("text")) or f"[{string(block.get('type'))}]" for block in blocks]
    return error or "\n".join(texts)


def _todo(item: Table) -> str:
    rows = [one for one in items(item.get("items")) if isinstance(one, dict)]
    marks = [("☑ " if one.get("completed") is True else "☐ ", one.get("text")) for one in rows]
    lines = [mark + string(words) for mark, words in marks]
    return "\n".join(lines) or msgspec.json.encode(item).decode()


def _text(text: str) -> AgentEvent:
    return AgentEvent(AgentEventKind.TEXT, text)


_CALLS: Mapping[str, Callable[[Table], tuple[str, Table]]] = {
    "command_execution": _shell,
    "file_change": _patch,
    "mcp_tool_call": _mcp,
    "web_search": _search,
}
_RESULTS: Mapping[str, Callable[[Table], str]] = {
    "command_execution": _output,
    "file_change": _patched,
    "mcp_tool_call": _answered,
}
_TRANSLATE: Mapping[str, Callable[[Table], _Events | None]] = {
    "thread.started": _thread_started,
    "turn.started": lambda value: (),
    "turn.completed": _turn_completed,
    "error": _error,
}
