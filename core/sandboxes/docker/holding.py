"""Holds the limits of containers from outside: all of them where no launcher is inside, and the
times where one is, for it may have been starved or stopped by what it watches."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path

from core.ports import Exit
from core.sandboxes import output
from core.sandboxes.attempt import Attempt
from core.sandboxes.docker.containers import Containers
from core.sandboxes.docker.ends import STOP_PATIENCE
from core.sandboxes.docker.logs import Mirror
from core.sandboxes.docker.place import Place

SLACK = 30.0
"""Seconds that a launcher has beside the grace to end an attempt whose time is up."""
_NEAR_CAP = 2 << 20
"""Bytes before the log cap from which on its output may stand still."""


class Holds:
    def __init__(self, containers: Containers, slack: float = SLACK) -> None:
        self._containers, self._slack = containers, slack
        self._watches: dict[Path, _Watch] = {}

    async def keep(self, folder: Path, place: Place, mirror: Mirror | None) -> None:
        """End the container if it is over its limits; bring its output where nobody else does."""
        if mirror is not None:
            await mirror.pull(self._containers.engine(place.engine))
            if reason := mirror.over():
                mirror.because(reason)
                await self._containers.signal(place, "SIGKILL")
            return
        watch = self._watches.setdefault(folder, _Watch(folder, place))
        if reason := watch.over(self._slack):
            await self._containers.signal(place, "SIGKILL")
            await self._containers.dead_within(place, STOP_PATIENCE)
            if Attempt(folder).end() is None:
                now = time.time_ns() // 1_000_000
                Attempt(folder).bury(Exit(signal=9, reason=reason, at=now))

    def forget(self, folder: Path) -> None:
        self._watches.pop(folder, None)


class _Watch:
    """One attempt, from when this process first saw it."""

    def __init__(self, folder: Path, place: Place) -> None:
        self._folder, self._place = folder, place
        self._began = self._heard = time.monotonic()
        self._seen = (0, 0)

    def over(self, slack: float) -> str | None:
        """The limit that it has passed, and its launcher has done nothing about."""
        place, now = self._place, time.monotonic()
        late = place.grace + slack
        if place.wall_time and now - self._began > place.wall_time + late:
            return "wall_time"
        if not place.idle_time:
            return None
        size, changed = _facts(self._folder / output.NAME)
        if (size, changed) != self._seen or _facts(self._folder / "waiting")[0]:
            self._seen, self._heard = (size, changed), now
        # Half a line may be on its way for long, and past the cap nothing is written any more.
        silent = now - self._heard > 2 * place.idle_time + late
        return "idle_time" if silent and size < place.log_cap - _NEAR_CAP else None


def _facts(path: Path) -> tuple[int, int]:
    """Size and time of change of a plain file; nothing of anything else."""
    try:
        facts = os.lstat(path)
    except OSError:
        return 0, 0
    return (facts.st_size, facts.st_mtime_ns) if stat.S_ISREG(facts.st_mode) else (0, 0)
