"""The Kubernetes sandbox: a Job for each attempt, code by git, output by its log.

At most once: the Job's name comes from the attempt's folder, so a second one is refused by the
cluster; and where a pod is started twice all the same, the attempt's lease lets one work.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from core.errors import Broken, Unreachable
from core.ports import Exit, Order, Status
from core.sandboxes import carried, files
from core.sandboxes.afar import WRAP_UP, Afar, Lost
from core.sandboxes.attempt import REVOKED, Attempt
from core.sandboxes.elsewhere import Elsewhere
from core.sandboxes.kubernetes import manifest
from core.sandboxes.kubernetes.api import Api, Cluster, Exists, Json, NotFound
from core.sandboxes.kubernetes.following import STOPPING, Follower, Handle, look
from core.sandboxes.kubernetes.identity import identity, same

_CLAIM = "kubernetes:"


class KubernetesSandbox(Elsewhere[Handle, Follower]):
    """`agents_url` tells the address at which pods reach Bullpen, once it is known."""

    name = "kubernetes"

    def __init__(self, agents_url: Callable[[], str | None], kubeconfig: str | None = None) -> None:
        super().__init__()
        self._agents_url = agents_url
        self._kubeconfig = kubeconfig

    def missing(self, container: Mapping[str, Any]) -> str | None:
        problem = self._cluster(container).missing()
        if problem is not None:
            return problem
        if not container.get("image"):
            return "container.image is not set: name one that holds the agent, git and python3"
        if not self._agents_url():
            return "api.agents_url is not set: the address at which pods reach Bullpen"
        return None

    async def _status(self, folder: Path, where: Handle) -> Status:
        if (over := await self._over(folder)) is not None:
            return over
        async with self._open(where) as api:
            seen = await look(api, where)
        self._answers(folder)
        if not seen.over:
            return Status(alive=True)
        return await self._home(self._follower(folder, where))

    async def stop(self, folder: Path, handle: str, force: bool = False) -> Exit:
        where = Handle.read(handle)
        status = await self._status(folder, where)
        if status.end is not None:
            return status.end
        follower = self._follower(folder, where)
        follower.because(STOPPING)
        grace = 0.0 if force else _grace(folder)
        async with self._open(where) as api:
            await api.delete(f"jobs/{where.job}", "Foreground")
            for pod in () if grace else (await look(api, where)).pods:
                await api.delete(f"pods/{pod['metadata']['name']}", "Background", grace=1)
        return await self._stopped(follower, grace, f"the Job {where.job}", "look at its pods")

    async def forget(self, folder: Path) -> None:
        for name in ("freight", "job.json"):
            (folder / name).unlink(missing_ok=True)
        Attempt(folder).forget()

    # -- starting --------------------------------------------------------------------------

    async def _begun(self, order: Order) -> Handle:
        attempt, afar = Attempt(order.folder), Afar(order.folder)
        if attempt.claim() == REVOKED:
            raise Broken(f"the attempt in {order.folder} was called off before it started")
        if (known := _known(order.folder)) is not None:
            return known
        if order.network not in ("on", "off"):
            raise Broken(f"a cluster has no network `{order.network}`: say on or off")
        await afar.load(order)
        where = self._where(order)
        shown = await asyncio.to_thread(carried.shown, order)
        job = manifest.job(where.job, order, afar.rooms(), shown)
        secret = manifest.secret(where.job, order, afar.freight(), shown)
        asked: Json = {"secret": secret}
        files.write(order.folder / "job.json", json.dumps(asked).encode())
        if not attempt.take(_CLAIM + where.handle):
            raise Broken(f"the attempt in {order.folder} was called off before it started")
        async with self._reach(where).open(starts=True) as api:
            where = replace(where, cluster=await identity(api))
            asked = {**asked, "cluster": where.cluster}
            files.write(order.folder / "job.json", json.dumps(asked).encode())
            try:
                await self._create(api, where, order, job, secret)
            except Unreachable:
                raise  # it may be there: `find` will tell
            except Broken as error:
                attempt.call_off()
                raise Broken(f"the Job can't be made: {error}") from error
        files.write(order.folder / "handle.json", where.handle.encode())
        return where

    async def _create(self, api: Api, where: Handle, order: Order, job: Json, secret: Json) -> None:
        if order.network == "off":
            policy = manifest.offline(order.door.url if order.door and order.door.url else "")
            with contextlib.suppress(Exists):
                await api.create("networkpolicies", policy)
        try:
            made = await api.create("jobs", job)
        except Exists:  # by ourselves, before a crash
            made = await api.get(f"jobs/{where.job}")
        try:
            await _add_secret(api, secret, made)
        except Unreachable:
            raise
        except Broken:
            await api.delete(f"jobs/{where.job}", "Foreground")
            raise

    async def _found(self, folder: Path) -> Handle | None:
        attempt = Attempt(folder)
        if attempt.revoke():
            return None
        if (known := _known(folder)) is not None:
            return known
        where = Handle.read((attempt.claim() or "").removeprefix(_CLAIM))
        asked: Json = {}
        with contextlib.suppress(FileNotFoundError):
            asked = json.loads((folder / "job.json").read_bytes())
        where = replace(where, cluster=asked.get("cluster"))  # none: it was asked for nothing yet
        async with self._open(where) as api:
            try:
                job = await api.get(f"jobs/{where.job}")
            except NotFound:  # a request still on its way would find its lease refused
                await same(api, where.cluster, where.job)
                attempt.call_off()
                return None
            if "secret" in asked:
                await _add_secret(api, asked["secret"], job)
        files.write(folder / "handle.json", where.handle.encode())
        return where

    # -- small things ----------------------------------------------------------------------

    def _where(self, order: Order) -> Handle:
        cluster = self._cluster(order.container)
        return Handle(manifest.name_of(order.folder), cluster.namespace, cluster.context)

    def _cluster(self, container: Mapping[str, Any]) -> Cluster:
        namespace = str(container.get("namespace") or "default")
        return Cluster(namespace, container.get("context"), self._kubeconfig)

    def _open(self, where: Handle) -> contextlib.AbstractAsyncContextManager[Api]:
        return self._reach(where).open()

    def _reach(self, where: Handle) -> Cluster:
        return Cluster(where.namespace, where.context, self._kubeconfig)

    def _place(self, folder: Path, handle: str) -> Handle:
        return Handle.read(handle)

    def _followed(self, folder: Path, place: Handle) -> Follower:
        return Follower(self._reach(place), folder, place)


async def _add_secret(api: Api, secret: Json, job: Json) -> None:
    """It goes with the Job; without it the pod waits."""
    with contextlib.suppress(Exists):
        await api.create("secrets", manifest.owned(secret, job))


def _grace(folder: Path) -> float:
    """Seconds that it has for its goodbye and the way home: none where its folder is deleted, as
    nothing of it comes home then."""
    try:
        return float(Afar(folder).facts()["grace"]) + WRAP_UP
    except Lost:
        return 0.0


def _known(folder: Path) -> Handle | None:
    """The handle of a Job that is known to have been made."""
    try:
        return Handle.read((folder / "handle.json").read_text("utf-8"))
    except OSError:
        return None
