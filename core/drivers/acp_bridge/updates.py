"""What an agent tells while it works, as lines: whole ones, each thing once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from core.drivers.acp_bridge.lines import cut, out
from core.drivers.acp_bridge.tools import Object, Tools, content, mapping, objects, text

PAUSE = 2.0
"""Seconds of silence after which an unfinished line is told."""
_PIECE = 16 << 10
_CLOSING = 64 << 10
"""Characters of the agent's closing words."""

NOISE = frozenset({"available_commands_update", "user_message_chunk"})
"""Updates that say nothing new: what it could be told, and what it was told."""


class Words:
    """What an agent says comes in small pieces: it is told line by line."""

    def __init__(self) -> None:
        self._source = ("", "")
        self._message = ""
        self._held = ""
        self._timer: asyncio.TimerHandle | None = None
        self.closing = ""

    def add(self, kind: str, message: str, piece: str) -> None:
        if (kind, message) != self._source:
            self.flush()
            self._source = (kind, message)
        if kind == "text" and message != self._message:
            self._message, self.closing = message, ""
        if kind == "text" and len(self.closing) < _CLOSING:
            self.closing += piece
        self._held += piece
        whole, end, rest = self._held.rpartition("\n")
        if end:
            self._tell(whole)
            self._held = rest
        if len(self._held) > _PIECE:
            self.flush()
        self._wait()

    def flush(self) -> None:
        held, self._held = self._held, ""
        self._tell(held)
        self._wait()

    def begin(self) -> None:
        """What is said from now on are new words."""
        self.flush()
        self.closing = ""

    def _tell(self, words: str) -> None:
        for start in range(0, len(words), _PIECE):
            if (piece := words[start : start + _PIECE]).strip():
                out(self._source[0] or "text", text=piece)

    def _wait(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        held = bool(self._held)
        self._timer = asyncio.get_running_loop().call_later(PAUSE, self.flush) if held else None


class Used:
    """What this process has used so far: turns say their tokens, updates what it cost."""

    def __init__(self) -> None:
        self._tokens_in = self._tokens_out = self._cached = 0
        self._cost: float | None = None

    def turn(self, usage: Mapping[str, int | None]) -> None:
        """What one turn used, by the protocol's names. Some count what the provider had kept
        as input, some beside it: the total tells."""
        taken, given = usage.get("input_tokens") or 0, usage.get("output_tokens") or 0
        kept, new = usage.get("cached_read_tokens") or 0, usage.get("cached_write_tokens") or 0
        thought, total = usage.get("thought_tokens") or 0, usage.get("total_tokens") or 0
        if taken + kept + new + given <= total:
            taken += kept + new
        if taken + given + thought <= total:
            given += thought
        self._tokens_in += taken
        self._tokens_out += given
        self._cached += kept
        if taken or given:
            self._tell()

    def cost(self, amount: float) -> None:
        if amount != self._cost:
            self._cost = amount
            self._tell()

    def _tell(self) -> None:
        out(
            "usage",
            tokens_in=self._tokens_in,
            tokens_out=self._tokens_out,
            cached=self._cached,
            cost_usd=self._cost,
        )


class Updates:
    """Takes `session/update` as it came: one that nobody knows yet is told as it is."""

    def __init__(self, tools: Tools) -> None:
        self.tools = tools
        self.words = Words()
        self.replaying = False
        self.used = Used()
        self._plan: Any = None
        self._kinds: dict[str, Callable[[Object], None]] = {
            "agent_message_chunk": lambda update: self._chunk("text", update),
            "agent_thought_chunk": lambda update: self._chunk("thought", update),
            "tool_call": self._tool,
            "tool_call_update": self._tool,
            "plan": self._planned,
            "usage_update": self._used,
            "current_mode_update": self._mode,
            "session_info_update": self._about,
            "config_option_update": self._options,
        }

    def take(self, params: object) -> None:
        """One update; what an agent repeats of an older conversation is not news."""
        update = mapping(mapping(params).get("update"))
        kind = text(update.get("sessionUpdate"))
        if self.replaying or kind in NOISE:
            return
        known = self._kinds.get(kind)
        if known is None:
            self.words.flush()
            out("update", update=cut(dict(update)))
            return
        known(update)

    def _chunk(self, kind: str, update: Object) -> None:
        if piece := content(update.get("content")) if update.get("content") else "":
            self.tools.tell_begun()
            self.words.add(kind, text(update.get("messageId")), piece)

    def _tool(self, update: Object) -> None:
        if update.get("sessionUpdate") == "tool_call":
            self.words.begin()
        self.words.flush()
        self.tools.take(update)

    def _planned(self, update: Object) -> None:
        entries = [
            {"content": text(entry.get("content")), "status": text(entry.get("status"))}
            for entry in objects(update.get("entries"))[:200]
        ]
        if entries != self._plan:
            self._plan = entries
            self.tools.tell_begun()
            self.words.flush()
            out("plan", entries=cut(entries))

    def _used(self, update: Object) -> None:
        """What it has cost so far; how full its memory is, is nobody's news."""
        cost = mapping(update.get("cost"))
        amount = cost.get("amount")
        if isinstance(amount, int | float) and text(cost.get("currency")).upper() == "USD":
            self.used.cost(float(amount))

    def _mode(self, update: Object) -> None:
        out("note", text=f"Mode: {text(update.get('currentModeId'))[:200]}")

    def _about(self, update: Object) -> None:
        if title := text(update.get("title")):
            out("note", text=f"It calls this: {title[:300]}")

    def _options(self, update: Object) -> None:
        options = objects(update.get("configOptions"))[:50]
        words = [f"{text(o.get('name'))}: {o.get('currentValue')}"[:100] for o in options]
        out("note", text=f"Settings: {', '.join(words)}")
