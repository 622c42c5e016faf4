"""The cluster's API in a few calls: JSON in, JSON out, and our own errors."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import Broken, Unreachable

TIMEOUT = 20.0
"""Seconds for one answer."""
SILENCE = 300.0
"""Seconds without a byte after which a log is followed anew."""
IN_CLUSTER = Path("/var/run/secrets/kubernetes.io/serviceaccount")
Json = dict[str, Any]


class NotFound(Broken):
    """The cluster has no such thing."""


class Exists(Broken):
    """The cluster has one of that name."""


class Forbidden(Broken):
    """We may not."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """Which cluster, and where in it. `kubeconfig`, `context`: None: as usual."""

    namespace: str = "default"
    context: str | None = None
    kubeconfig: str | None = None

    def missing(self) -> str | None:
        """Why there is no way to a cluster from here."""
        try:
            import importlib.util

            found = importlib.util.find_spec("kubernetes_asyncio")
        except (ImportError, ValueError):
            found = None
        if found is None:
            return "kubernetes-asyncio is missing: .venv/bin/pip install -e '.[k8s]'"
        if self._file() is None and not self._inside():
            return "no way to a cluster is configured: set KUBECONFIG, or make ~/.kube/config"
        return None

    def _file(self) -> str | None:
        given = self.kubeconfig or os.environ.get("KUBECONFIG") or "~/.kube/config"
        files = [str(Path(part).expanduser()) for part in given.split(":") if part]
        found = [file for file in files if Path(file).is_file()]
        return ":".join(found) or None

    @staticmethod
    def _inside() -> bool:
        """Whether we run in a cluster ourselves."""
        return "KUBERNETES_SERVICE_HOST" in os.environ and (IN_CLUSTER / "token").is_file()

    @contextlib.asynccontextmanager
    async def open(self, starts: bool = False) -> AsyncIterator[Api]:
        """A connection to it. For a configuration that is none raises Unreachable, as that tells
        nothing about what was started; Broken where something is to be started."""
        try:
            client = await self._client()
        except Exception as error:  # there are plugins for the way there
            kind = Broken if starts else Unreachable
            raise kind(f"the way to the cluster can't be read: {_line(error)}") from error
        try:
            yield Api(client, self.namespace)
        finally:
            await client.close()

    async def _client(self) -> Any:
        # Importing it takes half a second: only where a cluster is used, and beside the loop.
        await asyncio.to_thread(__import__, "kubernetes_asyncio")
        from kubernetes_asyncio import client, config

        settings = client.Configuration()
        file = self._file()
        if file is None:
            config.load_incluster_config(client_configuration=settings)  # type: ignore[no-untyped-call]
        else:
            await config.load_kube_config(
                config_file=file,
                context=self.context,
                client_configuration=settings,
                persist_config=False,
            )
        return client.ApiClient(configuration=settings)


@dataclass(frozen=True, slots=True)
class Api:
    """An open connection; paths are within its namespace, or whole. Every call raises Unreachable,
    NotFound, Exists, Forbidden, or Broken."""

    client: Any
    namespace: str

    async def get(self, path: str, **query: str) -> Json:
        """What is there. Raises NotFound; Unreachable for any other refusal, after which nobody
        knows."""
        try:
            return await self.read(path, **query)
        except NotFound:
            raise
        except Broken as error:
            raise Unreachable(str(error)) from error

    async def read(self, path: str, **query: str) -> Json:
        """The same, where a refusal is told as such."""
        return await self._call("GET", path, query)

    async def create(self, path: str, body: Json) -> Json:
        return await self._call("POST", path, {}, body)

    async def delete(self, path: str, policy: str, grace: int | None = None) -> None:
        """Have it deleted; one that is gone is no error."""
        body: Json = {"propagationPolicy": policy}
        if grace is not None:
            body["gracePeriodSeconds"] = grace
        with contextlib.suppress(NotFound):
            await self._call("DELETE", path, {}, body)

    async def follow(self, pod: str, since: str | None) -> AsyncIterator[bytes]:
        """A pod's log, as it comes, until the container has ended: all of it, or what was
        written since that time (as RFC 3339, by the node's own clock)."""
        query = {"follow": "true", "container": "agent"}
        if since is not None:
            query["sinceTime"] = since
        async with self._asked("GET", f"pods/{pod}/log", query, (TIMEOUT, SILENCE)) as answer:
            if answer.status >= 300:
                raise _told(answer.status, await answer.read())
            async for chunk in answer.content.iter_any():
                yield chunk

    async def _call(
        self, method: str, path: str, query: Mapping[str, str], body: Json | None = None
    ) -> Json:
        async with self._asked(method, path, query, TIMEOUT, body) as answer:
            said = await answer.read()
            if answer.status >= 300:
                raise _told(answer.status, said)
            return _body(said)

    @contextlib.asynccontextmanager
    async def _asked(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        timeout: float | tuple[float, float],
        body: Json | None = None,
    ) -> AsyncIterator[Any]:
        import aiohttp

        group = "/api/v1"
        if path.startswith("jobs"):
            group = "/apis/batch/v1"
        elif path.startswith("networkpolicies"):
            group = "/apis/networking.k8s.io/v1"
        whole = path if path.startswith("/") else f"{group}/namespaces/{self.namespace}/{path}"
        try:
            answer = await self.client.call_api(
                whole,
                method,
                query_params=list(query.items()),
                header_params={"Accept": "application/json, */*"},
                body=body,
                auth_settings=["BearerToken"],
                _preload_content=False,
                _request_timeout=timeout,
            )
            try:
                yield answer
            finally:
                answer.close()
        except (OSError, TimeoutError, aiohttp.ClientError) as error:
            raise Unreachable(f"the cluster gives no answer: {_line(error)}") from error


def _body(said: bytes) -> Json:
    with contextlib.suppress(ValueError, RecursionError):
        if isinstance(found := json.loads(said), dict):
            return found
    raise Unreachable("what answers there is no cluster")


def _told(status: int, said: bytes) -> Broken:
    """The API's refusal as one of our errors."""
    try:
        words = str(json.loads(said)["message"])
    except (ValueError, KeyError, TypeError):
        words = said.decode("utf-8", "replace")
    text = _line(words) or f"HTTP {status}"
    if status == 404:
        return NotFound(text)
    if status == 409:
        return Exists(text)
    if status in (401, 403):
        return Forbidden(f"the cluster does not allow it: {text}")
    if status == 429 or status >= 500:
        return Unreachable(f"the cluster can't answer now: {text}")
    return Broken(f"the cluster refuses it: {text}")


def _line(error: object) -> str:
    words = " ".join(str(error).split())
    return words[:300] or type(error).__name__
