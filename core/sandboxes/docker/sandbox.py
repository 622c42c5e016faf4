"""The Docker sandbox: one container for each attempt, with the launcher as its main process.

The session's places are bound at the paths that they have outside, so the attempt's folder holds
the same files as on the host. What lives is the engine's word and nobody else's: a container can
write in that folder.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from core.errors import Broken, Unreachable
from core.ports import Exit, Line, Order, Ran, Status
from core.sandboxes import output
from core.sandboxes.attempt import REVOKED, Attempt
from core.sandboxes.docker import building
from core.sandboxes.docker.engine import Engine, Image, NotThere, Taken, default_address
from core.sandboxes.docker.logs import Mirror
from core.sandboxes.docker.place import Place, name_of, place_in, place_of
from core.sandboxes.host import RUN_TAIL

THREADS = 16
_LARGE = 256 << 10
_LOOK = 0.1
"""Seconds between two looks for an end in the attempt's folder."""
_ASK = 2.0
"""Seconds between two questions to the engine whether a container still runs."""
_STOP_PATIENCE = 30.0
_BEGIN_PATIENCE = 5.0
_NEVER = "0001-01-01T00:00:00Z"


class DockerSandbox:
    """`data`: the data folder, by which containers are known as this Bullpen's. `engine`: the
    address where an agent names none. `patience`: seconds that one call to an engine may take."""

    name = "docker"
    shares_folder = True

    def __init__(
        self, data: Path | None = None, engine: str | None = None, patience: float = 60.0
    ) -> None:
        self._mark = building.data_mark(data)
        self._default = engine or default_address()
        self._patience = patience
        self._engines: dict[str, Engine] = {}
        self._pool: ThreadPoolExecutor | None = None
        self._alone: WeakValueDictionary[Path, asyncio.Lock] = WeakValueDictionary()
        self._mirrors: dict[Path, Mirror] = {}

    def missing(self, container: Mapping[str, Any]) -> str | None:
        image = container.get("image")
        if not image:
            return 'no image is configured for it: write image = "…" in [agents.NAME.container]'
        address = container.get("engine") or self._default
        if not address.startswith("unix://"):
            return f"the engine {address} shares no folder with Bullpen: name one as unix:///…"
        return self._engine(address).problem(image, bool(container.get("pull")))

    async def start(self, order: Order) -> str:
        async with self._one_at_a_time(order.folder):
            place = place_in(order.folder)
            if place is None:
                _not_revoked(order.folder)
                place = await self._prepare(order)
            await self._begin(order, place)
        return place.handle

    async def find(self, folder: Path) -> str | None:
        async with self._one_at_a_time(folder):
            return await self._found(folder)

    async def status(self, folder: Path, handle: str) -> Status:
        return await self._status(folder, place_of(folder, handle), "gone")

    async def ended(self, folder: Path, handle: str) -> None:
        place, attempt = place_of(folder, handle), Attempt(folder)
        engine, mirror = self._engine(place.engine), self._mirror(folder)
        label, pause, asked = f"{building.DATA}={self._mark}", _LOOK, float("-inf")
        while True:
            done = attempt.end() is not None
            if time.monotonic() - asked > (pause if done else _ASK):
                asked, pause = time.monotonic(), min(2 * pause, _ASK)
                there = not done and place.name in await engine.running(label)
                if not there and not await self._runs(place):
                    return
            if mirror is not None:
                await self._watch(mirror)
            await asyncio.sleep(_LOOK)

    async def read(self, folder: Path, position: int, limit: int) -> Sequence[Line]:
        path = Attempt(folder).output
        if mirror := self._mirror(folder):
            await mirror.pull(self._engine(mirror.place.engine))
        try:
            if limit > _LARGE and path.exists() and path.lstat().st_size - position > _LARGE:
                return await asyncio.to_thread(output.read, path, position, limit)
            return output.read(path, position, limit)
        except OSError as error:
            raise Broken(f"{path} can't be read: {error.strerror}") from error

    async def send(self, folder: Path, number: int, data: bytes, last: bool = False) -> None:
        if mirror := self._mirror(folder):
            await mirror.send(self._engine(mirror.place.engine), number, data, last)
            return
        attempt = Attempt(folder)
        try:
            attempt.send(number, data, last)
        except OSError as error:
            raise Broken(f"can't give input to {folder}: {error.strerror}") from error
        attempt.wake()

    async def note(self, folder: Path, name: str, text: str) -> None:
        attempt = Attempt(folder)
        try:
            attempt.note(name, text)
        except OSError as error:
            raise Broken(f"can't tell {folder} its {name}: {error.strerror}") from error
        attempt.wake()

    async def stop(self, folder: Path, handle: str, force: bool = False) -> Exit:
        place, mirror = place_of(folder, handle), self._mirror(folder)
        begun = await self._begun(folder, 0.0 if force else _BEGIN_PATIENCE)
        for words, patience in _ways(place, force, begun):
            if not await self._runs(place):
                break
            if mirror is not None:
                mirror.because("stopped")
            await self._signal(place, words)
            await self._dead_within(place, patience)
        status = await self._status(folder, place, "stopped")
        if status.end is None:
            raise Broken(f"the container {place.name} can't be ended: look with docker ps")
        return status.end

    async def run(self, order: Order) -> Ran:
        starting = asyncio.create_task(self.start(order))
        try:
            handle = await asyncio.shield(starting)
            await self.ended(order.folder, handle)
        except asyncio.CancelledError:
            with contextlib.suppress(Broken):
                await self.stop(order.folder, await starting, force=True)
            raise
        end = (await self.status(order.folder, handle)).end
        if end is None:
            raise Broken(f"the command in {order.folder} has not ended")
        lines = await asyncio.to_thread(output.tail, Attempt(order.folder).output, RUN_TAIL)
        return Ran(end, "".join(line.text + "\n" for line in lines))

    # -- start -----------------------------------------------------------------------------

    async def _prepare(self, order: Order) -> Place:
        """Ask what the image can do, and write down what is to start."""
        table = order.container
        image, address = table.get("image"), table.get("engine") or self._default
        if not image:
            raise Broken(self.missing(table) or "no image is configured")
        engine = self._engine(address)
        known = await self._image(order, engine)
        place = Place(
            name=name_of(order),
            engine=address,
            engine_id=await engine.identity(),
            launcher=known.python,
            grace=order.grace,
            log_cap=order.log_cap,
            output_limit=order.output_limit,
            wall_time=order.wall_time,
            idle_time=order.idle_time,
        )
        order = replace(order, env=building.path_inside(order, known.path))
        Attempt(order.folder).prepare(order)
        try:
            place.write(order.folder)
        except OSError as error:
            raise Broken(f"can't prepare {order.folder}: {error.strerror}") from error
        return place

    async def _image(self, order: Order, engine: Engine) -> Image:
        table = order.container
        python = table.get("python") or "python3"
        return await engine.image(
            table["image"], python, bool(table.get("pull")), building.probe(self._mark)
        )

    async def _begin(self, order: Order, place: Place) -> None:
        """Create and start the container, unless that has been done."""
        engine, attempt = self._engine(place.engine), Attempt(order.folder)
        state = await self._state(place)
        if state is not None and not _fresh(state):
            return
        if attempt.end() is not None or attempt.claim() not in (None, REVOKED):
            return  # it has run, and was taken away
        _not_revoked(order.folder)
        known = await self._image(order, engine)
        order = replace(order, env=building.path_inside(order, known.path))
        told = building.container(order, self._mark, known.id, place.launcher)
        try:
            with contextlib.suppress(Taken):
                await engine.call(
                    lambda client: client.create_container_from_config(told, place.name)
                )
            if not place.launcher:
                await self._mirror_of(order.folder, place).begin(engine, order)
            await engine.call(lambda client: client.start(place.name))
        except Unreachable:
            raise
        except Broken as error:
            attempt.revoke()
            await self._remove(place)
            raise Broken(str(error)) from error

    # -- what became of it -------------------------------------------------------------------

    async def _found(self, folder: Path) -> str | None:
        attempt = Attempt(folder)
        if not folder.exists():
            return None
        place = place_in(folder)
        try:
            never = attempt.revoke()
        except OSError as error:
            raise Broken(f"can't look into {folder}: {error.strerror}") from error
        if place is None:
            return None
        state = await self._state(place)
        if state is not None and not _fresh(state):
            return place.handle  # whatever a container has made of its claim
        if state is not None:
            await self._remove(place)
            never = attempt.revoke() or not place.launcher
        return None if never and attempt.end() is None else place.handle

    async def _status(self, folder: Path, place: Place, reason: str) -> Status:
        """As the port says; `reason` is the end's where nobody tells of another."""
        state = await self._state(place)
        if state is None:
            if not await self._engine(place.engine).same(place.engine_id):
                raise Unreachable(
                    f"Another Docker engine answers at {place.engine}: {place.name} is not its own."
                )
            return Status(alive=False, end=_buried(Attempt(folder), reason))
        if _alive(state):
            return Status(alive=True)
        if _fresh(state):
            if reason != "stopped":
                return Status(alive=False)
            Attempt(folder).revoke()
        if mirror := self._mirror(folder):
            await mirror.finish(self._engine(place.engine))
            end = mirror.end(state["ExitCode"], bool(state.get("OOMKilled")))
        else:
            end = _end(Attempt(folder), state, reason)
            if end.reason == "not_started":
                end = replace(end, error=await self._last_words(place))
        Attempt(folder).bury(end)
        await self._remove(place)
        self._mirrors.pop(folder, None)
        return Status(alive=False, end=end)

    async def _watch(self, mirror: Mirror) -> None:
        """What the launcher does where it is: take the output, hold the limits."""
        await mirror.pull(self._engine(mirror.place.engine))
        if reason := mirror.over():
            mirror.because(reason)
            await self._signal(mirror.place, "SIGKILL")

    async def _state(self, place: Place) -> dict[str, Any] | None:
        """The engine's word about a container; None: it has none of that name."""
        engine = self._engine(place.engine)
        try:
            facts = await engine.call(lambda client: client.inspect_container(place.name))
        except NotThere:
            return None
        return dict(facts["State"])

    async def _runs(self, place: Place) -> bool:
        state = await self._state(place)
        return state is not None and _alive(state)

    async def _signal(self, place: Place, name: str) -> None:
        engine = self._engine(place.engine)
        with contextlib.suppress(NotThere, Taken):  # it has ended just now
            state = await self._state(place)
            if state is not None and state.get("Paused"):
                await engine.call(lambda client: client.unpause(place.name))
            await engine.call(lambda client: client.kill(place.name, name))

    async def _begun(self, folder: Path, patience: float) -> bool:
        """Whether the launcher hears signals, at the latest so many seconds from now."""
        attempt, deadline = Attempt(folder), time.monotonic() + patience
        while attempt.handle() is None and attempt.end() is None:
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(_LOOK / 2)
        return True

    async def _dead_within(self, place: Place, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while await self._runs(place) and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(_LOOK / 2)

    async def _last_words(self, place: Place) -> str:
        """Why the launcher did not start, as far as it has said."""
        said = await self._engine(place.engine).call(lambda client: client.logs(place.name, tail=1))
        words = output.clean(said.decode("utf-8", "replace").strip().replace("\n", " "))
        return f"the launcher did not start in the container: {words[:300] or 'it left no word'}"

    async def _remove(self, place: Place) -> None:
        engine = self._engine(place.engine)
        with contextlib.suppress(NotThere, Taken):
            await engine.call(partial(_removed, name=place.name))

    # -- parts -----------------------------------------------------------------------------

    def _engine(self, address: str) -> Engine:
        if address not in self._engines:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(THREADS, "docker")
            self._engines[address] = Engine(address, self._pool, self._patience)
        return self._engines[address]

    def _mirror(self, folder: Path) -> Mirror | None:
        """What brings the engine's log to the attempt's folder; None where the launcher does."""
        if folder not in self._mirrors:
            place = place_in(folder)
            if place is None or place.launcher:
                return None
            return self._mirror_of(folder, place)
        return self._mirrors[folder]

    def _mirror_of(self, folder: Path, place: Place) -> Mirror:
        return self._mirrors.setdefault(folder, Mirror(folder, place))

    @contextlib.asynccontextmanager
    async def _one_at_a_time(self, folder: Path) -> AsyncIterator[None]:
        lock = self._alone.setdefault(folder, asyncio.Lock())
        async with lock:
            yield


def _not_revoked(folder: Path) -> None:
    if Attempt(folder).claim() == REVOKED:
        raise Broken(f"the attempt in {folder} was called off before it started")


def _removed(client: Any, name: str) -> None:
    client.remove_container(name, force=True, v=True)


def _ways(place: Place, force: bool, begun: bool) -> Sequence[tuple[str, float]]:
    """The signals that end it, and how long each one has. The launcher kills the rest itself,
    once it has begun: before, the kernel keeps signals from a container's first process."""
    last = ("SIGKILL", _STOP_PATIENCE)
    if place.launcher and not begun:
        return (last,)
    if not place.launcher:
        return (last,) if force else (("SIGTERM", place.grace), last)
    asked = ("SIGUSR1", _STOP_PATIENCE)
    return (asked, last) if force else (("SIGTERM", place.grace + _STOP_PATIENCE), asked, last)


def _alive(state: Mapping[str, Any]) -> bool:
    return bool(state.get("Running") or state.get("Paused") or state.get("Restarting"))


def _fresh(state: Mapping[str, Any]) -> bool:
    """Whether it was never started."""
    return state.get("StartedAt") in (_NEVER, "", None)


def _end(attempt: Attempt, state: Mapping[str, Any], reason: str) -> Exit:
    """How a dead container ended: the launcher's word, or what the engine saw."""
    end, starved = attempt.end(), bool(state.get("OOMKilled"))
    if end is None and state.get("ExitCode") != 137 and attempt.handle() is None:
        return Exit(reason="not_started", at=_now())
    if end is None:
        killed = Exit(signal=9, reason="memory" if starved else reason, at=_now())
        return replace(killed, error=state.get("Error") or None)
    if starved and end.reason is None and (end.signal == 9 or end.status == 137):
        return replace(end, reason="memory")
    return end


def _buried(attempt: Attempt, reason: str) -> Exit:
    """The end of one whose container is gone."""
    end = attempt.end()
    if end is None:
        end = Exit(reason=reason, at=_now())
        attempt.bury(end)
    return end


def _now() -> int:
    return time.time_ns() // 1_000_000
