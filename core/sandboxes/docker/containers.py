"""The containers of attempts: what the engine says of them, and what is asked of it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from core.errors import Broken
from core.ports import Order
from core.sandboxes import output
from core.sandboxes.attempt import REVOKED, Attempt
from core.sandboxes.docker import building, identity
from core.sandboxes.docker.ends import end_of
from core.sandboxes.docker.engine import Engine, Image, NotThere, Taken, default_address
from core.sandboxes.docker.place import Place
from core.sandboxes.docker.threads import Threads

THREADS = 16
_LOOK, _LATE = 0.05, 20
"""Seconds between two looks; and how many of them a killed one's memory has to be told of."""
_NEVER = "0001-01-01T00:00:00Z"


class Containers:
    """`mark`: the label by which a data folder knows its own. `default`: the engine's address
    where an agent names none; `patience`: seconds that one call may take."""

    def __init__(
        self, data: Path | None, default: str | None, patience: float, ssh: str = "ssh"
    ) -> None:
        self._data, self._mark = data, ""
        self.default = default or default_address()
        self.patience, self._ssh = patience, ssh
        self._engines: dict[str, Engine] = {}
        self._swept: dict[str, asyncio.Lock | None] = {}
        self._pool: Threads | None = None

    @property
    def mark(self) -> str:
        """Raises Broken."""
        self._mark = self._mark or identity.mark(self._data)
        return self._mark

    async def image(self, order: Order, engine: Engine) -> Image:
        await self.sweep(engine, starts=True)
        table = order.container
        python = table.get("python") or "python3"
        return await engine.image(
            table["image"], python, bool(table.get("pull")), building.probe(self.mark)
        )

    async def state(self, place: Place) -> dict[str, Any] | None:
        """The engine's word about a container; None: it has none of that name."""
        engine = self.engine(place.engine)
        await self.sweep(engine)
        return await self._state(engine, place.name)

    async def with_late_word(self, place: Place, state: dict[str, Any]) -> dict[str, Any]:
        """The state of one that is dead: that memory was why, an engine may hear a moment later."""
        for _ in range(_LATE):
            if state.get("ExitCode") != 137 or state.get("OOMKilled"):
                break
            await asyncio.sleep(_LOOK)
            state = await self.state(place) or state
        return state

    async def runs(self, place: Place) -> bool:
        state = await self.state(place)
        return state is not None and alive(state)

    async def holds(self, place: Place, path: str) -> bool:
        """Whether there is something at that path in there."""

        def look(client: Any) -> bool:
            url = f"{client.base_url}/v{client.api_version}/containers/{place.name}/archive"
            answer = client.head(url, params={"path": path}, timeout=client.timeout)
            return bool(answer.status_code == 200)

        return await self.engine(place.engine).call(look)

    async def signal(self, place: Place, name: str) -> None:
        engine = self.engine(place.engine)
        with contextlib.suppress(NotThere, Taken):  # it has ended just now
            state = await self.state(place)
            if state is not None and state.get("Paused"):
                await engine.call(lambda client: client.unpause(place.name))
            await engine.call(lambda client: client.kill(place.name, name))

    async def dead_within(self, place: Place, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while await self.runs(place) and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(_LOOK)

    async def last_words(self, place: Place) -> str:
        """Why the launcher did not start, as far as it has said."""
        said = await self.engine(place.engine).call(lambda client: client.logs(place.name, tail=1))
        words = output.clean(said.decode("utf-8", "replace").strip().replace("\n", " "))
        return f"the launcher did not start in the container: {words[:300] or 'it left no word'}"

    async def remove(self, place: Place) -> None:
        await self._take_away(self.engine(place.engine), place.name)

    async def sweep(self, engine: Engine, starts: bool = False) -> None:
        """At the first use of an engine: what a killed bot has left there. Raises Unreachable; a
        refusal is Broken where something is to be started."""
        lock = self._swept.setdefault(engine.address, asyncio.Lock())
        if lock is None:
            return
        async with lock:
            if self._swept[engine.address] is None:
                return
            words = {"label": f"{building.DATA}={self.mark}"}
            look = engine.call if starts else engine.ask
            found = await look(lambda client: client.containers(all=True, filters=words))
            for one in found:
                name, labels = one["Names"][0].lstrip("/"), one.get("Labels") or {}
                if await self._is_left(engine, name, one["State"], labels):
                    await self._take_away(engine, name)
            self._swept[engine.address] = None

    async def _is_left(
        self, engine: Engine, name: str, state: str, labels: Mapping[str, str]
    ) -> bool:
        """Whether nobody wants it any more: another process's probe, or one that does not run
        and whose attempt has ended, or is gone."""
        if building.PROBE in labels:
            return labels[building.PROBE] != building.OURSELVES
        if building.FOLDER not in labels or state not in ("created", "exited", "dead"):
            return False
        attempt = Attempt(Path(labels[building.FOLDER]))
        if not attempt.folder.exists() or (state == "created" and attempt.claim() == REVOKED):
            return True
        if attempt.end() is None:
            return False
        facts = await self._state(engine, name)
        if facts is not None:  # what the engine knows of its end goes with it
            attempt.bury(end_of(attempt, facts, "gone"))
        return True

    async def _state(self, engine: Engine, name: str) -> dict[str, Any] | None:
        try:
            facts = await engine.ask(lambda client: client.inspect_container(name))
        except NotThere:
            return None
        return dict(facts["State"])

    async def _take_away(self, engine: Engine, name: str) -> None:
        with contextlib.suppress(NotThere, Taken):
            await engine.call(partial(_taken_away, name=name))

    def engine(self, address: str) -> Engine:
        if address not in self._engines:
            if self._pool is None:
                self._pool = Threads(THREADS, "docker")
            try:
                made = Engine(address, self._pool, self.patience, self._ssh)
            except ValueError as error:
                raise Broken(str(error)) from error
            self._engines[address] = made
        return self._engines[address]


def alive(state: Mapping[str, Any]) -> bool:
    return bool(state.get("Running") or state.get("Paused") or state.get("Restarting"))


def fresh(state: Mapping[str, Any]) -> bool:
    """Whether it was never started."""
    return state.get("StartedAt") in (_NEVER, "", None)


def _taken_away(client: Any, name: str) -> None:
    client.remove_container(name, force=True, v=True)
