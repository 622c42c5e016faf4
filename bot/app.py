"""The composition root: the only place that reads the configuration and names adapters."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
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
from bot.outbox import Outbox
from bot.pages import Pages
from bot.reception import Entrance, Reception
from bot.site import Site
from config.load import Configuration, load
from core.artifacts import Artifacts
from core.commands.interpreter import Interpreter
from core.drivers.claude import ClaudeDriver
from core.drivers.command import CommandDriver, split_command
from core.errors import Broken, BullpenError
from core.forges.local import LocalForge
from core.house import House
from core.model import Repo
from core.notifications import Notifier, Rule
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

log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class Options:
    """What `bullpen up` was given."""

    config: str | None = None
    data: str | None = None
    repo: str | None = None
    until_idle: bool = False
    stop_agents: bool = False
    console: bool = True


@dataclass(slots=True)
class App:
    """The running parts, for as long as the process lives."""

    options: Options
    settings: Configuration
    store: Store
    house: House
    orchestrator: Orchestrator
    outbox: Outbox
    reception: Reception
    pages: Pages
    server: Server
    faces: dict[str, Face]
    telegram: object | None = None
    tasks: list[asyncio.Task[None]] = field(default_factory=list)


async def up(options: Options) -> int:
    """Run until told to stop (or until idle). Returns the process's exit status."""
    configuration = load(config=options.config, data=options.data, repo=options.repo)
    data = configuration.settings.data_dir.expanduser().absolute()
    lock(data)
    close_memory()
    redactor = Redactor(configuration.settings.secrets())
    logs.configure(data, redactor)
    async with contextlib.AsyncExitStack() as stack:
        app = await _build(options, configuration, data, redactor, stack)
        return await _live(app)


# -- building --------------------------------------------------------------------------------


async def _build(options: Options, configuration: Configuration, data: Path,
                 redactor: Redactor, stack: contextlib.AsyncExitStack) -> App:
    clock = SystemClock()
    store = await Store(data, clock.now).open()
    stack.push_async_callback(store.close)
    repos = {repo.name: repo for repo in configuration.repos} or await _demo(data)
    faces, telegram = _faces(options, configuration, stack)
    house = _house(configuration, data, store, clock, repos, redactor)
    orchestrator = Orchestrator(house, configuration.settings.tick_seconds)
    outbox = Outbox(store, faces, clock, redact=redactor.text)
    interpreter = Interpreter(house, orchestrator.able)
    entrances: dict[str, Entrance] = {"console": terminal.Entrance()}
    if telegram is not None:
        entrances["telegram"] = telegram
    reception = Reception(store, interpreter, entrances, outbox.wake)
    store.state.before_commit.append(Notifier(
        [Rule(r.channel, r.types, r.severity, r.lane) for r in configuration.settings.notify],
        house.channels, house.people, frozenset(faces)))
    store.state.listeners.append(lambda events: outbox.wake())
    site = Site(data, interval=configuration.settings.tick_seconds,
                secrets=configuration.settings.secrets(), title=configuration.settings.site.title,
                agents=tuple(house.agents))
    pages = Pages(site, TaskFolders(house), configuration.settings.tick_seconds)
    store.state.listeners.append(pages.changed)
    server = Server(data, configuration.settings.api.host, configuration.settings.api.port)
    return App(options, configuration, store, house, orchestrator, outbox, reception, pages,
               server, faces, telegram)


async def _demo(data: Path) -> dict[str, Repo]:
    """No repository configured: a small one to try things on, with tests in it."""
    path = data / "demo"
    await make_demo_repository(path)
    return {"demo": Repo("demo", str(path), check="python3 -m unittest -q")}


def _faces(options: Options, configuration: Configuration,
           stack: contextlib.AsyncExitStack) -> tuple[dict[str, Face], object | None]:
    faces: dict[str, Face] = {}
    if options.console:
        faces["console"] = ConsoleFace(sys.stdout)
    token = configuration.settings.telegram.token.get_secret_value()
    if not token:
        return faces, None
    from bot.telegram.entrance import TelegramEntrance
    from bot.telegram.face import TelegramFace

    face = TelegramFace(token, configuration.settings.telegram.api_base)
    stack.push_async_callback(face.close)
    faces["telegram"] = face
    return faces, TelegramEntrance(face)


def _house(configuration: Configuration, data: Path, store: Store, clock: SystemClock,
           repos: dict[str, Repo], redactor: Redactor) -> House:
    settings = configuration.settings
    return House(
        store=store, clock=clock, data=data, policy=_policy(configuration),
        agents={agent.name: agent for agent in configuration.agents},
        workflows={workflow.name: workflow for workflow in configuration.workflows},
        repos=repos,
        drivers={driver.name: driver for driver in (CommandDriver(), ClaudeDriver())},
        sandboxes={"host": HostSandbox()}, forges={"local": LocalForge()},
        repositories=Repositories(data / "repos"), prompts=Prompts(configuration.prompts),
        channels=settings.targets(), people={**settings.people(), "console": terminal.people()},
        redact=redactor.text, artifacts=Artifacts(data), check_command=split_command)


def _policy(configuration: Configuration) -> Policy:
    s = configuration.settings
    return Policy(
        max_concurrent=s.queue.max_concurrent, paused=s.queue.paused,
        stop_on_failure=s.queue.stop_on_failure,
        retries={"failed": s.retry.failed, "lost": s.retry.lost, "timeout": s.retry.timeout,
                 "stuck": s.retry.stuck},
        retry_base=s.retry.base_seconds, send_backs=s.qa.max_send_backs,
        log_cap=s.limits.log_cap_bytes, output_limit=s.limits.output_limit_bytes,
        wall_time=s.limits.wall_seconds or None, grace=s.limits.grace_seconds,
        default_workflow=s.default_workflow)


# -- living ----------------------------------------------------------------------------------


async def _live(app: App) -> int:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    address = await app.server.start()
    scheduler = _calendar(app)
    try:
        await app.pages.start()
        _start(app)
        await _hello(app, address)
        await _until(app, stop)
        return await _result(app)
    finally:
        scheduler.shutdown(wait=False)
        await _down(app, stop.is_set())


def _start(app: App) -> None:
    parts: dict[str, Callable[[], Awaitable[None]]] = {
        "orchestrator": app.orchestrator.run, "outbox": app.outbox.run,
        "reception": app.reception.run, "pages": app.pages.run,
    }
    if app.telegram is not None:
        parts["telegram"] = lambda: app.telegram.run(app.reception.keep)  # type: ignore[union-attr]
    app.tasks = [asyncio.create_task(_part(name, run), name=name) for name, run in parts.items()]


async def _part(name: str, run: Callable[[], Awaitable[None]]) -> None:
    """A part that breaks is started again, after a growing pause: the rest lives on."""
    pause = 1.0
    while True:
        try:
            await run()
            return
        except Exception as error:
            log.exception("part broke, starting it again", part=name, error=repr(error)[:300])
            await asyncio.sleep(pause)
            pause = min(60.0, pause * 2)


def _calendar(app: App) -> AsyncIOScheduler:
    """What goes by the calendar. Ticks don't: a wall clock set back stops interval jobs."""
    scheduler = AsyncIOScheduler(timezone=app.settings.settings.timezone, job_defaults={
        "misfire_grace_time": None, "coalesce": True, "max_instances": 1})
    scheduler.add_job(lambda: asyncio.ensure_future(app.store.write(buttons.sweep)),
                      CronTrigger.from_crontab("17 3 * * *"), id="sweep")
    scheduler.start()
    return scheduler


async def _until(app: App, stop: asyncio.Event) -> None:
    """Until a signal; or, with --until-idle, until the input has ended and nothing is left."""
    waiting = [asyncio.create_task(stop.wait())]
    if app.options.console:
        lines = terminal.Lines(sys.stdin)
        start = os.urandom(4).hex()
        numbers = iter(range(1, 1 << 62))

        async def keep(line: str) -> None:
            key = f"{start}-{next(numbers)}"
            await app.reception.keep("console", "terminal", [(key, terminal.payload(line))])

        idle = (lambda: _idle(app)) if app.options.until_idle else None
        feeding = asyncio.create_task(terminal.feed(lines, keep, idle))
        if app.options.until_idle:
            waiting.append(feeding)  # type: ignore[arg-type]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting[1:]:
        if task.done():
            task.result()


async def _idle(app: App) -> None:
    """Returns when nothing is left to do, or everything waits for a person."""
    quiet = 0
    while quiet < 2:
        quiet = quiet + 1 if await _quiet(app) else 0
        await asyncio.sleep(0.03)
    await app.outbox.settled()


async def _quiet(app: App) -> bool:
    if not app.reception.idle():
        return False
    waiting = await app.store.read("SELECT session_id FROM iterations WHERE state = 'waiting'")
    if not app.orchestrator.idle({row["session_id"] for row in waiting}):
        return False
    retries = await app.store.read(
        "SELECT 1 FROM tasks INDEXED BY tasks_ready WHERE state = 'ready' AND not_before > ? "
        "LIMIT 1", (app.store.now(),))
    return not retries or await _paused(app)


async def _paused(app: App) -> bool:
    rows = await app.store.read("SELECT value FROM settings WHERE key = 'queue.paused'")
    return '"paused": true' in rows[0]["value"] if rows else app.house.policy.paused


async def _result(app: App) -> int:
    if not app.options.until_idle:
        return 0
    failed = await app.store.read("SELECT n FROM state_counts WHERE state = 'failed'")
    return 1 if failed[0]["n"] else 0


# -- beginning and end -----------------------------------------------------------------------


async def _hello(app: App, address: str) -> None:
    if not app.options.console:
        log.info("listening", address=address)
        return
    if app.options.until_idle:
        return
    repo = next(iter(app.house.repos.values()))
    print(f"Bullpen is up. Repository: {repo.name} ({repo.source})")
    print(f"Dashboard: {app.server.link()}")
    print(f"           (that link opens it once; as plain files: {app.house.data / 'site'})")
    print('Type first:  /add "Add a greeting" --run "sh -c \'echo hello > greeting.txt\'"')
    print("then:        /approve 1      /help lists the rest, Control-C ends.")
    sys.stdout.flush()


async def _down(app: App, by_signal: bool) -> None:
    """Leave quickly; agents go on under their launchers unless they are to be stopped."""
    for task in app.tasks:
        task.cancel()
    await asyncio.wait(app.tasks, timeout=1.5) if app.tasks else None
    running = await app.store.read(
        "SELECT id FROM sessions WHERE state IN ('starting', 'running', 'terminating')")
    if running and app.options.stop_agents:
        await _stop_agents(app)
    elif running and app.options.console:
        print(f"{len(running)} agent{'s go' if len(running) != 1 else ' goes'} on running; "
              "`bullpen up` takes over again. (--stop-agents ends them.)", flush=True)
    with contextlib.suppress(BullpenError, TimeoutError):
        await asyncio.wait_for(app.pages.close(), 1.0)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(app.server.close(), 0.5)


async def _stop_agents(app: App) -> None:
    """End every agent's process at once; the next start sees how each ended."""
    rows = await app.store.read(
        "SELECT sessions.sandbox, attempts.session_id, attempts.number, attempts.handle "
        "FROM attempts JOIN sessions ON sessions.id = session_id "
        "WHERE attempts.state = 'running'")

    async def end(row: object) -> None:
        sandbox, session_id, number, handle = tuple(row)  # type: ignore[call-overload]
        with contextlib.suppress(Broken):
            await app.house.sandboxes[sandbox].stop(
                app.house.attempt_folder(session_id, number), handle, force=True)

    await asyncio.gather(*(end(row) for row in rows))
    print(f"{len(rows)} agent{'s' if len(rows) != 1 else ''} stopped.", flush=True)


def dashboard_link(config: str | None, data: str | None) -> str:
    """A one-time link to the dashboard of the bot that runs on that data folder."""
    settings = load(config=config, data=data).settings
    folder = settings.data_dir.expanduser().absolute()
    return Server(folder, settings.api.host, running_port(folder) or settings.api.port).link()
