"""The composition root: the only place that reads the configuration and names adapters."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.cron import CronTrigger

from bot import logs, terminal
from bot.api.entry import running_port
from bot.api.server import Server
from bot.clock import SystemClock
from bot.console import ConsoleFace
from bot.demo import make_demo_repository
from bot.guard import close_memory, lock
from bot.life import App, Options, Poller, live
from bot.outbox import Outbox
from bot.pages import Pages
from bot.reception import Entrance, Reception
from bot.site import Site
from config.load import Configuration, load
from core.artifacts import Artifacts
from core.commands.interpreter import Interpreter
from core.drivers.claude import ClaudeDriver
from core.drivers.command import CommandDriver, split_command
from core.forges.local import LocalForge
from core.house import House
from core.model import Repo
from core.notifications import Audience, Notifier, Rule
from core.orchestrator import Orchestrator
from core.policy import Policy
from core.ports import Face
from core.prompts import Prompts
from core.redaction import Redactor
from core.sandboxes.host import HostSandbox
from core.store import buttons
from core.store.database import Store
from core.taskfolders import TaskFolders
from core.worktrees import Repositories

_SECRET = re.compile(r"KEY|TOKEN|SECRET|PASSW|CREDENTIAL|AUTH", re.IGNORECASE)


async def up(options: Options) -> int:
    """Run until told to stop (or until idle). Returns the process's exit status.

    Raises BullpenError, one line for a person, when it can't start."""
    configuration = load(config=options.config, data=options.data, repo=options.repo)
    data = configuration.settings.data_dir.expanduser().absolute()
    lock(data)
    close_memory()
    redactor = Redactor(_secrets(configuration))
    logs.configure(data, redactor)
    async with contextlib.AsyncExitStack() as stack:
        return await live(await build(options, configuration, redactor, stack))


def _secrets(configuration: Configuration) -> tuple[str, ...]:
    """Every value that must not be seen: the bot's own, and what agents are given as such."""
    given = [
        value
        for agent in configuration.agents
        for name, value in agent.environment.items()
        if _SECRET.search(name)
    ]
    return (*configuration.settings.secrets(), *given)


async def build(
    options: Options,
    configuration: Configuration,
    redactor: Redactor,
    stack: contextlib.AsyncExitStack,
) -> App:
    """Compose the bot; what must be closed is left on the stack."""
    settings = configuration.settings
    data = settings.data_dir.expanduser().absolute()
    clock = SystemClock()
    store = await Store(data, clock.now).open()
    stack.push_async_callback(store.close)
    faces, entrances, pollers = _faces(options, configuration, stack)
    repos = {repo.name: repo for repo in configuration.repos} or await _demo(data)
    house = _house(configuration, data, store, clock, repos, redactor)
    await _check_repositories(house)
    orchestrator = Orchestrator(house, settings.tick_seconds)
    outbox = Outbox(store, faces, clock, redact=redactor.text)
    reception = Reception(store, Interpreter(house, orchestrator.able), entrances, outbox.wake)
    pages = Pages(_site(configuration, data, house), TaskFolders(house), settings.tick_seconds)
    store.state.before_commit.append(_notifier(configuration, house, faces))
    store.state.listeners += [lambda events: outbox.wake(), pages.changed]
    return App(
        options,
        _calendar(settings.timezone, store),
        store,
        house,
        orchestrator,
        outbox,
        reception,
        pages,
        Server(data, settings.api.host, settings.api.port),
        pollers,
    )


def _calendar(timezone: str, store: Store) -> AsyncIOScheduler:
    """What goes by the calendar. Ticks don't: a wall clock set back stops interval jobs."""
    scheduler = AsyncIOScheduler(
        timezone=timezone,
        job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
    )
    scheduler.add_job(
        store.write, CronTrigger.from_crontab("17 3 * * *"), args=[buttons.sweep], id="sweep"
    )
    return scheduler


async def _check_repositories(house: House) -> None:
    """A repository that is none is told at the start, not at the first task."""
    for repo in house.repos.values():
        await house.repositories.ensure(repo)


def _site(configuration: Configuration, data: Path, house: House) -> Site:
    settings = configuration.settings
    return Site(
        data,
        interval=settings.tick_seconds,
        secrets=_secrets(configuration),
        title=settings.site.title,
        agents=tuple(name for name, agent in house.agents.items() if house.missing(agent) is None),
    )


def _notifier(configuration: Configuration, house: House, faces: dict[str, Face]) -> Notifier:
    rules = [
        Rule(rule.channel, rule.types, rule.severity, rule.lane)
        for rule in configuration.settings.notify
    ]
    return Notifier(lambda: Audience(rules, house.channels, house.people), frozenset(faces))


async def _demo(data: Path) -> dict[str, Repo]:
    """No repository configured: a small one to try things on, with tests in it."""
    path = data / "demo"
    await make_demo_repository(path)
    return {"demo": Repo("demo", str(path), check="python3 -m unittest -q")}


def _faces(
    options: Options, configuration: Configuration, stack: contextlib.AsyncExitStack
) -> tuple[dict[str, Face], dict[str, Entrance], tuple[Poller, ...]]:
    """The ways out, the ways in, and what has to be asked for news."""
    faces: dict[str, Face] = {}
    entrances: dict[str, Entrance] = {"console": terminal.Entrance()}
    if options.console:
        faces["console"] = ConsoleFace(options.output)
    token = configuration.settings.telegram.token.get_secret_value()
    if not token:
        return faces, entrances, ()
    # Importing aiogram costs seconds: only where Telegram is on.
    from bot.telegram.entrance import TelegramEntrance
    from bot.telegram.face import TelegramFace

    face = TelegramFace(token, configuration.settings.telegram.api_base)
    stack.push_async_callback(face.close)
    entrance = TelegramEntrance(face)
    faces["telegram"], entrances["telegram"] = face, entrance
    return faces, entrances, (entrance,)


def _house(
    configuration: Configuration,
    data: Path,
    store: Store,
    clock: SystemClock,
    repos: dict[str, Repo],
    redactor: Redactor,
) -> House:
    settings = configuration.settings
    return House(
        store=store,
        clock=clock,
        data=data,
        policy=_policy(configuration),
        agents={agent.name: agent for agent in configuration.agents},
        workflows={workflow.name: workflow for workflow in configuration.workflows},
        repos=repos,
        drivers={driver.name: driver for driver in (CommandDriver(), ClaudeDriver())},
        sandboxes={"host": HostSandbox()},
        forges={"local": LocalForge()},
        repositories=Repositories(data / "repos"),
        prompts=Prompts(configuration.prompts),
        channels=settings.targets(),
        people={**settings.people(), "console": terminal.people()},
        redact=redactor.text,
        artifacts=Artifacts(data),
        check_command=split_command,
        prices=configuration.prices,
    )


def _policy(configuration: Configuration) -> Policy:
    s = configuration.settings
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
        default_workflow=s.default_workflow,
    )


def dashboard_link(config: str | None, data: str | None) -> str:
    """A one-time link to the dashboard of the bot that runs on that data folder."""
    settings = load(config=config, data=data).settings
    folder = settings.data_dir.expanduser().absolute()
    return Server(folder, settings.api.host, running_port(folder) or settings.api.port).link()
