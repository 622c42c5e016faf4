"""A Docker engine behind ssh when things go wrong: the way there breaks, the bot is killed."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from core.errors import Broken, Unreachable
from core.model import Mount
from core.sandboxes.attempt import Attempt
from core.sandboxes.docker.stream import _unchunked
from tests import remote_bench
from tests.fakes.git_world import new_repository, run_git
from tests.remote_bench import Afar
from tests.sandbox_bench import ENV, PATIENCE, lose, others_with, some_seconds, texts, until

pytestmark = pytest.mark.faults


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Afar]:
    bench = await Afar.opened(tmp_path)
    yield bench
    await bench.over()
    assert not [name for name in remote_bench.engine().containers() if "coding-7f3a91c2" in name]
    assert remote_bench.engine().docker("volume", "ls", "--quiet") == ""


async def test_the_way_there_breaks_and_comes_back_and_no_line_is_lost(bench: Afar) -> None:
    order = bench.order("sh", "-c", "for i in $(seq 80); do echo $i; sleep 0.1; done")
    handle = await bench.start(order)
    await bench.said(order, "3")
    bench.sshd.stop()  # type: ignore[union-attr]
    assert re.search("gives no answer|broken off", await bench.lost(order, handle))
    for asked in (bench.sandbox.status(order.folder, handle),
                  bench.sandbox.stop(order.folder, handle),
                  bench.sandbox.start(bench.order("true")),
                  bench.sandbox.find(order.folder)):
        with pytest.raises(Unreachable, match="Connection refused"):
            await asked
    said = texts(await bench.lines(order))
    assert said == [str(n) for n in range(1, len(said) + 1)]
    bench.sshd.start()  # type: ignore[union-attr]
    assert await bench.sandbox.find(order.folder) == handle
    end = await bench.back(order, handle)
    assert (end.status, end.reason) == (0, None)
    assert texts(await bench.lines(order)) == [str(n) for n in range(1, 81)]


REFUSING = """#!%s
import sys
asked = sys.stdin.buffer
while (line := asked.readline()):
    while asked.readline().strip():
        pass
    ping = b"_ping" in line
    said = b"OK" if ping else b'{"message": "the graph driver is broken"}'
    status = b"200 OK" if ping else b"500 Internal Server Error"
    head = b"HTTP/1.1 %%s\\r\\nContent-Type: application/json\\r\\nContent-Length: %%d\\r\\n\\r\\n"
    sys.stdout.buffer.write(head %% (status, len(said)) + said)
    sys.stdout.buffer.flush()
    if not ping:
        break
"""


async def test_an_engine_that_refuses_to_tell_is_one_that_is_away(bench: Afar) -> None:
    """It answers, but not whether it lives; what is to start there fails in one line."""
    assert bench.sshd is not None
    order = bench.order("sh", "-c", "for i in $(seq 40); do echo $i; sleep 0.1; done")
    handle = await bench.start(order)
    await bench.said(order, "3")
    way = bench.sshd.ssh.read_text()
    bench.sshd.stop()
    bench.sshd.ssh.write_text(REFUSING % sys.executable)
    for asked in (bench.sandbox.ended, bench.sandbox.status, bench.sandbox.stop):
        with pytest.raises(Unreachable, match="the graph driver is broken"):
            await asyncio.wait_for(_insisting(asked, order.folder, handle), PATIENCE)
    with pytest.raises(Broken, match="the graph driver is broken") as caught:
        await asyncio.wait_for(_insisting(bench.sandbox.start, bench.order("true")), PATIENCE)
    assert not isinstance(caught.value, Unreachable)
    bench.sshd.ssh.write_text(way)
    bench.sshd.start()
    end = await bench.back(order, handle)
    assert (end.status, end.reason) == (0, None)
    assert texts(await bench.lines(order)) == [str(n) for n in range(1, 41)]


async def _insisting(asked: Callable[..., Awaitable[object]], *about: object) -> object:
    """Beyond the connections that have just broken."""
    while True:
        try:
            return await asked(*about)
        except Unreachable as error:
            if not re.search("gives no answer|broken off|Connection", str(error)):
                raise


async def test_the_bot_dies_meanwhile_and_no_line_is_lost_or_doubled(bench: Afar) -> None:
    order = bench.order("sh", "-c", "for i in $(seq 60); do echo $i; sleep 0.1; done")
    handle = await bench.start(order)
    for at in ("3", "15", "30"):
        await bench.said(order, at)
        bench = await bench.again()
        assert await bench.sandbox.find(order.folder) == handle
    end = await bench.end(order, handle)
    assert (end.status, end.reason) == (0, None)
    assert texts(await bench.lines(order)) == [str(n) for n in range(1, 61)]
    await bench.sandbox.close()  # type: ignore[attr-defined]


async def test_however_often_it_is_asked_there_is_one_container(bench: Afar) -> None:
    words = some_seconds()
    order = bench.order("sh", "-c", f"echo begun; exec sleep {words}")
    handles = await asyncio.gather(*(bench.start(order) for _ in range(4)))
    assert len(set(handles)) == 1
    await bench.said(order, "begun")
    await bench.sandbox.stop(order.folder, handles[0], force=True)
    assert await bench.start(order) == handles[0]
    assert texts(await bench.lines(order)) == ["begun"]
    assert not others_with(words)


async def test_it_is_walled_in_and_gets_what_it_is_to_see(bench: Afar, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("a-credential\n")
    order = bench.order(
        "sh", "-c", "cat /opt/auth/key; touch /x || echo read-only; id -u; echo hi > made; "
        "cat made; ls -d /tmp/*/; grep CapEff /proc/self/status; echo $API_KEY; sleep 1000",
        env={**ENV, "API_KEY": "very-secret-value"}, memory=512 << 20,
        mounts=(Mount(key, "/opt/auth/key"),),
        container={**bench.container, "user": "1000:1000", "cpus": 0.5})
    handle = await bench.start(order)
    await bench.said(order, "very-secret-value")
    said = texts(await bench.lines(order))
    assert said[:4] == ["a-credential", "read-only", "1000", "hi"]
    assert "CapEff:\t0000000000000000" in said
    name = json.loads(handle)["container"]
    facts = json.loads(remote_bench.engine().docker("inspect", name))[0]
    text, host = json.dumps(facts), facts["HostConfig"]
    assert order.door is not None
    assert not [word for word in ("very-secret-value", "a-credential", order.door.token)
                if word in text]
    assert (host["ReadonlyRootfs"], host["Privileged"], host["CapDrop"]) == (True, False, ["ALL"])
    assert host["Memory"] == (512 + 96) << 20
    assert not [one for one in facts["Mounts"] if one["Type"] == "bind"]
    await bench.sandbox.stop(order.folder, handle, force=True)


async def test_code_goes_there_and_comes_back(bench: Afar) -> None:
    order = bench.order("sh", "-c", "cat README.md; echo more > more.txt;"
                        " git add . && git commit -qm 'One by it'; echo left > left.txt")
    new_repository(bench.base / "code")
    order = replace(order, workspace=bench.base / "code")
    end, lines = await bench.play(order)
    assert (end.status, end.error) == (0, None), lines
    assert run_git(order.workspace, "show", "HEAD~1:more.txt") == "more"
    assert (order.workspace / "left.txt").read_text() == "left\n"


async def test_what_uses_more_memory_than_it_may_is_ended_for_that(bench: Afar) -> None:
    text = "x=$(head -c 400000000 /dev/zero | tr '\\0' x); echo $x | wc -c"
    end, _ = await bench.play(bench.order("sh", "-c", text, memory=64 << 20))
    assert end.reason == "memory"


@pytest.mark.parametrize("way", [["kill"], ["rm", "-f"]], ids=["killed", "removed"])
async def test_a_container_that_somebody_ends_is_gone(bench: Afar, way: list[str]) -> None:
    order = bench.order("sh", "-c", "echo ready; sleep 1000")
    handle = await bench.start(order)
    await bench.said(order, "ready")
    remote_bench.engine().docker(*way, json.loads(handle)["container"])
    if way == ["rm", "-f"]:
        remote_bench.engine().docker("volume", "prune", "--force")
    assert (await bench.end(order, handle)).reason == "gone"


async def test_a_bot_started_after_its_folder_was_deleted_can_stop_it(bench: Afar) -> None:
    """Also while the way there is broken at first."""
    words = some_seconds()
    order = bench.order("sh", "-c", f"trap '' TERM; echo ready; sleep {words}; sleep {words}")
    handle = await bench.start(order)
    await bench.said(order, "ready")
    bench.sshd.stop()  # type: ignore[union-attr]
    lose(order.folder)
    bench = await bench.again()
    with pytest.raises(Unreachable):
        await bench.sandbox.stop(order.folder, handle)
    bench.sshd.start()  # type: ignore[union-attr]
    assert (await bench.sandbox.status(order.folder, handle)).alive
    async with asyncio.timeout(PATIENCE):
        assert (await bench.sandbox.stop(order.folder, handle)).reason == "stopped"
    assert not others_with(words)
    assert json.loads(handle)["container"] not in remote_bench.engine().containers()
    await bench.sandbox.close()  # type: ignore[attr-defined]


async def test_what_was_made_and_never_started_is_found_as_nothing(bench: Afar) -> None:
    order = bench.order("sleep", "1000")
    place = await bench.sandbox._prepared(order)  # type: ignore[attr-defined]
    assert Attempt(order.folder).take("docker-remote")
    remote_bench.engine().docker("create", "--name", place.name, remote_bench.PYTHON_IMAGE, "true")
    assert await bench.sandbox.find(order.folder) is None
    assert place.name not in remote_bench.engine().containers()
    with pytest.raises(Broken, match="called off"):
        await bench.sandbox.start(order)


async def test_without_a_network_there_is_no_way_back(bench: Afar) -> None:
    order = bench.order("true", network="off")
    with pytest.raises(Broken, match="finds no way back without a network"):
        await bench.sandbox.start(order)
    assert await bench.sandbox.find(order.folder) is None


def test_a_body_in_chunks_is_whole_however_it_comes() -> None:
    body = b"3\r\nabc\r\nA;x=1\r\n0123456789\r\n1\r\n\n\r\n0\r\n\r\n"
    for size in range(1, len(body)):
        pieces = (body[at : at + size] for at in range(0, len(body), size))
        assert b"".join(_unchunked(pieces)) == b"abc0123456789\n"


async def test_nothing_of_ssh_is_left(bench: Afar) -> None:
    order = bench.order("echo", "hello")
    end, lines = await bench.play(order)
    assert (end.status, texts(lines)) == (0, ["hello"])
    await bench.sandbox.close()  # type: ignore[attr-defined]
    folder = str(bench.base / "ssh")
    bench.sandbox = Afar.made(bench.base, bench.api, bench.sshd)  # type: ignore[arg-type]
    await until(lambda: len(others_with(f"{folder}/client.conf")) <= 2, "the followers' ends")
