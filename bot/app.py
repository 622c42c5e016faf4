"""The composition root: the only place that reads the configuration and names adapters."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.cron import CronTrigger

from bot import logs, terminal
from bot.api.entry import load_key, running_port
from bot.api.server import Address, Server
from bot.clock import SystemClock
from bot.configuring import Files, Sources, data_folder, secrets, taken
from bot.console import ConsoleFace
from bot.following import Following
from bot.guard import close_memory, lock
from bot.life import App, Options, Poller, live
from bot.mcp import mcp_command, mcp_needs
from bot.outbox import Outbox
from bot.pages import Pages
from bot.reception import Entrance, Reception
from bot.site import Site, crew_told
from config.load import Configuration, load
from core import crew, runs
from core.artifacts import Artifacts
from core.commands.interpreter import Interpreter
from core.doors import Doors
from core.drivers.acp import AcpDriver
from core.drivers.claude import ClaudeDriver
from core.drivers.codex import CodexDriver
from core.drivers.command import CommandDriver, split_command
from core.drivers.model_call import ModelCallDriver
from core.forges.local import LocalForge
from core.house import Current, Helper, House
from core.live import Live
from core.notifications import Notifier
from core.orchestrator import Orchestrator
from core.ports import Driver, Face, Sandbox
from core.redaction import Redactor
from core.sandboxes.bubblewrap import BubblewrapSandbox
from core.sandboxes.docker import DockerRemoteSandbox, DockerSandbox
from core.sandboxes.host import HostSandbox
from core.sandboxes.kubernetes import KubernetesSandbox
from core.store import buttons
from core.store.database import Store
from core.taskfolders import TaskFolders
from core.worktrees import Repositories

log = logs.get(__name__)


async def up(options: Options) -> int:
    """Run until told to stop (or until idle). Returns the process's exit status.

    Raises BullpenError, one line for a person, when it can't start."""
    configuration = load(config=options.config, data=options.data, repo=options.repo)
    data = data_folder(configuration)
    lock(data)
    close_memory()
    redactor = Redactor(secrets(configuration))
    logs.configure(data, redactor)
    async with contextlib.AsyncExitStack() as stack:
        return await live(await build(options, configuration, redactor, stack))


async def build(
    options: Options,
    configuration: Configuration,
    redactor: Redactor,
    stack: contextlib.AsyncExitStack,
) -> App:
    """Compose the bot; what must be closed is left on the stack."""
    settings = configuration.settings
    data = data_folder(configuration)
    clock = SystemClock()
    store = await Store(data, clock.now).open()
    stack.push_async_callback(store.close)
    faces, entrances, pollers = _faces(options, configuration, stack)
    repositories = Repositories(data / "repos")
    sources = Sources(
        options.config, options.data, options.repo, redactor, repositories, _drivers()
    )
    house = _house(await taken(sources, configuration), data, store, clock)
    await asyncio.to_thread(house.artifacts.sweep)
    for fault in (await crew.adopt(house, house.current.configured)).faults:
        log.warning("changed by hand, but left out", fault=fault)
    orchestrator = Orchestrator(house, settings.tick_seconds)
    outbox = Outbox(store, faces, clock, redact=redactor.text)
    reception = Reception(store, Interpreter(house, orchestrator.able), entrances, outbox.wake)
    pages = Pages(
        _site(configuration, data, house, redactor),
        TaskFolders(house, redactor),
        settings.tick_seconds,
    )
    notifier = Notifier(house.audience, frozenset(faces), lambda tx: runs.slots(tx, house))
    store.state.before_commit.append(notifier)
    crew.follow(house)
    store.state.listeners += [lambda events: outbox.wake(), pages.changed]
    _follow(store, Live(store), redactor, faces.get("console"), stack)
    return App(
        options,
        _calendar(settings.timezone, store),
        store,
        house,
        orchestrator,
        outbox,
        reception,
        pages,
        _server(configuration, data, house),
        pollers,
    )


def _follow(
    store: Store,
    live: Live,
    redactor: Redactor,
    console: Face | None,
    stack: contextlib.AsyncExitStack,
) -> None:
    """What agents say, on the terminal, for who asks for it."""
    if isinstance(console, ConsoleFace):
        following = Following(store, live, redactor, console.show)
        console.heed = following.heed
        stack.push_async_callback(following.close)


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


def _server(configuration: Configuration, data: Path, house: House) -> Server:
    api = configuration.settings.api
    agents = Address(api.agents_url, api.agents_host, api.agents_port)
    return Server(data, api.host, api.port, house, agents)


def _site(configuration: Configuration, data: Path, house: House, redactor: Redactor) -> Site:
    settings = configuration.settings
    return Site(
        data,
        interval=settings.tick_seconds,
        title=settings.site.title,
        now=lambda: {"secrets": sorted(redactor.secrets), **crew_told(house)},
    )


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


def _drivers() -> dict[str, Driver]:
    drivers: tuple[Driver, ...] = (
        CommandDriver(),
        ClaudeDriver(),
        CodexDriver(),
        AcpDriver(),
        ModelCallDriver(),
    )
    return {driver.name: driver for driver in drivers}


def _house(files: Files, data: Path, store: Store, clock: SystemClock) -> House:
    doors, current = Doors(load_key(data)), Current(files, files.setup)
    sandboxes: tuple[Sandbox, ...] = (
        HostSandbox(),
        BubblewrapSandbox(
            hidden=(data,), private=lambda: current.configured.private(current.setup)
        ),
        DockerSandbox(data),
        DockerRemoteSandbox(lambda: doors.far_url, data),
        KubernetesSandbox(lambda: doors.far_url),
    )
    return House(
        store=store,
        clock=clock,
        data=data,
        current=current,
        drivers=files.sources.drivers,
        sandboxes={sandbox.name: sandbox for sandbox in sandboxes},
        forges={"local": LocalForge()},
        repositories=files.sources.repositories,
        redact=files.sources.redactor.text,
        artifacts=Artifacts(data),
        check_command=split_command,
        doors=doors,
        mcp=Helper(mcp_command(), mcp_needs()),
    )


def dashboard_link(config: str | None, data: str | None) -> str:
    """A one-time link to the dashboard of the bot that runs on that data folder."""
    settings = load(config=config, data=data).settings
    folder = settings.data_dir.expanduser().absolute()
    return Server(folder, settings.api.host, running_port(folder) or settings.api.port).link()
