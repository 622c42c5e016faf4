"""A bot that is not root, and agents of its own user that close their attempt's folder to it, or
put something in the way there: they are read, told, stopped and forgotten all the same."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from core.sandboxes.docker import DockerSandbox
from tests import docker_ground
from tests.nobody import leave_root, place, played
from tests.sandbox_bench import Bench, texts

pytestmark = pytest.mark.faults

WAYS = {
    "once": "import os\nos.chmod({folder!r}, 0)",
    "again and again": "import os\nif not os.fork():\n while True: os.chmod({folder!r}, 0)",
    "what lies there": "import os\nfor n in ('output', 'handle.json', 'wake'):\n"
    " os.chmod({folder!r} + '/' + n, 0)\n"
    "open({folder!r} + '/exit.json', 'w').close()\nos.chmod({folder!r} + '/exit.json', 0)\n"
    "os.chmod({folder!r}, 0o555)",
    "something in the way": "import os\nos.makedirs({folder!r} + '/waiting/x')",
}


async def play(folder: str, engine: str, way: str) -> None:
    """As somebody who is not root: whoever was has loaded all that it takes before."""
    base = Path(folder)
    if os.geteuid() == 0:
        warm = Bench(DockerSandbox(base / "data", engine), base / "warm")
        warm.base.mkdir()
        order = warm.order("true")
        end, _ = await warm.play(order)
        assert await warm.sandbox.stop(order.folder, warm.started[0][1]) == end
        await warm.sandbox.forget(order.folder)
        leave_root()
    bench = Bench(DockerSandbox(base / "data", engine), base)
    agent = WAYS[way].replace("{folder!r}", repr(str(base / "attempt-1")))
    agent += "\nimport time; print('ready', flush=True); time.sleep(1000)"
    order = bench.order("python3", "-c", agent, grace=1.0, idle_time=600.0)
    handle = await bench.start(order)
    if way != "again and again":  # who does that may lose its words, and nothing else
        await bench.said(order, "ready")
    sandbox = bench.sandbox
    for _ in range(50):
        assert (await sandbox.status(order.folder, handle)).alive
        await sandbox.read(order.folder, 0, 1 << 20)
        await sandbox.note(order.folder, "waiting", "yes")
        await asyncio.sleep(0.02)
    if way == "something in the way":
        assert (order.folder / "waiting").read_text() == "yes"
    assert await DockerSandbox(base / "data", engine).find(order.folder) == handle
    end = await sandbox.stop(order.folder, handle)
    assert end.reason in ("stopped", "gone"), end
    assert not (await sandbox.status(order.folder, handle)).alive
    assert await bench.end(order, handle) == end
    if way != "again and again":
        assert "ready" in texts(await bench.lines(order))
    await sandbox.forget(order.folder)
    assert '"env"' not in (order.folder / "order.json").read_text()


@pytest.mark.parametrize("way", WAYS)
def test_what_an_agent_closes_keeps_nobody_from_ending_it(way: str) -> None:
    engine = docker_ground.engine()
    engine.folder.chmod(0o755)
    engine.socket.chmod(0o666)
    with place() as base:
        wrong = played(__name__, str(base), engine.address, way)
    left = [name for name in engine.containers() if "coding-7f3a91c2-1" in name]
    for name in left:
        engine.docker("rm", "-f", name)
    assert not wrong, wrong
    assert not left
