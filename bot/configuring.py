"""The configuration files as the rest of Bullpen knows them: read at the start and anew."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bot import logs, terminal
from bot.demo import make_demo_repository
from config import tuning
from config.agents import changed_agent
from config.credentials import secrets_of
from config.load import Configuration, load
from config.mounted import Mounted
from config.secretfiles import parts
from config.settings import Settings
from core.audience import Rule
from core.errors import Unclear
from core.model import Agent, Repo
from core.policy import Policy
from core.ports import Driver
from core.prompts import Prompts
from core.redaction import Redactor
from core.setup import Setup
from core.worktrees import Repositories

log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the configuration comes from, and what has to hear of it first."""

    config: str | None
    data: str | None
    repo: str | None
    redactor: Redactor
    repositories: Repositories
    drivers: Mapping[str, Driver] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Files:
    """The files as they were read once (`core.setup.Configured`)."""

    sources: Sources
    configuration: Configuration
    setup: Setup

    @property
    def parts(self) -> Mapping[str, Mapping[str, object]]:
        setup, settings = self.setup, self.configuration.settings
        return {
            "Agents": setup.agents,
            "Workflows": setup.workflows,
            "Repositories": setup.repos,
            "Prompts": self.configuration.prompts,
            "Prices": setup.prices,
            "Settings": self.settings,
            "Channels": setup.channels,
            "People": settings.telegram.users,
            "Notifications": {f"rule {n}": rule for n, rule in enumerate(setup.rules, 1)},
        }

    @property
    def fixed(self) -> Mapping[str, object]:
        s = self.configuration.settings
        return {
            "data_dir": data_folder(self.configuration),
            "tick_seconds": s.tick_seconds,
            "api.host": s.api.host,
            "api.port": s.api.port,
            "api.agents_url": s.api.agents_url,
            "api.agents_host": s.api.agents_host,
            "api.agents_port": s.api.agents_port,
            "site.title": s.site.title,
            "telegram.token": s.telegram.token,
            "telegram.api_base": s.telegram.api_base,
            "github.token": s.github.token,
            "github.owner": s.github.owner,
        }

    @property
    def settings(self) -> Mapping[str, object]:
        return tuning.settable(self.configuration.settings)

    def checked(self, key: str, value: object) -> object:
        fresh = tuning.changed(self.configuration.settings, {key: value})
        _know_workflow(fresh, self.setup)
        return tuning.settable(fresh)[key]

    def policy(self, changes: Mapping[str, object]) -> Policy:
        fresh = tuning.changed(self.configuration.settings, changes)
        _know_workflow(fresh, self.setup)
        return _policy(fresh)

    def agent(self, name: str, changes: Mapping[str, Any], created_by: str) -> Agent:
        fresh = changed_agent(name, self.setup.agents.get(name), changes, created_by)
        if faults := tuple(_faults(self.sources, fresh)):
            raise Unclear("\n".join(faults))
        return fresh

    def private(self, setup: Setup) -> tuple[Path, ...]:
        """What of this machine's no agent may see unless it is given to it: the configuration
        itself, what keys were read from, files that are some agent's, the user's own checkouts."""
        agents = setup.agents.values()
        keys = {path for agent in agents for path in agent.files}
        mounts = {one.source for agent in agents for one in agent.mounts}
        sources = {Path(repo.source) for repo in setup.repos.values()}
        files = keys | {path for path in mounts if os.path.isfile(path)}
        folders = {path for path in sources if path.is_absolute() and os.path.isdir(path)}
        return (*self.configuration.places, *sorted(files), *sorted(folders))

    async def again(self) -> Files:
        return await read(self.sources)


async def read(sources: Sources) -> Files:
    """Read everything, and take in the repositories that it names. Raises BullpenError."""
    configuration = load(config=sources.config, data=sources.data, repo=sources.repo)
    return await taken(sources, configuration)


async def taken(sources: Sources, configuration: Configuration) -> Files:
    """What was read, once its secrets are known and its repositories are there: one that is
    none is told now, not at the first task. Raises BullpenError."""
    _hide(sources.redactor, configuration)
    if faults := [
        f"agents.toml: agents.{agent.name}.{fault}"
        for agent in configuration.agents
        for fault in _faults(sources, agent)
    ]:
        raise Unclear("\n".join(faults))
    data = data_folder(configuration)
    repos = {repo.name: repo for repo in configuration.repos} or await _demo(data)
    for repo in repos.values():
        await sources.repositories.ensure(repo)
    return Files(sources, configuration, _setup(configuration, repos))


def _hide(redactor: Redactor, configuration: Configuration) -> None:
    """Its secrets are known from now on; those in mounted files also when they change."""
    redactor.learn(secrets(configuration))
    mounted = Mounted(configuration.agents)
    redactor.learn(mounted())
    redactor.follow(mounted)
    for line in mounted.unread():
        log.warning(
            "a mount that can't be looked at for secrets: what it holds may be shown", mount=line
        )


def _faults(sources: Sources, agent: Agent) -> Iterator[str]:
    """What is wrong with what its driver alone can judge, a line each that begins with the key."""
    driver = sources.drivers.get(agent.driver)
    if driver is not None:
        yield from driver.faults(agent.options, agent.environment)


def data_folder(configuration: Configuration) -> Path:
    return configuration.settings.data_dir.expanduser().absolute()


def secrets(configuration: Configuration) -> tuple[str, ...]:
    """Every value that must not be seen: the bot's own, and what agents are given as such; but for
    what stands in mounted files."""
    given = [value for agent in configuration.agents for value in secrets_of(agent)]
    within = [part for value in given for part in parts(value)]
    return (*configuration.settings.secrets(), *given, *within)


async def _demo(data: Path) -> dict[str, Repo]:
    """No repository configured: a small one to try things on, with tests in it."""
    path = data / "demo"
    await make_demo_repository(path)
    return {"demo": Repo("demo", str(path), check="python3 -m unittest -q")}


def _setup(configuration: Configuration, repos: Mapping[str, Repo]) -> Setup:
    settings = configuration.settings
    return Setup(
        policy=_policy(settings),
        agents={agent.name: agent for agent in configuration.agents},
        workflows={workflow.name: workflow for workflow in configuration.workflows},
        repos=repos,
        prompts=Prompts(configuration.prompts),
        channels=settings.targets(),
        people={**settings.people(), "console": terminal.people()},
        prices=configuration.prices,
        rules=tuple(
            Rule(rule.channel, rule.types, rule.severity, rule.lane) for rule in settings.notify
        ),
    )


def _policy(s: Settings) -> Policy:
    return Policy(
        max_concurrent=s.queue.max_concurrent,
        paused=s.queue.paused,
        stop_on_failure=s.queue.stop_on_failure,
        retries={
            "failed": s.retry.failed,
            "lost": s.retry.lost,
            "timeout": s.retry.timeout,
            "stuck": s.retry.stuck,
        },
        retry_base=s.retry.base_seconds,
        send_backs=s.qa.max_send_backs,
        log_cap=s.limits.log_cap_bytes,
        output_limit=s.limits.output_limit_bytes,
        wall_time=s.limits.wall_seconds or None,
        grace=s.limits.grace_seconds,
        interrupt=s.limits.interrupt_seconds,
        lost_after=s.limits.lost_after_seconds,
        default_workflow=s.default_workflow,
        day_tokens=s.budget.day_tokens,
        day_usd=s.budget.day_usd,
        warn_at=s.budget.warn_at,
        limit_pause=s.limits.pause_seconds,
        timezone=s.timezone,
    )


def _know_workflow(settings: Settings, setup: Setup) -> None:
    if settings.default_workflow not in setup.workflows:
        raise Unclear(
            f"default_workflow: no workflow `{settings.default_workflow}`; there are "
            + ", ".join(sorted(setup.workflows))
        )
