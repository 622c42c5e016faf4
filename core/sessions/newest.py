"""The newest lines of an agent that are worth a glance: for its live message, and for the news."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence

from core.longlines import first_part
from core.model import AgentEvent, AgentEventKind

PROGRESS = 3.0
"""Seconds between two mentions of progress to people."""
TAIL = 12
"""Lines that the live message may show."""
_TOGETHER = 16 << 10
"""Characters that are redacted as one, for a secret of several lines that came line by line."""
_WORTH = frozenset(
    {
        AgentEventKind.TOOL_CALL,
        AgentEventKind.FILE_CHANGE,
        AgentEventKind.TEXT,
        AgentEventKind.ERROR,
    }
)


class Newest:
    """`waits`: something was said since the last mention."""

    __slots__ = ("_at", "_lines", "_redact", "waits")

    def __init__(self, redact: Callable[[str], str]) -> None:
        self._redact = redact
        self._lines: deque[str] = deque()
        self._at = 0.0
        self.waits = False

    def remember(self, events: Sequence[AgentEvent]) -> None:
        said = [
            first_part(event.text)
            for event in events
            if event.kind in _WORTH and event.text.strip()
        ]
        if not said:
            return
        self._lines.extend(said)
        self.waits = True
        size = sum(map(len, self._lines))
        while size > _TOGETHER and len(self._lines) > 1:
            size -= len(self._lines.popleft())

    def mention(self) -> str | None:
        """Those lines, at most every few seconds. Raises what redaction raises; they are
        forgotten then."""
        if not self.waits or time.monotonic() - self._at < PROGRESS:
            return None
        self._at, self.waits = time.monotonic(), False
        try:
            whole = self._redact("\n".join(self._lines))  # before any cut
        except Exception:
            self._lines.clear()
            raise
        lines = [line.strip() for line in whole.splitlines() if line.strip()]
        return "\n".join(line[:200] for line in lines[-TAIL:])
