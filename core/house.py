"""What the flow needs, put together at the door by `bot.app` and handed inward as values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from core import alone
from core.artifacts import Artifacts
from core.audience import Audience
from core.beats import Beats
from core.cards.words import sentence
from core.doors import Doors
from core.errors import BullpenError, Unclear
from core.model import Agent, Repo, Role, Step, Task, Workflow
from core.places import OPEN, WALLED, unkept
from core.policy import Policy
from core.ports import Brief, Clock, Driver, Forge, Sandbox
from core.prices import Price
from core.prompts import Prompts
from core.setup import Configured, Setup
from core.store.database import Store
from core.worktrees import Repositories

AUTO = "auto"
"""A sandbox that is chosen by what works here: bubblewrap, or else the host."""
DOCKER, DOCKER_AFAR, KUBERNETES = "docker", "docker-remote", "kubernetes"
BOXED = frozenset({DOCKER, DOCKER_AFAR, KUBERNETES})
"""Sandboxes whose programs are an image's, and not this machine's."""


@dataclass(slots=True)
class Current:
    """What counts now: the files as they were read last, with what was changed by hand on top
    of them. `version` counts how often it was replaced."""

    configured: Configured
    setup: Setup
    version: int = 0

    def adopt(self, configured: Configured, setup: Setup) -> None:
        self.configured, self.setup = configured, setup
        self.version += 1


@dataclass(frozen=True, slots=True)
class Helper:
    """Bullpen's MCP server as agents start it: its command line (empty: it isn't installed), and
    what of this machine it has to be able to read."""

    argv: tuple[str, ...] = ()
    readable: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class House:
    """`current` is replaced when the configuration is loaded anew or changed by hand; whoever
    needs several of its parts to fit together takes `setup` once.

    `mcp`: Bullpen's MCP server as it runs on this machine; it finds its attempt by BULLPEN_TOKEN
    and BULLPEN_SOCKET or BULLPEN_API. An image of one's own may have it as `bullpen mcp`."""

    store: Store
    clock: Clock
    data: Path
    current: Current
    drivers: Mapping[str, Driver]
    sandboxes: Mapping[str, Sandbox]
    forges: Mapping[str, Forge]
    repositories: Repositories
    redact: Callable[[str], str]
    artifacts: Artifacts
    check_command: Callable[[str], object]
    doors: Doors
    mcp: Helper = Helper()
    beats: Beats = field(default_factory=Beats, compare=False)

    @property
    def setup(self) -> Setup:
        return self.current.setup

    @property
    def policy(self) -> Policy:
        return self.current.setup.policy

    @property
    def agents(self) -> Mapping[str, Agent]:
        return self.current.setup.agents

    @property
    def workflows(self) -> Mapping[str, Workflow]:
        return self.current.setup.workflows

    @property
    def repos(self) -> Mapping[str, Repo]:
        return self.current.setup.repos

    @property
    def prompts(self) -> Prompts:
        return self.current.setup.prompts

    @property
    def channels(self) -> Mapping[str, tuple[tuple[str, str], ...]]:
        return self.current.setup.channels

    @property
    def people(self) -> Mapping[str, Mapping[str, Role]]:
        return self.current.setup.people

    @property
    def prices(self) -> Mapping[str, Price]:
        return self.current.setup.prices

    def audience(self) -> Audience:
        """Whom the rules tell of what, as they are now."""
        setup = self.setup
        return Audience(setup.rules, setup.channels, setup.people)

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
        spawned = alone.one_step(name)
        if spawned is not None:
            return spawned
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
        """Why this agent can't work here, a sentence in one line; None when it can."""
        if not agent.enabled:
            return f"{agent.name} is disabled: /agent enable {agent.name}."
        why = self.no_driver(agent) or self._no_sandbox(agent)
        return why and sentence(why.replace("agents.NAME", f"agents.{agent.name}"))

    def no_driver(self, agent: Agent) -> str | None:
        """Why its driver can't work; what an image holds is seen when it starts."""
        driver = self.drivers.get(agent.driver)
        if driver is None:
            return f"{agent.name}: the driver {agent.driver} is not part of this version."
        return driver.missing(agent.options, here=self.place(agent) not in BOXED)

    def untyped(self, agent: Agent) -> str | None:
        """Why nobody can type to it at a terminal, a sentence; None where a person can."""
        driver = self.drivers.get(agent.driver)
        if driver is None:
            return self.no_driver(agent)
        nowhere = Path("/nowhere")
        brief = Brief(
            *("TASK-000", "", "", nowhere, nowhere, "", nowhere),
            options=agent.options,
            interactive=True,
            sandbox=self.place(agent),
        )
        try:
            typed = driver.plan(brief).pty
        except BullpenError as error:
            return str(error)
        return None if typed else f"{agent.name} can't be typed to in a terminal."

    def place(self, agent: Agent) -> str:
        """The sandbox that it runs in: for `auto` bubblewrap where that works, else the host. A
        Docker engine on another machine shares no folder."""
        if agent.sandbox == DOCKER and str(agent.container.get("engine")).startswith("ssh://"):
            return DOCKER_AFAR
        if agent.sandbox != AUTO:
            return agent.sandbox
        walled = self.sandboxes.get(WALLED)
        return WALLED if walled and walled.missing(agent.container) is None else OPEN

    def _no_sandbox(self, agent: Agent) -> str | None:
        place = self.place(agent)
        sandbox = self.sandboxes.get(place)
        if sandbox is None:
            return f"{agent.name}: the sandbox {place} is not part of this version."
        return sandbox.missing(agent.container) or unkept(agent, place)

    def session_folder(self, session_id: str) -> Path:
        return self.data / "sessions" / session_id

    def attempt_folder(self, session_id: str, number: int) -> Path:
        return self.session_folder(session_id) / "attempts" / f"{number:02d}"
