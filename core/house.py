"""What the flow needs, put together at the door by `bot.app` and handed inward as values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from core.artifacts import Artifacts
from core.errors import Unclear
from core.model import Agent, Repo, Role, Step, Task, Workflow
from core.policy import Policy
from core.ports import Clock, Driver, Forge, Sandbox
from core.prices import Price
from core.prompts import Prompts
from core.store.database import Store
from core.worktrees import Repositories


@dataclass(frozen=True, slots=True)
class House:
    store: Store
    clock: Clock
    data: Path
    policy: Policy
    agents: Mapping[str, Agent]
    workflows: Mapping[str, Workflow]
    repos: Mapping[str, Repo]
    drivers: Mapping[str, Driver]
    sandboxes: Mapping[str, Sandbox]
    forges: Mapping[str, Forge]
    repositories: Repositories
    prompts: Prompts
    channels: Mapping[str, tuple[tuple[str, str], ...]]
    people: Mapping[str, Mapping[str, Role]]
    redact: Callable[[str], str]
    artifacts: Artifacts
    check_command: Callable[[str], object]
    prices: Mapping[str, Price] = field(default_factory=dict)

    def repo(self, name: str | None) -> Repo:
        """The repository of that name; without a name the only one. Raises Unclear."""
        if name is None:
            if len(self.repos) == 1:
                return next(iter(self.repos.values()))
            raise Unclear(
                "Which repository? Say --repo NAME. There are: "
                + (", ".join(sorted(self.repos)) or "none")
                + "."
            )
        if name not in self.repos:
            raise Unclear(
                f"No repository `{name}`. There are: "
                + (", ".join(sorted(self.repos)) or "none")
                + "."
            )
        return self.repos[name]

    def workflow(self, name: str) -> Workflow:
        if name not in self.workflows:
            raise Unclear(
                f"No workflow `{name}`. There are: " + ", ".join(sorted(self.workflows)) + "."
            )
        return self.workflows[name]

    def step(self, task: Task, step_id: str | None = None) -> Step:
        """The task's current step, or the named one of its workflow. Raises Unclear where the
        configuration no longer has it."""
        name = step_id or task.step
        try:
            return self.workflow(task.workflow).step(name)
        except KeyError:
            raise Unclear(
                f"{task.ref} is at the step `{name}`, which the workflow `{task.workflow}` no "
                "longer has: put it back, or /cancel the task."
            ) from None

    def agent(self, name: str) -> Agent:
        if name not in self.agents:
            raise Unclear(f"No agent `{name}`. There are: " + ", ".join(sorted(self.agents)) + ".")
        return self.agents[name]

    def missing(self, agent: Agent) -> str | None:
        """Why this agent can't work here, in one line; None when it can."""
        if not agent.enabled:
            return f"{agent.name} is disabled."
        return (
            self.drivers[agent.driver].missing(agent.options)
            or self.sandboxes[agent.sandbox].missing()
        )

    def session_folder(self, session_id: str) -> Path:
        return self.data / "sessions" / session_id

    def attempt_folder(self, session_id: str, number: int) -> Path:
        return self.session_folder(session_id) / "attempts" / f"{number:02d}"
