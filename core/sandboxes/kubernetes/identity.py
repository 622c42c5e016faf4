"""Which cluster an attempt was started in: another one at the same context knows nothing of it.

Named by the uid of the namespace `kube-system`, or, where that may not be read, by that of a Secret
without contents which is left in the agents' own namespace, with the rights that are there anyway.
"""

from __future__ import annotations

import contextlib

from core.errors import Broken, Unreachable
from core.sandboxes.kubernetes.api import Api, Exists, Forbidden, Json, NotFound

_ALL = "/api/v1/namespaces/kube-system"
_OWN = "secrets/bullpen-cluster"
_SECRET: Json = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {
        "name": "bullpen-cluster",
        "labels": {"app.kubernetes.io/managed-by": "bullpen"},
        "annotations": {"bullpen/about": "Tells this cluster from another. Keep it."},
    },
}


async def identity(api: Api) -> str | None:
    """The cluster's; None where none of that is allowed. Raises Unreachable."""
    if found := await _may_read(api, _ALL):
        return f"{_ALL} {found}"
    try:
        with contextlib.suppress(Exists):
            await api.create("secrets", _SECRET)
    except Unreachable:
        raise
    except Broken:
        return None
    found = await _may_read(api, _OWN)
    return f"{_OWN} {found}" if found else None


async def same(api: Api, known: str | None, job: str) -> None:
    """Raises Unreachable where the cluster that answers now is not known to be that one. Of a Job
    from before clusters were told apart any answer counts."""
    if known is None:
        return
    path, _, uid = known.partition(" ")
    with contextlib.suppress(NotFound):
        if _uid(await api.get(path)) == uid:
            return
    raise Unreachable(f"Another cluster answers: the Job {job} is not its own")


async def _may_read(api: Api, path: str) -> str | None:
    try:
        return _uid(await api.read(path))
    except (NotFound, Forbidden):
        return None


def _uid(found: Json) -> str | None:
    return (found.get("metadata") or {}).get("uid")
