"""An agent's tool calls, put together out of the pieces in which it tells of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from core.drivers.acp_bridge.diffs import counted
from core.drivers.acp_bridge.lines import cut, out

_REMEMBERED = 500
"""Calls that may still be told more of."""
SETTLES = 0.3
"""Seconds in which an agent may say the rest of a call that it has begun to tell of."""
_RESULT = 64 << 10
"""Characters of a result that stand in the log."""

Object = Mapping[str, Any]


@dataclass
class Call:
    """What is known of one call. `told`: the driver has heard of it; `written`: files that were
    written through the client since it began, and told of then."""

    id: str
    known: dict[str, Any] = field(default_factory=dict)
    diffs: list[Object] = field(default_factory=list)
    told: bool = False
    timer: asyncio.TimerHandle | None = None
    over: bool = False
    written: set[str] = field(default_factory=set)

    def learn(self, piece: Object) -> None:
        """What an update says takes the place of what was said before."""
        self.known |= {key: value for key, value in piece.items() if value is not None}
        if found := [
            block for block in objects(piece.get("content")) if block.get("type") == "diff"
        ]:
            self.diffs = found

    @property
    def title(self) -> str:
        return text(self.known.get("title")) or self.kind

    @property
    def kind(self) -> str:
        return text(self.known.get("kind")) or "tool"

    @property
    def name(self) -> str:
        """The agent's own name of the tool where it says one, else its kind."""
        for about in mapping(self.known.get("_meta")).values():
            if name := text(mapping(about).get("toolName")):
                return name
        return self.kind

    @property
    def input(self) -> Object:
        given = self.known.get("rawInput")
        return given if isinstance(given, dict) else {} if given is None else {"input": given}

    @property
    def words(self) -> str:
        """What it says of itself beside its input."""
        blocks = objects(self.known.get("content"))
        said = [content(b.get("content")) for b in blocks if b.get("type") == "content"]
        return "\n".join(said)

    @property
    def places(self) -> list[str]:
        found = [text(place.get("path")) for place in objects(self.known.get("locations"))]
        return [place for place in found if place][:50]


class Tools:
    """Tells of each call once, when enough is known of it, and of its result once.

    `terminal` says what a terminal of that id has printed."""

    def __init__(self, terminal: Callable[[str], str]) -> None:
        self._calls: dict[str, Call] = {}
        self._terminal = terminal

    def take(self, piece: Object) -> Call:
        """A `tool_call`, a `tool_call_update`, or what a permission is asked for."""
        call = self._call(text(piece.get("toolCallId")))
        call.learn(piece)
        status = text(call.known.get("status"))
        ended = status in ("completed", "failed")
        if ended:
            self.tell(call)
        elif (call.input or status == "in_progress") and not call.told and call.timer is None:
            loop = asyncio.get_running_loop()
            call.timer = loop.call_later(SETTLES, self.tell, call)
        if ended and not call.over:
            call.over = True
            self._result(call, status == "failed")
        return call

    def _call(self, name: str) -> Call:
        call = self._calls.pop(name, None) or Call(name)
        self._calls[name] = call
        while len(self._calls) > _REMEMBERED:
            del self._calls[next(iter(self._calls))]
        return call

    def tell(self, call: Call) -> None:
        """Once; at once."""
        if call.told:
            return
        call.told = True
        if call.timer is not None:
            call.timer.cancel()
        out(
            "tool_call",
            id=call.id,
            name=call.name,
            kind=call.kind,
            title=call.title,
            input=cut(call.input),
            locations=call.places,
        )

    def tell_begun(self) -> None:
        """Something else follows: what is known of the calls that were begun."""
        for call in self._calls.values():
            if call.timer is not None:
                self.tell(call)

    def tell_all(self) -> None:
        """The turn is over: what was begun and never told of."""
        for call in self._calls.values():
            self.tell(call)

    def wrote(self, path: str, before: str, after: str) -> None:
        """A file was written through the client: by the calls that run, if any do."""
        self.tell_begun()
        for call in self._calls.values():
            if not call.over:
                call.written.add(path)
        changed(path, before, after)

    def _result(self, call: Call, failed: bool) -> None:
        said = self._said(call)
        if len(said) > _RESULT:
            said = f"{said[:_RESULT]}\n[… {len(said) - _RESULT} characters more]"
        out("tool_result", id=call.id, failed=failed, text=said)
        for diff in [] if failed else call.diffs:
            path = text(diff.get("path"))
            if path and path not in call.written:
                changed(path, text(diff.get("oldText")), text(diff.get("newText")))

    def _said(self, call: Call) -> str:
        blocks = objects(call.known.get("content"))
        said = "\n".join(words for block in blocks if (words := self._block(block)))
        return said or _output(call.known.get("rawOutput"))

    def _block(self, block: Object) -> str:
        if block.get("type") == "content":
            return content(block.get("content"))
        if block.get("type") == "terminal":
            return self._terminal(text(block.get("terminalId")))
        return ""


def changed(path: str, before: str, after: str) -> None:
    added, removed = counted(before, after)
    out("file", path=path[:4096], added=added, removed=removed)


def content(block: object) -> str:
    """A content block as text; pictures and the like by their kind."""
    found = mapping(block)
    if found.get("type") == "text":
        return text(found.get("text"))
    inside = mapping(found.get("resource"))
    about = text(inside.get("text")) or text(inside.get("uri")) or text(found.get("uri"))
    return about or f"[{text(found.get('type')) or 'nothing known'}]"


def _output(value: object) -> str:
    if isinstance(value, str | None):
        return value or ""
    for key in ("output", "stdout", "formatted_output", "text"):
        if words := text(mapping(value).get(key)):
            return words
    return json.dumps(cut(value), ensure_ascii=True)


def text(value: object) -> str:
    return value if isinstance(value, str) else ""


def mapping(value: object) -> Object:
    return value if isinstance(value, dict) else {}


def objects(value: object) -> list[Object]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
