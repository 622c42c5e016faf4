"""Commands about agents: register, enable, disable, and who fits what."""

from __future__ import annotations

from core.commands.grammar import Form

TABLE: list[tuple[Form, object]] = []
