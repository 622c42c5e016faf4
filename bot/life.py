"""A composed bot's life: its parts run and its input is read, until it leaves (`leaving`)."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TextIO

from bot import feeding, logs
from bot.hangup import Hangup
from bot.idle import until_idle
from bot.leaving import leave
from bot.outbox import Outbox
from bot.pages import Pages
from bot.reception import Reception
from core.house import House
from core.orchestrator import Orchestrator
from core.store import people
from core.store.database import Store

log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class Options:
    """What `bullpen up` was given. `input` and `output` are the terminal's streams."""

    input: TextIO
    output: TextIO
    config: str | None = None
    data: str | None = None
    repo: str | None = None
    until_idle: bool = False
    stop_agents: bool = False
    console: bool = True


class Door(Protocol):
    """The HTTP server."""

    async def start(self) -> str: ...
    def link(self) -> str: ...
    async def close(self) -> None: ...


class Calendar(Protocol):
    """What goes by the calendar."""

    def start(self) -> None: ...
    def shutdown(self, wait: bool = True) -> None: ...


Keep = Callable[[str, str, Sequence[tuple[str, str]]], Awaitable[None]]


class Poller(Protocol):
    """A face that fetches what people say."""

    platform: str

    async def run(self, keep: Keep) -> None: ...
    async def close(self) -> None: ...


@dataclass(slots=True)
class App:
    """The composed parts, for as long as the process lives."""

    options: Options
    calendar: Calendar
    store: Store
    house: House
    orchestrator: Orchestrator
    outbox: Outbox
    reception: Reception
    pages: Pages
    server: Door
    pollers: tuple[Poller, ...] = ()
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def say(self, *lines: str) -> None:
        """Words of the process itself, to whoever has its terminal."""
        if self.options.console:
            with contextlib.suppress(OSError, ValueError):
                print(*lines, sep="\n", file=self.options.output, flush=True)


async def live(app: App) -> int:
    """Run until a signal, or until idle. Returns the process's exit status."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    hangup = Hangup(app.house, app.options.input, app.say, stop)
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, hangup)
    address = await app.server.start()
    app.calendar.start()
    try:
        await app.pages.start()
        _start(app)
        await _hello(app, address)
        await _until(app, stop)
        return await _result(app)
    finally:
        app.calendar.shutdown(wait=False)
        await leave(app)


def _start(app: App) -> None:
    parts: dict[str, Callable[[], Awaitable[None]]] = {
        "orchestrator": app.orchestrator.run,
        "outbox": app.outbox.run,
        "reception": app.reception.run,
        "pages": app.pages.run,
    }
    for poller in app.pollers:
        parts[poller.platform] = lambda p=poller: p.run(app.reception.keep)  # type: ignore[misc]
    app.tasks = [asyncio.create_task(_part(name, run), name=name) for name, run in parts.items()]


async def _part(name: str, run: Callable[[], Awaitable[None]]) -> None:
    """A part that breaks is started again, after a growing pause: the rest lives on."""
    pause = 1.0
    while True:
        try:
            await run()
            return
        except Exception as error:
            log.exception("part broke, starting it again", part=name, error=repr(error))
            await asyncio.sleep(pause)
            pause = min(60.0, pause * 2)


async def _until(app: App, stop: asyncio.Event) -> None:
    """Until a signal; or, with --until-idle, until the input has ended and nothing is left."""
    stopped = asyncio.create_task(stop.wait())
    reasons: set[asyncio.Task[bool] | asyncio.Task[None]] = {stopped}
    typing = _feeding(app)
    if app.options.until_idle:
        reasons.add(typing)
    await asyncio.wait(reasons, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if typing.done():
        typing.result()
    typing.cancel()


def _feeding(app: App) -> asyncio.Task[None]:
    """Feeds what is typed; a part like the others, but that a run until idle ends with it."""
    if not app.options.console:
        return asyncio.create_task(asyncio.sleep(0))
    typed = feeding.Typed(app.options.input, app.reception.keep)
    if not app.options.until_idle:
        return asyncio.create_task(_part("terminal", typed.feed), name="terminal")

    async def idle() -> None:
        await until_idle(app.store, app.orchestrator, app.reception, app.outbox)

    return asyncio.create_task(typed.feed_until(idle), name="terminal")


async def _result(app: App) -> int:
    """1 when a task has failed, for scripts; otherwise 0."""
    if not app.options.until_idle:
        return 0
    failed = await app.store.read("SELECT n FROM state_counts WHERE state = 'failed'")
    return 1 if failed[0]["n"] else 0


# -- beginning ------------------------------------------------------------------------------


async def _hello(app: App, address: str) -> None:
    log.info("up", address=address)
    await _pairing(app)
    if app.options.until_idle:
        return
    repo = next(iter(app.house.repos.values()))
    first = await _going_on(app) or (
        'Type first:  /add "Add a greeting" --run "sh -c \'echo hello > greeting.txt\'"',
        "then:        /approve 1      /help lists the rest, Control-C ends.",
    )
    app.say(
        f"Bullpen is up. Repository: {repo.name} ({repo.source})",
        f"Dashboard: {app.server.link()}",
        f"           (that link works once; as plain files: {app.house.data / 'site'})",
        *first,
    )


async def _going_on(app: App) -> tuple[str, ...]:
    """What goes on and what waits, in a line of what to type; empty where there is nothing yet."""
    found = await app.store.read(
        "SELECT EXISTS (SELECT 1 FROM tasks) AS any, (SELECT count(*) FROM sessions "
        "WHERE state <> 'terminated' AND state IN ('starting', 'running')) AS working, "
        "(SELECT count(*) FROM gates WHERE state = 'open') AS waiting"
    )
    working, waiting = found[0]["working"], found[0]["waiting"]
    if not found[0]["any"]:
        return ()
    said = []
    if working:
        said.append(f"{working} session{' goes' if working == 1 else 's go'} on")
    if waiting:
        said.append(f"{waiting} wait{'s' if waiting == 1 else ''} for you")
    standing = f"{', '.join(said)}: " if said else ""
    return (f"{standing}/status, /inbox      /help lists the rest, Control-C ends.",)


async def _pairing(app: App) -> None:
    """Where nobody may talk to a chat face yet, its first person comes in by a code."""
    for poller in app.pollers:
        platform = poller.platform

        def code(tx: object, name: str = platform) -> str | None:
            if people.has_admin(tx, app.house.people, name):  # type: ignore[arg-type]
                return None
            return people.new_pairing_code(tx)  # type: ignore[arg-type]

        fresh = await app.store.write(code)
        if fresh is not None:
            app.say(
                f"{platform.capitalize()} is on, and nobody may talk to it yet. Send it "
                f"/start {fresh} (one hour, one use): you are its admin then."
            )
