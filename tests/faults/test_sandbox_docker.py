"""The Docker sandbox when things go wrong: engines that die, containers that are hostile."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from core.errors import Broken, Unreachable
from core.model import Mount
from core.ports import Exit, Line, Order
from core.sandboxes.docker import DockerSandbox
from core.sandboxes.docker.building import INSIDE
from core.sandboxes.docker.ends import HEARING
from core.sandboxes.docker.holding import Holds
from tests import docker_ground
from tests.docker_ground import PYTHON_IMAGE, Engine
from tests.sandbox_bench import Bench, others_with, some_seconds, texts, until

pytestmark = pytest.mark.faults

COUNT = "i=0; while [ $i -lt 60 ]; do i=$((i+1)); echo $i; sleep 0.1; done"


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    sandbox = DockerSandbox(tmp_path / "data", docker_ground.engine().address)
    bench = Bench(sandbox, tmp_path)
    yield bench
    await bench.clean()


@pytest.fixture(params=[True, False], ids=["live-restore", "plain"])
def own_engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """An engine that may be killed."""
    docker_ground.require()
    engine = Engine(live_restore=request.param)
    try:
        yield engine.begin()
    finally:
        engine.end()


def again(bench: Bench, engine: Engine | None = None) -> Bench:
    """The same after a restart of the bot."""
    address = (engine or docker_ground.engine()).address
    return Bench(DockerSandbox(bench.base / "data", address), bench.base)


async def test_an_engine_that_dies_and_comes_back(own_engine: Engine, tmp_path: Path) -> None:
    bench = Bench(DockerSandbox(tmp_path / "data", own_engine.address), tmp_path)
    order = bench.order("sh", "-c", COUNT)
    handle = await bench.start(order)
    await bench.said(order, "3")
    own_engine.kill()
    for asked in (
        bench.sandbox.status(order.folder, handle),
        bench.sandbox.ended(order.folder, handle),
        bench.sandbox.stop(order.folder, handle),
        again(bench, own_engine).sandbox.find(order.folder),
        bench.sandbox.start(bench.order("true")),
    ):
        with pytest.raises(Unreachable, match="gives no answer"):
            await asked
    assert texts(await bench.lines(order))[:3] == ["1", "2", "3"]
    own_engine.start()
    fresh = again(bench, own_engine)
    assert await fresh.sandbox.find(order.folder) == handle
    end = await fresh.end(order, handle)
    said = texts(await fresh.lines(order))
    if own_engine.live_restore:
        assert (end.status, end.reason) == (0, None)
        assert said == [str(n) for n in range(1, 61)]
    else:
        assert end.reason in ("gone", "stopped")  # some engines ask it to go, some kill it
        assert said == [str(n) for n in range(1, len(said) + 1)]
    assert own_engine.containers() == []


async def test_an_engine_that_hangs_is_unreachable_and_comes_back(tmp_path: Path) -> None:
    docker_ground.require()
    engine = Engine()
    try:
        engine.begin()
        bench = Bench(DockerSandbox(tmp_path / "data", engine.address, patience=1.0), tmp_path)
        order = bench.order("sleep", "1000")
        handle = await bench.start(order)
        engine.freeze()
        with pytest.raises(Unreachable, match="gives no answer"):
            await bench.sandbox.status(order.folder, handle)
        engine.thaw()
        assert (await bench.sandbox.status(order.folder, handle)).alive
        await bench.clean()
    finally:
        engine.end()


async def test_another_engine_at_the_same_address_knows_nothing(
    bench: Bench, tmp_path: Path
) -> None:
    """That it has no such container proves nothing about the one that has."""
    order = bench.order("sleep", "1000")
    handle = await bench.start(order)
    value = json.loads(handle) | {"engine_id": "another"}
    with pytest.raises(Unreachable, match="Another Docker engine"):
        gone = json.dumps({**value, "container": "bullpen-nowhere"})
        await bench.sandbox.status(order.folder, gone)


@pytest.mark.parametrize("way", [["kill"], ["rm", "-f"]], ids=["killed", "removed"])
async def test_a_container_that_somebody_ends_is_gone_and_nothing_is_left(
    bench: Bench, way: list[str]
) -> None:
    seconds = some_seconds()
    order = bench.order("sh", "-c", f"echo ready; sleep {seconds}")
    handle = await bench.start(order)
    await bench.said(order, "ready")
    engine = docker_ground.engine()
    engine.docker(*way, json.loads(handle)["container"])
    end = await bench.end(order, handle)
    assert end.reason == "gone"
    assert not others_with(seconds)
    assert json.loads(handle)["container"] not in engine.containers()
    assert await bench.sandbox.stop(order.folder, handle, force=True) == end
    assert await bench.sandbox.find(order.folder) == handle


async def test_a_paused_container_is_alive_and_can_be_stopped(bench: Bench) -> None:
    order = bench.order("sh", "-c", "trap 'exit 4' TERM; echo ready; while :; do sleep 0.1; done",
                        grace=30.0)  # fmt: skip
    handle = await bench.start(order)
    await bench.said(order, "ready")
    docker_ground.engine().docker("pause", json.loads(handle)["container"])
    assert (await bench.sandbox.status(order.folder, handle)).alive
    end = await bench.sandbox.stop(order.folder, handle)
    assert (end.status, end.reason) == (4, "stopped")


async def test_nothing_is_left_after_a_stop_or_an_end(bench: Bench) -> None:
    engine, seconds = docker_ground.engine(), some_seconds()
    before = engine.docker("volume", "ls", "-q")
    for force in (False, True):
        order = bench.order("sh", "-c", f"setsid sleep {seconds} & echo ready; sleep {seconds}")
        handle = await bench.start(order)
        await bench.said(order, "ready")
        assert (await bench.sandbox.stop(order.folder, handle, force)).reason == "stopped"
        assert not others_with(seconds)
    await bench.play(bench.order("true"))
    await bench.sandbox.run(bench.order("true"))
    assert not [name for name in engine.containers() if "coding-7f3a91c2" in name]
    assert engine.docker("volume", "ls", "-q") == before


async def test_what_was_created_and_never_started_never_will(bench: Bench) -> None:
    """The bot died between the two."""
    order = bench.order("touch", "trace")
    sandbox = bench.sandbox
    assert isinstance(sandbox, DockerSandbox)
    place = await sandbox._prepare(order)
    docker_ground.engine().docker(
        "create", "--name", place.name, "--label", "bullpen.data=x", PYTHON_IMAGE, "touch", "/x"
    )
    fresh = again(bench)
    assert await fresh.sandbox.find(order.folder) is None
    assert place.name not in docker_ground.engine().containers()
    with pytest.raises(Broken, match="called off"):
        await fresh.sandbox.start(order)


HOSTILE = """
import json, os, signal, sys
os.chdir(sys.argv[1])
for name in ("claim", "handle.json", "output", "wake"):
    os.unlink(name)
os.symlink("/etc/passwd", "output")
os.symlink("revoked", "claim")
with open("exit.json", "w") as file:
    json.dump({"status": 0, "at": 1}, file)
refused = []
for act in (lambda: os.unlink("order.json"), lambda: os.rename("order.json", "x"),
            lambda: open("order.json", "w"), lambda: open("container.json", "w"),
            lambda: os.unlink("container.json"), lambda: open("input/000009", "w"),
            lambda: os.rename("input", "y"), lambda: open("/bullpen-launcher.py", "w")):
    try:
        act()
    except OSError:
        refused.append(1)
open(sys.argv[2], "w").write(str(len(refused)))
while True:
    signal.pause()
"""


async def test_a_container_that_rewrites_its_folder_lives_as_long_as_the_engine_says(
    bench: Bench,
) -> None:
    order = bench.order("python3", "-c", HOSTILE)
    told = order.workspace / "told"
    order = replace(order, argv=(*order.argv, str(order.folder), str(told)))
    handle = await bench.start(order)
    await until(lambda: told.exists() and bool(told.read_text()), "it has done its worst")
    assert told.read_text() == "8"
    assert (await bench.sandbox.status(order.folder, handle)).alive
    assert await again(bench).sandbox.find(order.folder) == handle
    assert await bench.sandbox.start(order) == handle
    (line,) = await bench.lines(order)
    assert line.stream == "mark" and "no more of it can be read" in line.text
    waiting = asyncio.create_task(bench.sandbox.ended(order.folder, handle))
    done, _ = await asyncio.wait({waiting}, timeout=0.5)
    assert not done
    await bench.sandbox.stop(order.folder, handle, force=True)
    await waiting
    assert not (await bench.sandbox.status(order.folder, handle)).alive


async def test_who_starves_alone_is_ended_for_memory(bench: Bench) -> None:
    order = bench.order("python3", "-c", "x = b'x' * (400 << 20)", memory=60 << 20)
    end, _ = await bench.play(order)
    assert end.reason == "memory"


async def test_a_burst_of_processes_stays_within_the_kernel_s_limit(bench: Bench) -> None:
    code = """
import os, time
n = 0
try:
    for n in range(5000):
        if os.fork() == 0:
            time.sleep(1000)
except OSError:
    print("refused after", n, flush=True)
"""
    order = bench.order("python3", "-c", code)
    _, lines = await bench.play(order)
    assert int(texts(lines)[0].rpartition(" ")[2]) < 512


async def test_one_cpu_is_shared_by_all_that_it_runs(bench: Bench) -> None:
    code = """
import os, time
children = [os.fork() for _ in range(2)]
begun = time.monotonic()
while time.monotonic() - begun < 3:
    pass
if all(children):
    for child in children:
        os.waitpid(child, 0)
    t = os.times()
    print((t.user + t.system + t.children_user + t.children_system) / (time.monotonic() - begun))
"""
    container = {"image": PYTHON_IMAGE, "cpus": 0.2}
    _, lines = await bench.play(bench.order("python3", "-c", code, container=container))
    assert 0 < float(texts(lines)[-1]) < 0.5


async def test_mounts_are_shown_in_their_place_and_only_some_can_be_written(
    bench: Bench, tmp_path: Path
) -> None:
    for name in ("key", "cache", "home"):
        (tmp_path / name).mkdir()
    (tmp_path / "key/token").write_text("secret")
    text = "cat ~/.key; (echo x > ~/.key) 2>/dev/null || echo refused; echo y > ~/.cache/new"
    order = bench.order(
        "sh",
        "-c",
        text,
        writable=(tmp_path / "home",),
        mounts=(
            Mount(tmp_path / "key/token", "~/.key"),
            Mount(tmp_path / "cache", "~/.cache", writable=True),
        ),
    )
    order = replace(order, env={**order.env, "HOME": str(tmp_path / "home")})
    _, lines = await bench.play(order)
    assert texts(lines) == ["secretrefused"]
    assert (tmp_path / "key/token").read_text() == "secret"
    assert (tmp_path / "cache/new").read_text() == "y\n"
    missing = replace(bench.order("true"), mounts=(Mount(tmp_path / "nothing", "~/x"),))
    with pytest.raises(Broken, match="nothing, which the agent is to see, is missing"):
        await bench.sandbox.start(missing)
    assert await bench.sandbox.find(missing.folder) is None


async def test_it_runs_as_whoever_runs_bullpen_and_has_a_place_for_scratch(bench: Bench) -> None:
    order = bench.order("sh", "-c", "id -u; id -g; echo x > /tmp/x && cat /tmp/x")
    _, lines = await bench.play(order)
    assert texts(lines) == [str(os.getuid()), str(os.getgid()), "x"]


async def test_another_user_who_may_not_read_its_order_is_told_so(bench: Bench) -> None:
    container = {"image": PYTHON_IMAGE, "user": "4321"}
    end, _ = await bench.play(bench.order("true", container=container))
    assert end.reason == "not_started"
    assert "Permission denied" in str(end.error)


async def test_labels_tell_whose_it_is(bench: Bench) -> None:
    order = bench.order("sleep", "1000")
    handle = await bench.start(order)
    name = json.loads(handle)["container"]
    facts = json.loads(docker_ground.engine().docker("inspect", name))[0]
    assert name.startswith("bullpen-coding-7f3a91c2-1-")
    labels = facts["Config"]["Labels"]
    assert labels["bullpen.session"] == "coding-7f3a91c2"
    assert labels["bullpen.attempt"] == "1"
    assert len(labels["bullpen.data"]) == 16
    assert not facts["HostConfig"]["Privileged"]
    assert not [one for one in facts["Mounts"] if "docker.sock" in one["Source"]]
    assert not any("TOKEN" in word for word in facts["Config"]["Env"] or [])


async def test_what_is_missing_is_said_in_one_line_with_what_to_type(
    bench: Bench, tmp_path: Path
) -> None:
    sandbox = bench.sandbox
    assert "no image is configured" in str(sandbox.missing({}))
    assert sandbox.missing({"image": PYTHON_IMAGE}) is None
    await until(lambda: "docker " in str(sandbox.missing({"image": "no/such:1"})), "the answer")
    assert "pull no/such:1, or build it" in str(sandbox.missing({"image": "no/such:1"}))
    nowhere = DockerSandbox(engine=f"unix://{tmp_path}/no.sock")
    await until(lambda: bool(nowhere.missing({"image": "x"})), "the answer")
    assert "gives no answer" in str(nowhere.missing({"image": "x"}))
    for container, words in (
        ({"image": "no/such:1"}, "pull no/such:1, or build it"),
        ({"image": "no/such:1", "pull": True}, "Docker says"),
        ({}, "no image is configured"),
    ):
        order = bench.order("true", container=container)
        with pytest.raises(Broken, match=words):
            await sandbox.start(order)
        assert await sandbox.find(order.folder) is None


async def test_a_network_that_is_not_there_is_named(bench: Bench) -> None:
    order = bench.order("true", network="nonesuch")
    with pytest.raises(Broken, match="network nonesuch not found"):
        await bench.sandbox.start(order)
    assert await bench.sandbox.find(order.folder) is None
    assert not [one for one in docker_ground.engine().containers() if "coding-7f3a91c2" in one]


async def test_a_named_network_is_used(bench: Bench) -> None:
    docker_ground.engine().docker("network", "create", "--internal", "crew")
    try:
        order = bench.order("sh", "-c", "cat /proc/net/route | wc -l; ls /sys/class/net",
                            network="crew")  # fmt: skip
        _, lines = await bench.play(order)
        assert texts(lines)[1:] == ["eth0", "lo"]
    finally:
        docker_ground.engine().docker("network", "rm", "crew")


async def test_what_a_killed_bot_has_left_is_taken_away_at_the_next_ones_first_use(
    bench: Bench,
) -> None:
    """A probe of another process, and what has ended; what runs or is not over stays."""
    engine = docker_ground.engine()
    order, ended, open_one = (bench.order("sleep", "1000") for _ in range(3))
    await bench.start(order)
    facts = json.loads(engine.docker("inspect", *engine.containers()))
    mark = next(one["Config"]["Labels"]["bullpen.data"] for one in facts
                if one["Config"]["Labels"]["bullpen.folder"] == str(order.folder))
    ended.folder.mkdir()
    (ended.folder / "exit.json").write_text('{"status": 0, "at": 7}')
    open_one.folder.mkdir()

    def left(name: str, data: str, **labels: str) -> str:
        words = [part for key, value in {"data": data, **labels}.items()
                 for part in ("--label", f"bullpen.{key}={value}")]  # fmt: skip
        engine.docker("create", "--name", name, *words, PYTHON_IMAGE, "true")
        return name

    gone, stays = set[str](), set[str]()
    try:
        gone = {
            left("bullpen-left-probe", mark, probe="another"),
            left("bullpen-left-ended", mark, folder=str(ended.folder)),
            left("bullpen-left-gone", mark, folder=str(bench.base / "nowhere")),
        }
        stays = {
            left("bullpen-left-open", mark, folder=str(open_one.folder)),
            left("bullpen-left-other", "another", probe="another"),
        }
        assert (await again(bench).sandbox.find(order.folder)) is not None
        there = set(engine.containers())
        assert not there & gone
        assert stays < there
        assert await again(bench).sandbox.find(ended.folder) is None
    finally:
        for name in gone | stays:
            if name in engine.containers():
                engine.docker("rm", "-f", name)


async def test_what_another_bullpen_has_at_the_same_path_is_left_alone(bench: Bench) -> None:
    """On another machine, whose agents run on the same engine: what it is about to start, say."""
    engine, data = docker_ground.engine(), bench.base / "data"
    order = bench.order("sleep", "1000")
    handle = await bench.start(order)
    facts = json.loads(engine.docker("inspect", json.loads(handle)["container"]))[0]
    words = ["--label", f"bullpen.data={facts['Config']['Labels']['bullpen.data']}",
             "--label", f"bullpen.folder={bench.base / 'not-on-this-machine'}"]
    engine.docker("create", "--name", "bullpen-left-there", *words, PYTHON_IMAGE, "true")
    try:
        data.mkdir(exist_ok=True)
        data.rename(bench.base / "there")
        await again(bench).sandbox.find(order.folder)
        assert "bullpen-left-there" in engine.containers()
        shutil.rmtree(data, ignore_errors=True)
        (bench.base / "there").rename(data)
        await again(bench).sandbox.find(order.folder)
        assert "bullpen-left-there" not in engine.containers()
    finally:
        if "bullpen-left-there" in engine.containers():
            engine.docker("rm", "-f", "bullpen-left-there")


ATTACH = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long] * 4
print(libc.ptrace(16, 1, 0, 0), libc.ptrace(0x4206, 1, 0, 0))
try:
    open("/proc/1/mem", "r+b")
except OSError:
    print("refused")
print(open("/proc/self/oom_score_adj").read())
"""


@pytest.mark.parametrize("user", ["0", "4321"])
async def test_an_agent_can_t_take_hold_of_its_launcher(bench: Bench, user: str) -> None:
    order = bench.order("python3", "-c", ATTACH, container={"image": PYTHON_IMAGE, "user": user})
    for folder in (order.folder.parent, order.folder.parent.parent):
        folder.chmod(0o755)
    order.folder.mkdir(mode=0o777)
    os.chown(order.folder, int(user), int(user))
    end, lines = await readable(bench, order)
    assert end.status == 0, end
    assert texts(lines)[:3] == ["-1 -1", "refused", "500"]


async def readable(bench: Bench, order: Order) -> tuple[Exit, list[Line]]:
    """Play it as another user, who may read its order."""
    sandbox = bench.sandbox
    assert isinstance(sandbox, DockerSandbox)
    await sandbox._prepare(order)
    for path in (order.folder, *order.folder.iterdir()):
        os.chmod(path, 0o777)
    for path in order.folder.rglob("*"):
        os.chmod(path, 0o777)
    return await bench.play(order)


def frozen(order: Order) -> None:
    """Its launcher does nothing any more."""
    (pid,) = [pid for pid in others_with(f"{order.folder}") if INSIDE in words_of(pid)]
    os.kill(pid, signal.SIGSTOP)


def words_of(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().decode()


@pytest.mark.parametrize("force", [False, True])
async def test_a_launcher_that_is_frozen_does_not_keep_it_from_being_ended(
    bench: Bench, force: bool
) -> None:
    seconds = some_seconds()
    order = bench.order("sh", "-c", f"echo ready; sleep {seconds}")
    handle = await bench.start(order)
    await bench.said(order, "ready")
    frozen(order)
    async with asyncio.timeout(2 * HEARING + 20):
        end = await bench.sandbox.stop(order.folder, handle, force)
    assert end.reason == "stopped"
    assert not others_with(seconds)


@pytest.mark.parametrize("limit", ["wall_time", "idle_time"])
async def test_a_launcher_that_is_frozen_does_not_free_it_of_its_limits(
    bench: Bench, limit: str
) -> None:
    sandbox = bench.sandbox
    assert isinstance(sandbox, DockerSandbox)
    sandbox._holds = Holds(sandbox._containers, slack=0.5)
    order = bench.order("sh", "-c", "echo ready; sleep 1000", **{limit: 3.0})
    handle = await bench.start(order)
    await bench.said(order, "ready")
    frozen(order)
    assert (await bench.end(order, handle)).reason == limit
