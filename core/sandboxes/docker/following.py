"""Follows one attempt on another machine until it has ended there and all of it is home."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from core.errors import Broken, Unreachable
from core.ports import Exit
from core.sandboxes import follower
from core.sandboxes.afar import WRAP_UP
from core.sandboxes.docker.containers import Containers, alive, fresh
from core.sandboxes.docker.ends import ways
from core.sandboxes.docker.engine import Engine, NotThere
from core.sandboxes.docker.place import Place
from core.sandboxes.docker.stream import Stream, in_thread
from core.sandboxes.follower import FIRST_PAUSE, LONGEST_PAUSE, WITHOUT_FOLDER, meanwhile
from core.sandboxes.mirror import Gap, Mirror
from core.sandboxes.output import clean

SLACK = 900.0
"""Seconds beside the wall time, for the code and the way home: then nothing is waited for."""
STOPPING, IDLE, OVERDUE = "stopping", "idle", "overdue"
_WHY = {STOPPING: "stopped", IDLE: "idle_time", OVERDUE: "wall_time"}
TAKEN = 75


class Follower(follower.Follower):
    def __init__(self, containers: Containers, folder: Path, place: Place) -> None:
        super().__init__(folder)
        self._containers, self._place = containers, place
        self._errors, self._began = b"", time.monotonic()

    async def end(self, force: bool, begun: bool) -> None:
        """Have it ended over there: its work is brought home, unless it has none yet."""
        for signal, patience in ways(self._place, force, begun):
            if self.done.is_set() or not await self._containers.runs(self._place):
                return
            await self._containers.signal(self._place, signal)
            more = 0.0 if signal == "SIGKILL" else WRAP_UP
            await self._containers.dead_within(self._place, patience + more)

    async def _follow(self) -> Exit:
        while (end := await self._turn()) is None:
            await self._rest(2.0, WITHOUT_FOLDER if self._afar.lost() else LONGEST_PAUSE)
        return end

    async def _turn(self) -> Exit | None:
        """Its end, once all is home."""
        if (end := self._afar.attempt.end()) is None:
            state = await self._state()
            self.trouble = None
            if state is not None and fresh(state):
                return None
            if self._deaf:
                await self.end(force=False, begun=True)
                state = await self._state()
            elif not self._afar.lost():
                state = await self._heeded(self._heard(state))
            if state is not None and alive(state):
                return None
            end = await self._settled(self._ending(state))
        await self._containers.remove(self._place)
        return end

    async def _heard(self, state: dict[str, Any] | None) -> dict[str, Any] | None:
        """What the engine says of it once its log is taken in, as far as it goes."""
        lives = state is not None and alive(state)
        with self._afar.mirror() as mirror:
            if state is not None and (mirror.end is None or lives):
                await self._listen(mirror, lives)
            state = await self._state()
            ended = state is not None and not alive(state)
            if ended and mirror.end is None and lives:
                # An engine may end a followed log before it has told all of it.
                await self._listen(mirror, False)
        return state

    async def _state(self) -> dict[str, Any] | None:
        """None is proof that it is gone. Raises Unreachable."""
        state = await self._containers.state(self._place)
        if state is None and not await self._engine.same(self._place.engine_id):
            raise Unreachable(
                f"Another Docker engine answers at {self._place.engine}: {self._place.name} is "
                "not its own."
            )
        return state

    @property
    def _engine(self) -> Engine:
        return self._containers.engine(self._place.engine)

    # -- what it says ----------------------------------------------------------------------

    async def _listen(self, mirror: Mirror, lives: bool) -> None:
        """Its log from where we are, as long as it lasts; from its beginning where that is not
        enough: also where it has ended and its end is missing, since an agent may have dated ahead
        what was heard last."""
        since = max(0, mirror.last_at // 1000 - 1)
        limited = lives and (self._place.idle_time or self._place.wall_time)
        async with meanwhile(self._watch(mirror)) if limited else contextlib.nullcontext():
            try:
                await self._feed(mirror, since, lives)
                enough = since == 0 or lives or mirror.end is not None
            except Gap:
                enough = False
            if not enough:
                await self._feed(mirror, 0, lives)

    async def _feed(self, mirror: Mirror, since: int, follow: bool) -> None:
        way = self._engine.way
        if way is None:
            raise Broken(f"{self._place.engine} is no engine on another machine")
        version = await self._engine.call(lambda client: str(client.api_version))
        stream = Stream(way, version, self._place.name, since, follow)
        mirror.begin()
        with contextlib.suppress(NotThere):  # taken away meanwhile
            await in_thread(partial(self._take, stream, mirror, since == 0), stream.close)
        self._errors = stream.errors or self._errors

    def _take(self, stream: Stream, mirror: Mirror, from_start: bool) -> None:
        for chunk in stream.chunks(self._containers.patience):
            self._pause = FIRST_PAUSE
            mirror.feed(chunk, from_start)

    # -- how long it may ---------------------------------------------------------------------

    async def _watch(self, mirror: Mirror) -> None:
        """See to it that neither its silence nor all of it lasts too long."""
        idle = self._place.idle_time or float("inf")
        self._silence.listen(idle)
        while True:
            await asyncio.sleep(min(1.0, idle / 4))
            silent = self._silence.seconds(mirror) > idle
            if silent or self._overdue():
                self.because(IDLE if silent else OVERDUE)
                await self.end(force=False, begun=True)

    def _overdue(self) -> bool:
        """The launcher holds the wall time; this is for what hangs around it, as long as we know
        of it: a clock that is set ends nothing."""
        wall = self._place.wall_time
        more = self._place.grace + WRAP_UP + SLACK
        return wall is not None and time.monotonic() - self._began > wall + more

    # -- how it ended ------------------------------------------------------------------------

    def _ending(self, state: Mapping[str, Any] | None) -> Exit:
        """As far as the engine knows: what the carrier has told goes before that."""
        for name, reason in _WHY.items():
            if self.reason(name) is not None:
                return Exit(signal=9, reason=reason)
        if state is None:
            return Exit(reason="gone", error="its container was taken away")
        code = state.get("ExitCode")
        if state.get("OOMKilled"):
            return Exit(signal=9, reason="memory")
        if code == TAKEN:
            return Exit(reason="gone", error="another place has its attempt")
        if code == 137:
            return Exit(signal=9, reason="gone")
        said = self._errors.decode("utf-8", "replace").strip().splitlines()[-1:]
        words = clean(str(state.get("Error") or "".join(said)))[:300]
        return Exit(reason="gone", error=f"the carrier ended with status {code}: {words}")
