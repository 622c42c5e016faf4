"""Commands that change a task's words, its place in the queue, or whether it is there."""

from __future__ import annotations

from core.commands.grammar import Form

TABLE: list[tuple[Form, object]] = []
