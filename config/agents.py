"""The crew: `agents.toml`, the packaged one first, the user's own over it by name."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, PositiveInt, ValidationError

from config.faults import explain
from config.settings import Section
from config.sources import Layers, read_toml
from core.model import Agent, AgentRole

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


class AgentTable(Section):
    """One `[agents.NAME]`."""

    driver: Literal["command", "claude"]
    sandbox: Literal["host"] = "host"
    role: AgentRole = AgentRole.WORKER
    types: tuple[str, ...] = ()
    mode: Literal["ephemeral", "persistent"] = "ephemeral"
    model: str | None = None
    account: str | None = None
    skills: frozenset[str] = frozenset()
    languages: frozenset[str] = frozenset()
    tags: frozenset[str] = frozenset()
    max_concurrent_tasks: PositiveInt = 1
    environment: dict[str, str] = Field(default_factory=dict)
    options: dict[str, Any] = Field(default_factory=dict)
    enabled: bool = True

    def named(self, name: str) -> Agent:
        fields = {key: getattr(self, key) for key in AgentTable.model_fields}
        return Agent(name=name, **fields)


def load_agents(folders: Iterable[Path], faults: list[str]) -> tuple[Agent, ...]:
    """`agents.toml` of each folder in turn, later ones over earlier ones."""
    found: dict[str, Agent] = {}
    for folder in folders:
        file = folder / "agents.toml"
        if file.is_file():
            found.update((agent.name, agent) for agent in _of_file(file, faults))
    return tuple(found.values())


def _of_file(file: Path, faults: list[str]) -> Iterable[Agent]:
    content = read_toml(file, faults)
    faults += [
        f"{file.name}: {key}: unknown key; write [agents.NAME]"
        for key in content
        if key != "agents"
    ]
    tables = content.get("agents", {})
    if not isinstance(tables, dict):
        faults.append(f"{file.name}: agents: must be tables; write [agents.NAME]")
        return
    for name, table in tables.items():
        agent = _agent(file, name, table, faults)
        if agent is not None:
            yield agent


def _agent(file: Path, name: str, table: Any, faults: list[str]) -> Agent | None:
    if not _NAME.fullmatch(name):
        faults.append(f"{file.name}: agents.{name}: a name is made of a-z, 0-9 and -")
        return None
    layers = Layers()
    layers.lay(("agents", name), table, file.name)
    try:
        return AgentTable.model_validate(table).named(name)
    except ValidationError as error:
        faults += explain(error, layers, AgentTable, ("agents", name))
        return None
