"""What every sandbox promises, run over a Docker engine behind ssh."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core.ports import Sandbox
from core.sandboxes.docker import DockerRemoteSandbox
from tests.contracts import elsewhere
from tests.remote_bench import Afar
from tests.sandbox_bench import Bench, until

globals().update(elsewhere.promised())


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = await Afar.opened(tmp_path)
    yield bench
    await bench.over()


@pytest.fixture
def sandbox(bench: Bench) -> Sandbox:
    return bench.sandbox


async def test_it_says_what_it_lacks(bench: Afar) -> None:
    sandbox, able = bench.sandbox, bench.container
    assert sandbox.missing(able) is None
    assert "no image is configured" in str(sandbox.missing({}))
    assert "no engine on another machine" in str(sandbox.missing({"image": "x"}))
    for wrong in ("ssh://", "ssh://-oProxyCommand=x", "ssh://a@-b", "ssh://a:b@c", "ssh://a?b"):
        assert "write ssh://user@host" in str(sandbox.missing({"image": "x", "engine": wrong}))
    silent = DockerRemoteSandbox(lambda: None, ssh=str(bench.sshd.ssh))  # type: ignore[union-attr]
    assert "api.agents_url is not set" in str(silent.missing(able))
    assert "ssh is not installed" in str(
        DockerRemoteSandbox(lambda: "x", ssh="/no/ssh").missing(able))
    absent = {**able, "image": "no/such:1"}
    await until(lambda: bool(sandbox.missing(absent)), "the answer")
    assert "pull no/such:1" in str(sandbox.missing(absent))
    nowhere = {**able, "engine": f"{able['engine']}.not"}
    await until(lambda: bool(sandbox.missing(nowhere)), "the answer")
    assert "gives no answer" in str(sandbox.missing(nowhere))
