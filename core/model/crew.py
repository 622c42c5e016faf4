"""What is configured: repositories, workflows, agents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from core.model.states import AgentRole, StepKind, TaskState

DriverName = Literal["command", "claude", "codex", "acp", "model"]
"""How an agent can be talked to; `bot.app` has an adapter for each."""
SandboxName = Literal["auto", "host", "bubblewrap", "docker", "kubernetes"]
"""Where an agent can be told to run; `auto` is what works here."""


@dataclass(frozen=True, slots=True)
class Repo:
    """A repository that tasks work on. `source` is a path or URL; `check` a command line."""

    name: str
    source: str
    branch: str = "main"
    check: str | None = None
    forge: str = "local"


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a workflow. `outcomes` maps an outcome's name to the next step's id,
    or to `done` or `failed`. `checked`: the repository's check command judges it."""

    id: str
    kind: StepKind
    outcomes: Mapping[str, str]
    name: str = ""
    type: str = "any"
    state: TaskState = TaskState.IN_FLIGHT
    prompt: str | None = None
    session: str | None = None
    fresh: bool = False
    writes_code: bool = False
    input: str | None = None
    output: str | None = None
    artifact: str | None = None
    command: str | None = None
    action: str | None = None
    checked: bool = True


@dataclass(frozen=True, slots=True)
class Workflow:
    name: str
    title: str
    steps: tuple[Step, ...]

    def step(self, step_id: str) -> Step:
        """The step of that id; KeyError when the workflow has none."""
        for step in self.steps:
            if step.id == step_id:
                return step
        raise KeyError(step_id)


@dataclass(frozen=True, slots=True)
class Trigger:
    """What lets a steward act: a calendar line (`kind` cron) or an event's type (`event`)."""

    kind: str
    value: str


@dataclass(frozen=True, slots=True)
class Limits:
    """What ends an attempt of an agent's, each with its own reason. Times in seconds, sizes in
    bytes; None: as configured for all, or without a limit."""

    wall_time: float | None = None
    idle_time: float | None = None
    memory: int | None = None
    cpu_time: float | None = None
    processes: int | None = None
    output: int | None = None


@dataclass(frozen=True, slots=True)
class Mount:
    """A file or folder of this machine that an agent gets to see: its credentials. `target` is
    absolute, or below its HOME when it begins with `~/`."""

    source: Path
    target: str
    writable: bool = False


@dataclass(frozen=True, slots=True)
class Agent:
    """A registered worker as configured; its status is derived from sessions, never stored.

    `focus` and `triggers` are a steward's. Budgets are for each calendar day. `network` is `on`,
    `off`, or a container network's name; `container` is what Docker and Kubernetes need to know.
    `credentials`: the names of variables that were read from elsewhere, and are secret; `files`:
    what they were read from.
    """

    name: str
    driver: str
    sandbox: str = "auto"
    role: AgentRole = AgentRole.WORKER
    types: tuple[str, ...] = ()
    mode: str = "ephemeral"
    model: str | None = None
    account: str | None = None
    skills: frozenset[str] = frozenset()
    languages: frozenset[str] = frozenset()
    tags: frozenset[str] = frozenset()
    max_concurrent_tasks: int = 1
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    options: Mapping[str, Any] = field(default_factory=dict)
    enabled: bool = True
    focus: str | None = None
    triggers: tuple[Trigger, ...] = ()
    budget_tokens: int | None = None
    budget_usd: float | None = None
    created_by: str = "system"
    limits: Limits = Limits()
    mounts: tuple[Mount, ...] = ()
    network: str = "on"
    container: Mapping[str, Any] = field(default_factory=dict)
    credentials: frozenset[str] = frozenset()
    files: frozenset[Path] = frozenset()

    @property
    def lane(self) -> str:
        """The account whose usage limit it shares; one without is alone with its own."""
        return self.account or self.name

    def does(self, step_type: str) -> bool:
        """Whether it takes steps of that type (no types given: all but a director's)."""
        if self.role is not AgentRole.WORKER:
            return step_type in self.types
        return not self.types or step_type == "any" or step_type in self.types
