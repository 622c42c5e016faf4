"""The Docker sandbox for an engine on another machine, which shares no folder: code by git,
output by the container's log.

At most once: the container's name comes from the attempt's folder, so a second one is refused by
the engine; and where two start all the same, the attempt's lease lets one work.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from core.errors import Broken, Unreachable
from core.ports import Exit, Order, Status
from core.sandboxes import carried
from core.sandboxes.afar import Afar
from core.sandboxes.attempt import REVOKED, Attempt
from core.sandboxes.docker import building, loading
from core.sandboxes.docker.containers import Containers, alive, fresh
from core.sandboxes.docker.engine import FAR, Taken
from core.sandboxes.docker.following import STOPPING, Follower
from core.sandboxes.docker.place import Place, place_for, place_in, place_of
from core.sandboxes.elsewhere import Elsewhere

_BEGIN_PATIENCE = 5.0


class DockerRemoteSandbox(Elsewhere[Place, Follower]):
    """`agents_url` tells the address at which containers elsewhere reach Bullpen, once it is
    known. `data`: the data folder, by which containers are known as this Bullpen's. `ssh`: the
    program. `patience`: seconds that one call to an engine may take."""

    name = "docker-remote"

    def __init__(
        self,
        agents_url: Callable[[], str | None],
        data: Path | None = None,
        ssh: str = "ssh",
        patience: float = 60.0,
    ) -> None:
        super().__init__()
        self._agents_url, self._ssh = agents_url, ssh
        self._containers = Containers(data, FAR, patience, ssh)

    def missing(self, container: Mapping[str, Any]) -> str | None:
        image, address = container.get("image"), str(container.get("engine") or "")
        if not image:
            return 'no image is configured for it: write image = "…" in [agents.NAME.container]'
        if not address.startswith(FAR):
            return 'no engine on another machine is configured for it: write engine = "ssh://…"'
        if shutil.which(self._ssh) is None:
            return "ssh is not installed, by which the engine is reached: install openssh-client"
        if not self._agents_url():
            return "api.agents_url is not set: the address at which containers reach Bullpen"
        try:
            engine = self._containers.engine(address)
        except Broken as error:
            return str(error)
        return engine.problem(image, bool(container.get("pull")))

    async def _status(self, folder: Path, place: Place) -> Status:
        if (over := await self._over(folder)) is not None:
            return over
        state = await self._containers.state(place)
        self._answers(folder)
        if state is not None and (alive(state) or fresh(state)):
            return Status(alive=alive(state))
        return await self._home(self._follower(folder, place))

    async def stop(self, folder: Path, handle: str, force: bool = False) -> Exit:
        place = place_of(folder, handle)
        status = await self._status(folder, place)
        if status.end is not None:
            return status.end
        if not status.alive:
            return await self._never(folder, place)
        follower = self._follower(folder, place)
        follower.because(STOPPING)
        await follower.end(force, await self._laid_out(folder, place, force))
        what = f"the container {place.name}"
        return await self._stopped(follower, 0.0, what, "look with docker ps")

    async def forget(self, folder: Path) -> None:
        (folder / "freight").unlink(missing_ok=True)
        Attempt(folder).forget()

    # -- starting --------------------------------------------------------------------------

    async def _begun(self, order: Order) -> Place:
        attempt = Attempt(order.folder)
        if attempt.claim() == REVOKED:
            raise Broken(f"the attempt in {order.folder} was called off before it started")
        place = place_in(order.folder) or await self._prepared(order)
        if attempt.end() is not None:
            return place
        state = await self._containers.state(place)
        if state is not None and not fresh(state):
            return place
        if not attempt.take(self.name):
            raise Broken(f"the attempt in {order.folder} was called off before it started")
        try:
            await self._create(order, place)
        except Unreachable:
            raise  # it may be there: `find` will tell
        except Broken:
            attempt.call_off()
            await self._containers.remove(place)
            raise
        return place

    async def _prepared(self, order: Order) -> Place:
        """Ask what the image can do, and write down what is to start."""
        address, image = str(order.container.get("engine") or ""), order.container.get("image")
        if not address.startswith(FAR) or not image:
            raise Broken(self.missing(order.container) or "no engine is configured")
        if order.network == "off":
            raise Broken(
                "a container elsewhere finds no way back without a network: say "
                'network = "on", or name one that leads to Bullpen and nowhere else'
            )
        engine = self._containers.engine(address)
        if not (await self._containers.image(order, engine)).python:
            raise Broken(f"the image {image} has no Python 3.9, by which an attempt is carried")
        place = place_for(order, address, await engine.identity(), launcher=True)
        await Afar(order.folder).load(order)
        place.write(order.folder)
        return place

    async def _create(self, order: Order, place: Place) -> None:
        engine = self._containers.engine(place.engine)
        image = (await self._containers.image(order, engine)).id
        shown = await asyncio.to_thread(carried.shown, order)
        tops = loading.tops(order, shown)
        told = building.far_container(order, self._containers.mark, image, place.name, tops)
        with contextlib.suppress(Taken):
            await engine.call(lambda client: client.create_container_from_config(told, place.name))
        await engine.call(partial(loading.load, name=place.name, order=order, shown=shown))
        await engine.call(lambda client: client.start(place.name))

    async def _found(self, folder: Path) -> Place | None:
        attempt, place = Attempt(folder), place_in(folder)
        if attempt.revoke() or place is None:
            return None
        state = await self._containers.state(place)
        if attempt.end() is not None or (state is not None and not fresh(state)):
            return place
        if state is not None:
            await self._containers.remove(place)
        elif not await self._containers.engine(place.engine).same(place.engine_id):
            raise Unreachable(f"Another Docker engine answers at {place.engine}.")
        attempt.call_off()  # one that was still on its way would find its lease refused
        return None

    async def _never(self, folder: Path, place: Place) -> Exit:
        """It was made and never started."""
        with contextlib.suppress(FileNotFoundError):  # its folder was deleted: nobody starts it
            Attempt(folder).call_off()
        await self._containers.remove(place)
        return await Afar(folder).settle(Exit(reason="stopped"))

    # -- parts -----------------------------------------------------------------------------

    async def _laid_out(self, folder: Path, place: Place, force: bool) -> bool:
        """Whether the carrier hears signals, and has something that could be lost: of one without
        its folder here nothing comes home."""
        if Afar(folder).lost():
            return False
        loop = asyncio.get_running_loop()
        deadline = loop.time() + (0.0 if force else _BEGIN_PATIENCE)
        while not await self._containers.holds(place, str(folder.absolute() / "order.json")):
            if loop.time() > deadline or not await self._containers.runs(place):
                return False
            await asyncio.sleep(0.1)
        return True

    def _place(self, folder: Path, handle: str) -> Place:
        return place_of(folder, handle)

    def _followed(self, folder: Path, place: Place) -> Follower:
        return Follower(self._containers, folder, place)
