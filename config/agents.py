"""The crew: `agents.toml`, the packaged one first, the user's own over it by name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from config.credentials import files_of, given, is_reference
from config.faults import explain
from config.places import ContainerTable, LimitsTable, MountTable
from config.settings import OneOrMore, Section, Tokens, Usd
from config.sources import Layers, read_toml
from core.commands import amounts
from core.errors import Unclear
from core.model import Agent, AgentRole, DriverName, SandboxName, Trigger

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_EVENT = re.compile(r"[a-z]+(\.[a-z]+)+")
_WORDS = frozenset({"add", "set", "enable", "disable", "reset", "remove"})
"""What `/agent` takes for something to do."""

Word = Annotated[str, Field(min_length=1, max_length=100)]
Focus = Literal["merge", "health", "reminder", "ops"]


class TriggerTable(Section):
    """One of `triggers`: `{ cron = "0 * * * *" }` or `{ event = "task.completed" }`."""

    cron: str | None = None
    event: str | None = Field(default=None, validate_default=True)

    @field_validator("cron")
    @classmethod
    def _a_cron_line(cls, line: str | None) -> str | None:
        # Importing it costs time: only where somebody goes by the calendar.
        from apscheduler.triggers.cron import CronTrigger

        try:
            if line is not None:
                CronTrigger.from_crontab(line, timezone="UTC")
        except ValueError as error:
            raise ValueError(f"`{line}` is no cron line; for instance 0 * * * *") from error
        return line

    @field_validator("event")
    @classmethod
    def _one_of_both(cls, event: str | None, info: ValidationInfo) -> str | None:
        if event is not None and not _EVENT.fullmatch(event):
            raise ValueError(f"`{event}` is no event; for instance task.completed")
        if "cron" in info.data and (event is None) == (info.data["cron"] is None):
            raise ValueError("say either cron or event")
        return event

    def trigger(self) -> Trigger:
        if self.cron is not None:
            return Trigger("cron", self.cron)
        return Trigger("event", self.event or "")


class BudgetTable(Section):
    """For each calendar day; none: without a limit."""

    usd: Usd | None = None
    tokens: Tokens | None = None


def _amount(value: Any) -> Any:
    """`"2usd"`, `"200k"`, or both."""
    if not isinstance(value, str):
        return value
    try:
        tokens, usd = amounts.budget(value)
    except Unclear as error:
        raise ValueError(str(error).rstrip(".")) from error
    return {"usd": usd, "tokens": tokens}


def _variable(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise ValueError(f"`{name}` is no variable's name: it is made of A-Z, a-z, 0-9 and _")
    return name


def _readable(value: str) -> str:
    if "\0" in given(value):
        raise ValueError("holds a NUL, which no variable can")
    return value


def _network(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}", name):
        raise ValueError('is "on", "off" or the name of a container network')
    return name


class AgentTable(Section):
    """One `[agents.NAME]`."""

    driver: DriverName
    sandbox: SandboxName = "auto"
    role: AgentRole = AgentRole.WORKER
    types: tuple[Word, ...] = ()
    mode: Literal["ephemeral", "persistent"] = "ephemeral"
    model: Word | None = None
    account: Word | None = None
    skills: frozenset[Word] = frozenset()
    languages: frozenset[Word] = frozenset()
    tags: frozenset[Word] = frozenset()
    max_concurrent_tasks: OneOrMore = 1
    focus: Focus | None = Field(default=None, validate_default=True)
    triggers: tuple[TriggerTable, ...] = ()
    budget: Annotated[BudgetTable | None, BeforeValidator(_amount)] = None
    environment: dict[
        Annotated[str, AfterValidator(_variable)], Annotated[str, AfterValidator(_readable)]
    ] = Field(default_factory=dict)
    options: dict[str, Any] = Field(default_factory=dict)
    limits: LimitsTable = LimitsTable()
    mounts: tuple[MountTable, ...] = ()
    network: Annotated[str, AfterValidator(_network)] = "on"
    container: ContainerTable = ContainerTable()
    enabled: bool = True

    @field_validator("types")
    @classmethod
    def _steps(cls, types: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if types and info.data.get("role") is AgentRole.STEWARD:
            raise ValueError("a steward takes no steps; leave it out")
        return types

    @field_validator("focus")
    @classmethod
    def _of_a_steward(cls, focus: Focus | None, info: ValidationInfo) -> Focus | None:
        role = info.data.get("role")
        if role is AgentRole.STEWARD and focus is None:
            raise ValueError("is missing; a steward has merge, health, reminder or ops")
        if role not in (None, AgentRole.STEWARD) and focus is not None:
            raise ValueError(f"only a steward has one; this is a {role}")
        return focus

    @field_validator("triggers")
    @classmethod
    def _calls(
        cls, triggers: tuple[TriggerTable, ...], info: ValidationInfo
    ) -> tuple[TriggerTable, ...]:
        role = info.data.get("role")
        if triggers and role not in (None, AgentRole.STEWARD):
            raise ValueError(f"only a steward has any; this is a {role}")
        return triggers

    def named(self, name: str, created_by: str = "system") -> Agent:
        own = {"triggers", "budget", "limits", "mounts", "container", "environment"}
        fields = {key: getattr(self, key) for key in AgentTable.model_fields if key not in own}
        return Agent(
            name=name,
            **fields,
            triggers=tuple(one.trigger() for one in self.triggers),
            budget_tokens=self.budget.tokens if self.budget else None,
            budget_usd=self.budget.usd if self.budget else None,
            created_by=created_by,
            limits=self.limits.limits(),
            mounts=tuple(one.mount() for one in self.mounts),
            container=self.container.model_dump(exclude_none=True),
            environment={key: given(value) for key, value in self.environment.items()},
            credentials=frozenset(k for k, v in self.environment.items() if is_reference(v)),
            files=frozenset(files_of(self.environment.values())),
        )


def changed_agent(
    name: str, base: Agent | None, changes: Mapping[str, Any], created_by: str
) -> Agent:
    """The agent with these keys of its table changed; a new one without `base`. Raises Unclear,
    a line for each fault, which begins with the key."""
    fault = name_fault(name)
    if fault is not None:
        raise Unclear(f"`{name[:70]}`: {fault}")
    table = {**(_table(base) if base is not None else {}), **changes}
    layers = Layers()
    layers.lay((), table, "")
    try:
        fresh = AgentTable.model_validate(table).named(name, created_by)
    except ValidationError as error:
        raise Unclear("\n".join(explain(error, layers, AgentTable))) from error
    return fresh if base is None else _kept(fresh, base)


def _kept(fresh: Agent, base: Agent) -> Agent:
    """What is as before still comes from where it was read."""
    before = base.environment.items() & fresh.environment.items()
    secret = {name for name, _ in before} & base.credentials
    return replace(
        fresh,
        credentials=fresh.credentials | secret,
        files=fresh.files | (base.files if secret else frozenset()),
    )


def _table(agent: Agent) -> dict[str, Any]:
    """The table that makes this agent."""
    table = {key: getattr(agent, key) for key in AgentTable.model_fields if key != "budget"}
    table["triggers"] = [{trigger.kind: trigger.value} for trigger in agent.triggers]
    table["limits"] = asdict(agent.limits)
    table["mounts"] = [asdict(one) for one in agent.mounts]
    table["container"] = dict(agent.container)
    table["budget"] = {"usd": agent.budget_usd, "tokens": agent.budget_tokens}
    return table


def name_fault(name: str) -> str | None:
    """What is wrong with an agent's name; None: nothing."""
    if name in _WORDS:
        return "/agent takes that for something to do; call it otherwise"
    return None if _NAME.fullmatch(name) else "a name is made of a-z, 0-9 and -"


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
    fault = name_fault(name)
    if fault is not None:
        faults.append(f"{file.name}: agents.{name}: {fault}")
        return None
    layers = Layers()
    layers.lay(("agents", name), table, file.name)
    try:
        return AgentTable.model_validate(table).named(name)
    except ValidationError as error:
        faults += explain(error, layers, AgentTable, ("agents", name))
        return None
