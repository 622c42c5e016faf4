"""Who is on the crew and what may be spent: what the bot knows and the database doesn't."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import msgspec


@dataclass(frozen=True, slots=True)
class Member:
    """An agent as it is configured. `missing`: why it can't work here; `lane`: the account whose
    usage limit it shares; `sandbox`: where it runs, `bounds`: how far it may go there."""

    name: str
    missing: str | None = None
    capacity: int = 1
    role: str = "worker"
    driver: str = ""
    model: str | None = None
    mode: str = "ephemeral"
    sandbox: str = ""
    bounds: str = ""
    lane: str = ""
    types: tuple[str, ...] = ()
    skills: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    budget_tokens: int | None = None
    budget_usd: float | None = None


@dataclass(frozen=True, slots=True)
class Crew:
    """`slots`: how many tasks go at once; the budgets are everybody's for a day of `timezone`."""

    members: tuple[Member, ...] = ()
    slots: int = 1
    timezone: str = "UTC"
    day_tokens: int | None = None
    day_usd: float | None = None

    @property
    def by_name(self) -> dict[str, Member]:
        return {member.name: member for member in self.members}

    @property
    def mark(self) -> str:
        """Another one for another crew."""
        return hashlib.sha256(json.dumps(asdict(self)).encode()).hexdigest()[:16]


def crew_of(said: Mapping[str, Any]) -> Crew:
    """From the keys of the settings; a member may be its name alone. Raises ValueError."""
    agents = [{"name": one} if isinstance(one, str) else one for one in said.get("agents", ())]
    known = {field.name for field in fields(Crew)}
    mine = {key: value for key, value in said.items() if key in known}
    return msgspec.convert({**mine, "members": agents}, Crew)
