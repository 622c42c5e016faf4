"""A bench for a Docker engine "on another machine": behind an own sshd, with the machine's own
network, so that a container finds the API on 127.0.0.1."""

from __future__ import annotations

import atexit
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import mkdtemp

from core.ports import Order
from core.sandboxes.docker import DockerRemoteSandbox
from tests import docker_ground, ssh_ground
from tests.docker_ground import PYTHON_IMAGE, Engine
from tests.fakes.agents_api import AgentsApi
from tests.sandbox_bench import Bench
from tests.ssh_ground import Sshd

_engine: list[Engine] = []


def engine() -> Engine:
    """The one that all tests of this process use, started when first asked for."""
    docker_ground.require()
    ssh_ground.require()
    if not _engine:
        _engine.append(Engine(shared_network=True, folder=Path(mkdtemp(prefix="bpr-"))))
        atexit.register(end)
        _engine[0].begin()
    return _engine[0]


def end() -> None:
    while _engine:
        _engine.pop().end()


@dataclass
class Afar(Bench):
    api: AgentsApi | None = None
    sshd: Sshd | None = None

    @classmethod
    async def opened(cls, base: Path) -> Afar:
        engine()
        sshd, api = Sshd(base / "ssh").begin(), await AgentsApi().open()
        return cls(cls.made(base, api, sshd), base, api=api, sshd=sshd)

    @staticmethod
    def made(base: Path, api: AgentsApi, sshd: Sshd) -> DockerRemoteSandbox:
        return DockerRemoteSandbox(lambda: api.url, base / "data", str(sshd.ssh))

    @property
    def container(self) -> dict[str, object]:
        assert self.sshd is not None
        return {"image": PYTHON_IMAGE, "engine": self.sshd.address(engine())}

    def order(self, *argv: str, **changes: object) -> Order:
        changes = {"container": self.container, "network": "host", **changes}
        order = super().order(*argv, **changes)
        assert self.api is not None
        return replace(order, door=self.api.door(order))

    async def again(self) -> Afar:
        """The same after a restart of the bot."""
        assert self.api is not None
        assert self.sshd is not None
        await self.sandbox.close()  # type: ignore[attr-defined]
        fresh = self.made(self.base, self.api, self.sshd)
        return Afar(fresh, self.base, self.started, self.count, self.api, self.sshd)

    async def over(self) -> None:
        assert self.sshd is not None
        assert self.api is not None
        try:
            await self.clean()
        finally:
            await self.sandbox.close()  # type: ignore[attr-defined]
            await self.api.close()
            self.sshd.stop()
