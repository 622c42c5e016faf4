"""The docker package's client over our own way to an engine on another machine."""

from __future__ import annotations

from typing import Any

import urllib3.connection
from docker import APIClient
from docker.constants import DEFAULT_DOCKER_API_VERSION
from docker.transport.unixconn import UnixHTTPAdapter, UnixHTTPConnectionPool

from core.sandboxes.docker.tunnel import Link, Way


def client(way: Way, timeout: float) -> APIClient:
    """One that speaks the version that the engine speaks. Raises what the package raises."""
    found = _client(way, timeout, DEFAULT_DOCKER_API_VERSION).version(api_version=False)
    return _client(way, timeout, found["ApiVersion"])


def _client(way: Way, timeout: float, version: str) -> APIClient:
    made = APIClient("unix:///nowhere", version=version, timeout=timeout)
    made.mount("http+docker://", _Adapter(way, timeout))
    return made


class _Connection(urllib3.connection.HTTPConnection):
    def __init__(self, way: Way, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._way, self._patience = way, timeout
        self._link: Link | None = None

    def connect(self) -> None:
        self._link = self._way.open(self._patience)
        self.sock = self._link.socket


class _Pool(UnixHTTPConnectionPool):  # type: ignore[misc]
    def __init__(self, way: Way, timeout: float) -> None:
        super().__init__("http+docker://localhost", "/nowhere", timeout)
        self._way = way

    def _new_conn(self) -> _Connection:
        return _Connection(self._way, self.timeout)


class _Adapter(UnixHTTPAdapter):  # type: ignore[misc]
    def __init__(self, way: Way, timeout: float) -> None:
        super().__init__("http+unix:///nowhere", timeout)
        self._pool = _Pool(way, timeout)

    def get_connection(self, url: str, proxies: Any = None) -> _Pool:
        return self._pool

    def close(self) -> None:
        self._pool.close()
        super().close()
