"""Commands about what was spent and what may be."""

from __future__ import annotations

from core.commands.grammar import Form

TABLE: list[tuple[Form, object]] = []
