"""Follows one attempt in the cluster until it has ended there and all of it is home."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from core.errors import Broken, Unreachable
from core.ports import Exit
from core.sandboxes import follower
from core.sandboxes.follower import FIRST_PAUSE, WITHOUT_FOLDER, meanwhile
from core.sandboxes.kubernetes import pods as words
from core.sandboxes.kubernetes.api import Api, Cluster, Forbidden, Json, NotFound
from core.sandboxes.kubernetes.identity import same
from core.sandboxes.mirror import Gap, Mirror

PATIENCE = 600.0
"""Seconds for which a pod may find no node or no image before it is given up."""
MAKING = 2.0
"""Seconds after which a Job that is deleted and has no pod gets none any more."""
STOPPING, GIVEN_UP, IDLE = "stopping", "given-up", "idle"


@dataclass(frozen=True, slots=True)
class Handle:
    """Where an attempt's Job is to be found; `cluster`: what identifies that, where it is known."""

    job: str
    namespace: str
    context: str | None = None
    cluster: str | None = None

    @classmethod
    def read(cls, text: str) -> Handle:
        try:
            value = json.loads(text)
            return cls(value["job"], value["namespace"], value["context"], value.get("cluster"))
        except (ValueError, KeyError, TypeError) as error:
            raise Broken(f"{text[:100]!r} is no handle of a Job") from error

    @property
    def handle(self) -> str:
        return json.dumps(asdict(self), separators=(",", ":"), sort_keys=True)


@dataclass(frozen=True, slots=True)
class Seen:
    """The Job (None: it is gone) and its pods."""

    job: Json | None
    pods: list[Json]

    @property
    def over(self) -> bool:
        """Whether nothing of it runs, nor ever will: each pod has ended, or the Job is done with
        making any."""
        if self.pods:
            return all(words.is_over(pod) for pod in self.pods)
        job = self.job
        return job is None or "deletionTimestamp" in job["metadata"] or words.is_finished(job)


async def look(api: Api, where: Handle) -> Seen:
    """Nothing is found only in its own cluster. Raises Unreachable."""
    job: Json | None = None
    with contextlib.suppress(NotFound):
        job = await api.get(f"jobs/{where.job}")
    try:
        pods = (await api.get("pods", labelSelector=f"job-name={where.job}"))["items"]
    except (NotFound, KeyError) as error:
        raise Unreachable("what answers there is no cluster") from error
    if job is None and not pods:
        await same(api, where.cluster, where.job)
    return Seen(job, pods)


class Follower(follower.Follower):
    def __init__(self, cluster: Cluster, folder: Path, handle: Handle) -> None:
        super().__init__(folder)
        self._cluster, self._handle = cluster, handle
        self._stuck_since: float | None = None
        self._empty_since: float | None = None
        self._made = False

    async def _follow(self) -> Exit:
        async with self._cluster.open() as api:
            while (end := await self._turn(api)) is None:
                await self._rest(1.5, WITHOUT_FOLDER)
        return end

    async def _turn(self, api: Api) -> Exit | None:
        """Its end, once all is home."""
        if (end := self._afar.attempt.end()) is not None:
            return end
        seen = await look(api, self._handle)
        self.trouble = None
        self._made = self._made or bool(seen.pods)
        pod = words.worker(seen.pods)
        if self._deaf:
            await api.delete(f"jobs/{self._handle.job}", "Foreground")
        elif pod is not None and words.has_logs(pod) and not self._afar.lost():
            lived = not seen.over
            if not await self._heeded(self._hear(api, pod, seen.over)):
                return None
            seen = await look(api, self._handle)
            pod = words.worker(seen.pods) or pod
            if seen.over and lived:
                await self._heeded(self._hear(api, pod, True))
        if seen.over:
            return await self._home(api, pod, seen.job) if self._surely() else None
        if pod is not None:
            await self._patience(api, pod)
        return None

    def _surely(self) -> bool:
        """Whether no pod is on its way any more: where there was none, one may just be in the
        making, by who has not heard yet that the Job is deleted."""
        self._empty_since = self._empty_since or time.monotonic()
        return self._made or time.monotonic() - self._empty_since > MAKING

    async def _hear(self, api: Api, pod: Json, over: bool) -> bool:
        """Take in its log; False where that broke off, and not because of the cluster: by a
        silence, or its node."""
        with self._afar.mirror() as mirror:
            if over and mirror.end is not None:
                return True
            try:
                await self._listen(api, pod, mirror, over)
            except Unreachable:
                if over:
                    raise
                await look(api, self._handle)
                return False
        return True

    async def _listen(self, api: Api, pod: Json, mirror: Mirror, over: bool) -> None:
        """Its log from where we are, as long as it lasts; from its beginning where that is not
        enough: also where it has ended and its end is missing, since an agent may have dated ahead
        what was heard last. Meanwhile see to it that its silence doesn't last too long."""
        since, idle_time = None, self._afar.facts()["idle_time"]
        if mirror.last_at:
            since = datetime.fromtimestamp(mirror.last_at / 1000 - 1, UTC).strftime("%FT%TZ")
        limited = idle_time is not None and not over
        watch = meanwhile(self._watch_silence(api, mirror, idle_time)) if limited else nullcontext()
        async with watch:
            try:
                await self._feed(api, pod, mirror, since)
                enough = since is None or not over or mirror.end is not None
            except Gap:
                enough = False
            if not enough:
                await self._feed(api, pod, mirror, None)

    async def _feed(self, api: Api, pod: Json, mirror: Mirror, since: str | None) -> None:
        mirror.begin()
        try:
            async for chunk in api.follow(pod["metadata"]["name"], since):
                self._pause = FIRST_PAUSE
                mirror.feed(chunk, from_start=since is None)
        except NotFound:  # deleted meanwhile
            return
        except (Unreachable, Forbidden):
            raise
        except Broken:  # its container has no log (any more)
            return

    async def _watch_silence(self, api: Api, mirror: Mirror, idle_time: float) -> None:
        self._silence.listen(idle_time)
        while self._silence.seconds(mirror) < idle_time:  # noqa: ASYNC110
            await asyncio.sleep(min(1.0, idle_time / 4))
        self.because(IDLE)
        await api.delete(f"jobs/{self._handle.job}", "Foreground")

    async def _home(self, api: Api, pod: Json | None, job: Json | None) -> Exit:
        """Nothing of it runs any more: record the end, and have the Job cleared away."""
        if self.reason(STOPPING) is not None:
            end = Exit(signal=9, reason="stopped")
        elif self.reason(IDLE) is not None:
            end = Exit(signal=9, reason="idle_time")
        elif (why := self.reason(GIVEN_UP)) is not None:
            end = Exit(reason="not_started", error=why)
        else:
            end = words.ending(pod, job)
        end = await self._settled(end)
        with contextlib.suppress(Broken):  # the time to live will do it
            await api.delete(f"jobs/{self._handle.job}", "Background")
        return end

    async def _patience(self, api: Api, pod: Json) -> None:
        """Give up what can't begin: at once where it is hopeless."""
        why = words.stuck(pod)
        if why is None:
            self._stuck_since = None
            return
        self._stuck_since = self._stuck_since or time.monotonic()
        if words.is_hopeless(pod) or time.monotonic() - self._stuck_since > PATIENCE:
            self.because(GIVEN_UP, why)
            await api.delete(f"jobs/{self._handle.job}", "Foreground")
