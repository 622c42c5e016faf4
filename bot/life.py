"""A composed bot's life: its parts run, its input is read, and it leaves quickly."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TextIO

from bot import logs, terminal
from bot.idle import until_idle
from bot.outbox import Outbox
from bot.pages import Pages
from bot.reception import Reception
from core.errors import Broken, BullpenError
from core.house import House
from core.orchestrator import Orchestrator
from core.store import people
from core.store.database import Row, Store

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
        await _leave(app)


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
            log.exception("part broke, starting it again", part=name, error=repr(error)[:300])
            await asyncio.sleep(pause)
            pause = min(60.0, pause * 2)


async def _until(app: App, stop: asyncio.Event) -> None:
    """Until a signal; or, with --until-idle, until the input has ended and nothing is left."""
    stopped = asyncio.create_task(stop.wait())
    reasons: set[asyncio.Task[bool] | asyncio.Task[None]] = {stopped}
    feeding = asyncio.create_task(_feed(app))
    if app.options.until_idle:
        reasons.add(feeding)
    await asyncio.wait(reasons, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if feeding.done():
        feeding.result()
    feeding.cancel()


async def _feed(app: App) -> None:
    """Typed or piped commands into the intake, under keys that no other start will use."""
    if not app.options.console:
        return
    start = os.urandom(6).hex()
    number = 0

    async def keep(line: str) -> None:
        nonlocal number
        number += 1
        await app.reception.keep(
            "console", "terminal", [(f"{start}-{number}", terminal.payload(line))]
        )

    async def idle() -> None:
        await until_idle(app.store, app.orchestrator, app.reception, app.outbox)

    await terminal.feed(
        terminal.Lines(app.options.input), keep, idle if app.options.until_idle else None
    )


async def _result(app: App) -> int:
    """1 when a task has failed, for scripts; otherwise 0."""
    if not app.options.until_idle:
        return 0
    failed = await app.store.read("SELECT n FROM state_counts WHERE state = 'failed'")
    return 1 if failed[0]["n"] else 0


# -- beginning and end -----------------------------------------------------------------------


async def _hello(app: App, address: str) -> None:
    log.info("up", address=address)
    await _pairing(app)
    if app.options.until_idle:
        return
    repo = next(iter(app.house.repos.values()))
    app.say(
        f"Bullpen is up. Repository: {repo.name} ({repo.source})",
        f"Dashboard: {app.server.link()}",
        f"           (that link works once; as plain files: {app.house.data / 'site'})",
        'Type first:  /add "Add a greeting" --run "sh -c \'echo hello > greeting.txt\'"',
        "then:        /approve 1      /help lists the rest, Control-C ends.",
    )


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


async def _leave(app: App) -> None:
    """Quickly; agents go on under their launchers unless they are to be stopped."""
    for task in app.tasks:
        task.cancel()
    if app.tasks:
        await asyncio.wait(app.tasks, timeout=1.5)
    running = await app.store.read(
        "SELECT sessions.sandbox, attempts.session_id, attempts.number, attempts.handle "
        "FROM attempts JOIN sessions ON sessions.id = session_id "
        "WHERE attempts.state = 'running'"
    )
    if running and app.options.stop_agents:
        await asyncio.gather(*(_stop(app, row) for row in running))
        app.say(f"{_agents(len(running))} stopped.")
    elif running:
        app.say(
            f"{_agents(len(running))} left running; `bullpen up` takes over again. "
            "(--stop-agents ends them.)"
        )
    with contextlib.suppress(BullpenError, TimeoutError):
        await asyncio.wait_for(app.pages.close(), 1.0)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(app.server.close(), 0.5)


def _agents(number: int) -> str:
    return f"{number} agent{'' if number == 1 else 's'}"


async def _stop(app: App, row: Row) -> None:
    """End an agent's process at once; the next start sees how it ended."""
    folder = app.house.attempt_folder(row["session_id"], row["number"])
    with contextlib.suppress(Broken):
        await app.house.sandboxes[row["sandbox"]].stop(folder, row["handle"], force=True)
