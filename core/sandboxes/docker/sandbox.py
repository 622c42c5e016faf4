"""The Docker sandbox: one container for each attempt, with the launcher as its main process.

The session's places are bound at the paths that they have outside, so the attempt's folder holds
the same files as on the host. What lives is the engine's word and nobody else's: a container can
write in that folder.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from core.errors import Broken, Unreachable
from core.ports import Exit, Line, Order, Ran, Status
from core.sandboxes import errands, output
from core.sandboxes.attempt import REVOKED, Attempt
from core.sandboxes.docker import building
from core.sandboxes.docker.containers import Containers, alive, fresh
from core.sandboxes.docker.ends import HEARING, buried, end_of, ways
from core.sandboxes.docker.engine import Taken
from core.sandboxes.docker.holding import Holds
from core.sandboxes.docker.logs import Mirror
from core.sandboxes.docker.place import Place, Shut, place_for, place_in, place_of

_LOOK = 0.1
"""Seconds between two looks for an end in the attempt's folder."""
_ASK = 2.0
"""Seconds between two questions to the engine whether a container still runs."""
_BEGIN_PATIENCE = 5.0


class DockerSandbox:
    """`data`: the data folder, by which containers are known as this Bullpen's. `engine`: the
    address where an agent names none. `patience`: seconds that one call may take."""

    name = "docker"
    shares_folder = True

    def __init__(
        self, data: Path | None = None, engine: str | None = None, patience: float = 60.0
    ) -> None:
        self._containers = Containers(data, engine, patience)
        self._holds = Holds(self._containers)
        self._locks: WeakValueDictionary[Path, asyncio.Lock] = WeakValueDictionary()
        self._mirrors: dict[Path, Mirror] = {}

    def missing(self, container: Mapping[str, Any]) -> str | None:
        if not (image := container.get("image")):
            return 'no image is configured for it: write image = "…" in [agents.NAME.container]'
        address = container.get("engine") or self._containers.default
        if not address.startswith("unix://"):
            return f"the engine {address} shares no folder: name it in the agent's container table"
        return self._containers.engine(address).problem(image, bool(container.get("pull")))

    async def start(self, order: Order) -> str:
        async with self._lock(order.folder):
            place = place_in(order.folder)
            if place is None:
                _not_revoked(order.folder)
                place = await self._prepare(order)
            await self._begin(order, place)
        return place.handle

    async def find(self, folder: Path) -> str | None:
        async with self._lock(folder):
            return await self._found(folder)

    async def status(self, folder: Path, handle: str) -> Status:
        return await self._status(folder, place_of(folder, handle), "gone")

    async def ended(self, folder: Path, handle: str) -> None:
        place, attempt = place_of(folder, handle), Attempt(folder)
        engine, mirror = self._containers.engine(place.engine), self._mirror(folder)
        label, pause, asked = f"{building.DATA}={self._containers.mark}", _LOOK, float("-inf")
        while True:
            done = attempt.end() is not None
            if time.monotonic() - asked > (pause if done else _ASK):
                asked, pause = time.monotonic(), min(2 * pause, _ASK)
                there = not done and place.name in await engine.running(label)
                if not there and not await self._containers.runs(place):
                    return
            await self._holds.keep(folder, place, mirror)
            await asyncio.sleep(_LOOK)

    async def read(self, folder: Path, position: int, limit: int) -> Sequence[Line]:
        cap = None
        if mirror := self._mirror(folder):
            await mirror.pull(self._containers.engine(mirror.place.engine))
        elif place := _known(folder):
            cap = place.log_cap
        return await output.reading(Attempt(folder).output, position, limit, cap)

    async def send(self, folder: Path, number: int, data: bytes, last: bool = False) -> None:
        if mirror := self._mirror(folder):
            await mirror.send(self._containers.engine(mirror.place.engine), number, data, last)
            return
        Attempt(folder).send(number, data, last)

    async def note(self, folder: Path, name: str, text: str) -> None:
        Attempt(folder).note(name, text)

    async def stop(self, folder: Path, handle: str, force: bool = False) -> Exit:
        place, mirror = place_of(folder, handle), self._mirror(folder)
        begun = await self._begun(folder, 0.0 if force else _BEGIN_PATIENCE)
        for words, patience in ways(place, force, begun, HEARING):
            if not await self._containers.runs(place):
                break
            if mirror is not None:
                mirror.because("stopped")
            await self._containers.signal(place, words)
            await self._containers.dead_within(place, patience)
        status = await self._status(folder, place, "stopped")
        if status.end is None:
            raise Broken(f"the container {place.name} can't be ended: look with docker ps")
        return status.end

    async def forget(self, folder: Path) -> None:
        Attempt(folder).forget()

    async def run(self, order: Order) -> Ran:
        return await errands.run(self, order)

    # -- start -----------------------------------------------------------------------------

    async def _prepare(self, order: Order) -> Place:
        """Ask what the image can do, and write down what is to start."""
        address = order.container.get("engine") or self._containers.default
        if not order.container.get("image") or not address.startswith("unix://"):
            raise Broken(self.missing(order.container) or "")
        engine = self._containers.engine(address)
        known = await self._containers.image(order, engine)
        place = place_for(order, address, await engine.identity(), known.python)
        order = replace(order, env=building.path_inside(order, known.path))
        Attempt(order.folder).prepare(order)
        place.write(order.folder)
        return place

    async def _begin(self, order: Order, place: Place) -> None:
        """Create and start the container, unless that has been done."""
        engine, attempt = self._containers.engine(place.engine), Attempt(order.folder)
        state = await self._containers.state(place)
        if state is not None and not fresh(state):
            return
        if attempt.end() is not None or attempt.claim() not in (None, REVOKED):
            return  # it has run, and was taken away
        _not_revoked(order.folder)
        known = await self._containers.image(order, engine)
        order = replace(order, env=building.path_inside(order, known.path))
        told = building.container(order, self._containers.mark, known.id, place.launcher)
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
            if mirror := self._mirror(order.folder):
                mirror.never()
            await self._containers.remove(place)
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
        state = await self._containers.state(place)
        if state is not None and not fresh(state):
            return place.handle  # whatever a container has made of its claim
        if state is not None:
            await self._containers.remove(place)
            never = attempt.revoke() or not place.launcher
        return None if never and attempt.end() is None else place.handle

    async def _status(self, folder: Path, place: Place, reason: str) -> Status:
        """As the port says; `reason` is the end's where nobody tells of another."""
        state = await self._containers.state(place)
        if state is None:
            if not await self._containers.engine(place.engine).same(place.engine_id):
                raise Unreachable(
                    f"Another Docker engine answers at {place.engine}: {place.name} is not its own."
                )
            return Status(alive=False, end=buried(Attempt(folder), reason))
        if alive(state):
            return Status(alive=True)
        if fresh(state):
            if reason != "stopped":
                return Status(alive=False)
            Attempt(folder).revoke()
        if reason != "stopped":
            state = await self._containers.with_late_word(place, state)
        if mirror := self._mirror(folder):
            await mirror.finish(self._containers.engine(place.engine))
            end = mirror.end(state["ExitCode"], bool(state.get("OOMKilled")))
        else:
            end = end_of(Attempt(folder), state, reason)
            if end.reason == "not_started" and end.error is None:
                end = replace(end, error=await self._containers.last_words(place))
        Attempt(folder).bury(end)
        await self._containers.remove(place)
        self._mirrors.pop(folder, None)
        self._holds.forget(folder)
        return Status(alive=False, end=end)

    async def _begun(self, folder: Path, patience: float) -> bool:
        """Whether the launcher hears signals, at the latest so many seconds from now."""
        attempt, deadline = Attempt(folder), time.monotonic() + patience
        while attempt.handle() is None and attempt.end() is None:
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(_LOOK / 2)
        return True

    # -- parts -----------------------------------------------------------------------------

    def _mirror(self, folder: Path) -> Mirror | None:
        """What brings the engine's log to the attempt's folder; None where the launcher does."""
        if folder not in self._mirrors:
            place = _known(folder)
            if place is None or place.launcher:
                return None
            return self._mirror_of(folder, place)
        return self._mirrors[folder]

    def _mirror_of(self, folder: Path, place: Place) -> Mirror:
        return self._mirrors.setdefault(folder, Mirror(folder, place))

    def _lock(self, folder: Path) -> asyncio.Lock:
        """Held by one at a time; gone when nobody holds it."""
        return self._locks.setdefault(folder, asyncio.Lock())


def _known(folder: Path) -> Place | None:
    """None also where an agent has shut the folder (only one with a launcher is shown it), or its
    file is spoilt."""
    try:
        return place_in(folder)
    except Shut:
        return None


def _not_revoked(folder: Path) -> None:
    if Attempt(folder).claim() == REVOKED:
        raise Broken(f"the attempt in {folder} was called off before it started")
