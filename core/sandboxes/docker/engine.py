"""A Docker engine, spoken to through the `docker` package in threads of its own.

Nothing of the library leaves this file but as a `docker.APIClient` inside a call: what goes wrong
comes out as one of our errors.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from core.errors import Broken, Unreachable
from core.sandboxes.docker.tunnel import Way

if TYPE_CHECKING:
    from docker import APIClient

T = TypeVar("T")

LOCAL = "unix:///var/run/docker.sock"
FAR = "ssh://"
PATIENCE = 60.0
"""Seconds that one call may take."""
FRESH = 15.0
"""Seconds for which an answer to whether agents can work here is good."""
_GLANCE = 0.5
"""Seconds that the first such question may hold its caller up."""
_RECENT = 1.0
"""Seconds for which the list of running containers serves whoever asks."""
_PYTHONS: dict[tuple[str, str], bool] = {}
"""Image id, program → whether it was found to run. An id is the hash of what is in there."""


class NotThere(Broken):
    """The engine has nothing of that name."""


class Taken(Broken):
    """There is one of that name already, or it is in another state than the call needs."""


@dataclass(frozen=True, slots=True)
class Image:
    """What is known of an image: its id, the PATH that it sets, and whether it has Python ≥ 3.9."""

    id: str
    path: str | None
    python: bool


def default_address() -> str:
    """The engine of this machine, as the command line tool finds it."""
    return os.environ.get("DOCKER_HOST") or LOCAL


class Engine:
    """One engine by its address (`unix:///…` or `ssh://…`)."""

    def __init__(
        self,
        address: str,
        pool: Executor,
        patience: float = PATIENCE,
        ssh: str = "ssh",
    ) -> None:
        self.address = address
        self.way = Way(address, ssh) if address.startswith(FAR) else None
        self._pool, self._patience = pool, patience
        self._made: APIClient | None = None
        self._making = threading.Lock()
        self._id = ""
        self._asked: dict[str, _Asked] = {}
        self._running: tuple[float, frozenset[str]] = (float("-inf"), frozenset())
        self._listing = asyncio.Lock()

    async def call(self, act: Callable[[APIClient], T]) -> T:
        """Do that in a thread. Raises NotThere, Taken, Broken; Unreachable where no answer
        comes."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._act, act)

    async def ask(self, act: Callable[[APIClient], T]) -> T:
        """Whether something is there, and lives: where the engine won't or can't say, nobody knows.
        Raises NotThere; Unreachable for anything else."""
        try:
            return await self.call(act)
        except NotThere:
            raise
        except Broken as error:
            raise Unreachable(str(error)) from error

    async def identity(self) -> str:
        """The engine's own id: another one at the same address knows nothing of ours."""
        if not self._id:
            facts = await self.ask(lambda client: client.info())
            self._id = f"{facts['ID']} {facts.get('DockerRootDir')}"
        return self._id

    async def same(self, identity: str) -> bool:
        """Whether the engine that answers now is that one."""
        self._id = ""
        return await self.identity() == identity

    async def running(self, label: str) -> frozenset[str]:
        """The names of our containers that run, as of the last second; one question for all."""
        async with self._listing:
            at, names = self._running
            if time.monotonic() - at > _RECENT:
                found = await self.ask(lambda client: client.containers(filters={"label": label}))
                names = frozenset(name.lstrip("/") for one in found for name in one["Names"])
                self._running = time.monotonic(), names
            return names

    async def image(self, name: str, python: str, pull: bool, probe: dict[str, Any]) -> Image:
        """What is known of an image. Raises Broken where it is not there. `probe` is what a
        container is told that looks for Python."""
        return await self.call(lambda client: self._image(client, name, python, pull, probe))

    def problem(self, image: str, pull: bool) -> str | None:
        """Why agents with that image can't work here, from what is known; None: they can. A
        first question waits a moment for the answer."""
        asked = self._asked.get(image)
        if asked is None or (asked.future.done() and time.monotonic() - asked.at > FRESH):
            known = asked.known() if asked else None
            future = self._pool.submit(self._look, image, pull)
            self._asked[image] = _Asked(future, time.monotonic(), known)
            if asked is None:
                _wait(future)
        return self._asked[image].known()

    def _look(self, image: str, pull: bool) -> str | None:
        try:
            self._act(lambda client: client.inspect_image(image))
        except NotThere:
            return None if pull else absent(image, self.address)
        except Broken as error:
            return str(error)
        return None

    def _image(
        self, client: APIClient, name: str, python: str, pull: bool, probe: dict[str, Any]
    ) -> Image:
        try:
            facts = client.inspect_image(name)
        except Exception as error:
            if getattr(error, "status_code", None) != 404:
                raise
            if not pull:
                raise Broken(absent(name, self.address)) from error
            client.pull(name, tag=None if _tagged(name) else "latest")
            facts = client.inspect_image(name)
        key = (facts["Id"], python)
        if key not in _PYTHONS:
            _PYTHONS[key] = _has_python(client, facts["Id"], python, probe)
        settings = (facts.get("Config") or {}).get("Env") or []
        paths = [one.partition("=")[2] for one in settings if one.startswith("PATH=")]
        return Image(facts["Id"], paths[-1] if paths else None, _PYTHONS[key])

    def _act(self, act: Callable[[APIClient], T]) -> T:
        import requests.exceptions
        import urllib3.exceptions
        from docker.errors import APIError, DockerException

        try:
            return act(self._client())
        except APIError as error:
            said = str(error.explanation or error).strip().splitlines()
            words = f"Docker says: {said[0] if said else error}"
            kind = {404: NotThere, 409: Taken}.get(error.status_code or 0, Broken)
            raise kind(words) from error
        except (
            DockerException,
            requests.exceptions.RequestException,
            urllib3.exceptions.HTTPError,
            OSError,
        ) as error:
            self._made = None
            why = f" ({self.way.said})" if self.way is not None and self.way.said else ""
            raise Unreachable(
                f"The Docker engine at {self.address} gives no answer{why}: is it running, and may "
                f"you use it? (docker -H {self.address} version)"
            ) from error

    def _client(self) -> APIClient:
        with self._making:
            if self._made is None:
                self._made = self._connected()
            return self._made

    def _connected(self) -> APIClient:
        if self.way is not None:
            from core.sandboxes.docker.transport import client

            return client(self.way, self._patience)
        from docker import APIClient

        return APIClient(self.address, timeout=self._patience)


@dataclass(slots=True)
class _Asked:
    future: Future[str | None]
    at: float
    before: str | None

    def known(self) -> str | None:
        return self.future.result() if self.future.done() else self.before


def _wait(future: Future[str | None]) -> None:
    try:
        future.exception(_GLANCE)
    except TimeoutError:
        return


def absent(image: str, address: str) -> str:
    where = "" if address == LOCAL else f"-H {address} "
    return (
        f"The image {image} is not there: docker {where}pull {image}, or build it; "
        "`pull = true` in the agent's container table fetches it by itself."
    )


def _tagged(name: str) -> bool:
    return "@" in name or ":" in name.rpartition("/")[2]


def _has_python(client: APIClient, image: str, python: str, probe: dict[str, Any]) -> bool:
    """Run it once: Python 3.9 or newer, with what the launcher imports."""
    code = "import sys, ctypes, fcntl, json, select, termios; sys.exit(sys.version_info < (3, 9))"
    told = {**probe, "Image": image, "Entrypoint": [python, "-I", "-S", "-c", code]}
    made = client.create_container_from_config(told, f"bullpen-probe-{secrets.token_hex(6)}")
    try:
        client.start(made["Id"])
        return bool(client.wait(made["Id"], timeout=PATIENCE)["StatusCode"] == 0)
    except Exception as error:
        if getattr(error, "status_code", None) in (400, 404):  # no such program
            return False
        if "executable file not found" in str(getattr(error, "explanation", "")):
            return False
        raise
    finally:
        client.remove_container(made["Id"], force=True, v=True)
