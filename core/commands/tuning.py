"""Commands that change the settings while Bullpen runs."""

from __future__ import annotations

from core.commands.grammar import Form

TABLE: list[tuple[Form, object]] = []
