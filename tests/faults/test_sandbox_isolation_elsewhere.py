"""What an agent on another machine cannot reach, tried from inside: real processes and files. That
machine is this one, so that all of it would be there to be found; a cluster's node is a scripted
kubelet, which walls a pod in as the pod says, and by namespaces of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from core.ports import Order
from core.sandboxes.kubernetes import KubernetesSandbox
from tests.contracts.test_kubernetes import Afar as InCluster
from tests.fakes.agents_api import AgentsApi
from tests.faults.test_sandbox_isolation import SECRET, TRY, _content, bot, data, told
from tests.k8s_ground import ground
from tests.remote_bench import Afar as Remote
from tests.sandbox_bench import Bench, lives

__all__ = ["bot", "data"]
pytestmark = pytest.mark.faults


@pytest.fixture(params=["docker-remote", "kubernetes"])
async def bench(
    request: pytest.FixtureRequest, tmp_path: Path, data: Path
) -> AsyncIterator[Bench]:
    """Over before the data folder is gone."""
    if request.param == "docker-remote":
        remote = await Remote.opened(tmp_path)
        yield remote
        await remote.over()
        return
    cluster, api = ground(), await AgentsApi().open()
    sandbox = KubernetesSandbox(lambda: api.url, cluster.kubeconfig)
    bench = InCluster(sandbox, tmp_path, api=api)
    yield bench
    await bench.clean()
    await sandbox.close()
    await api.close()


def mine(bench: Bench, data: Path, script: str) -> Order:
    """A script of Python in the session `mine`, whose home is carried along; it prints JSON."""
    assert isinstance(bench, Remote | InCluster) and bench.api is not None
    session = data / "sessions/mine"
    (session / "home/own").write_text("its own")
    order = bench.order("python3", "-I", "-c", TRY + script)
    order = replace(order, session_id="mine", workspace=session / "worktree",
                    folder=session / "attempts" / str(order.number),
                    env={**order.env, "HOME": str(session / "home")},
                    writable=(session / "home", session / "artifacts"))
    return replace(order, door=bench.api.door(order))


async def test_databases_keys_and_other_sessions_cannot_be_read(bench: Bench, data: Path) -> None:
    order = mine(bench, data, "")
    paths = [str(path) for path in data.rglob("*") if path.is_file()]
    home = [str(Path.home() / name) for name in (".ssh", ".bashrc", ".profile", ".cache")]
    script = f"""
print(json.dumps([[p for p in {paths!r} if tried(lambda: open(p).read())],
                  tried(lambda: os.listdir({str(data / "sessions")!r})),
                  tried(lambda: os.listdir({str(data.parent)!r})),
                  tried(lambda: os.listdir({str(bench.base)!r})),
                  [p for p in {home!r} if os.path.exists(p)],
                  [p for p in ("/var/run/docker.sock", "/run/docker.sock",
                   "/var/run/secrets/kubernetes.io/serviceaccount/token") if os.path.exists(p)]]))
"""
    order = replace(order, argv=(*order.argv[:-1], TRY + script))
    found: Any = await told(bench, order)
    readable, sessions, around, base, private, keys = found
    assert readable == [str(data / "sessions/mine/home/own")]
    assert (sessions, around, base) == (["mine"], ["data"], None)
    assert (private, keys) == ([], [])


async def test_what_it_writes_over_there_changes_nothing_here(bench: Bench, data: Path) -> None:
    others = [
        *(str(data / name) for name in ("bullpen.db", "api.key", "new", "sessions/other/new")),
        *(str(data / "sessions/mine" / name) for name in ("new", "attempts/1/exit.json")),
        *(str(Path(folder, "planted-by-a-test")) for folder in ("/", "/usr", "/etc", "/opt")),
        str(Path.home() / "planted-by-a-test"),
    ]
    script = f"""
print(json.dumps([tried(lambda: write({str(data / "sessions/mine/home/new")!r})),
                  [p for p in {others!r} if p.endswith("by-a-test") and tried(lambda: write(p))]]))
[tried(lambda: write(p)) for p in {others!r}]
"""
    before = {path: _content(path) for path in others}
    assert await told(bench, mine(bench, data, script)) == [True, []]
    after = {path: _content(path) for path in others}
    ended = str(data / "sessions/mine/attempts/1/exit.json")
    assert b"planted" not in (after.pop(ended) or b"")
    del before[ended]
    assert after == before


async def test_other_processes_are_neither_seen_nor_read_nor_signalled(
    bench: Bench, data: Path, bot: int
) -> None:
    script = f"""
found = []
for pid in ({bot}, os.getppid(), *(int(p) for p in os.listdir("/proc") if p.isdigit())):
    found.append(str(tried(lambda: open(f"/proc/{{pid}}/environ").read())))
for number in (15, 9):
    tried(lambda: os.kill({bot}, number))
print(json.dumps([{SECRET!r} in "".join(found),
                  sum(name.isdigit() for name in os.listdir("/proc"))]))
"""
    found: Any = await told(bench, mine(bench, data, script))
    seen, many = found
    assert not seen
    assert many < 20
    assert lives(bot)


async def test_it_has_no_capability_and_cannot_get_one(bench: Bench, data: Path) -> None:
    script = """
facts = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(json.dumps([int(facts["CapEff"], 16), int(facts["CapPrm"], 16), int(facts["NoNewPrivs"])]))
"""
    assert await told(bench, mine(bench, data, script)) == [0, 0, 1]
