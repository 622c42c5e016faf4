"""Commands for runs: many tasks at once, in waves."""

from __future__ import annotations

from core.commands.grammar import Form

TABLE: list[tuple[Form, object]] = []
