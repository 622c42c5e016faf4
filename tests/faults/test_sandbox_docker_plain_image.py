"""An image without Python: no launcher, the engine's log is the output."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core.errors import Broken
from core.sandboxes.docker import DockerSandbox
from tests import docker_ground
from tests.docker_ground import PLAIN_IMAGE
from tests.sandbox_bench import (
    PATIENCE,
    Bench,
    after_an_answer_it_has_its_whole_idle_time,
    lose,
    others_with,
    some_seconds,
    texts,
)

pytestmark = pytest.mark.faults

PLAIN = {"container": {"image": PLAIN_IMAGE}}


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(DockerSandbox(tmp_path / "data", docker_ground.engine().address), tmp_path)
    yield bench
    await bench.clean()


def again(bench: Bench) -> Bench:
    """The same after a restart of the bot."""
    return Bench(DockerSandbox(bench.base / "data", docker_ground.engine().address), bench.base)


@pytest.mark.parametrize(
    ("command", "status", "number"), [("exit 0", 0, None), ("exit 3", 3, None)]
)
async def test_its_end_and_output(
    bench: Bench, command: str, status: int | None, number: int | None
) -> None:
    text = "for i in $(seq 500); do echo out $i; echo err $i >&2; done; printf unfinished; "
    text += command
    end, lines = await bench.play(bench.order("sh", "-c", text, **PLAIN))
    assert (end.status, end.signal, end.reason) == (status, number, None)
    assert texts(lines) == [*(f"out {i}" for i in range(1, 501)), "unfinished"]
    assert texts(lines, "err") == [f"err {i}" for i in range(1, 501)]
    assert [line.end for line in lines] == sorted({line.end for line in lines})


async def test_what_cannot_start_says_why(bench: Bench) -> None:
    order = bench.order("no-such-agent", **PLAIN)
    with pytest.raises(Broken, match="no-such-agent"):
        await bench.sandbox.start(order)
    assert await bench.sandbox.find(order.folder) is None
    assert not [name for name in docker_ground.engine().containers() if "coding-7f3a91c2" in name]


async def test_no_line_is_lost_or_doubled_over_restarts_of_the_bot(bench: Bench) -> None:
    """A new reader goes on each time, also one that died after it had written and before it had
    said so."""
    text = "i=0; while [ $i -lt 3000 ]; do i=$((i+1)); echo $i; echo e$i >&2; done; "
    text += "sleep 2; echo end"
    order = bench.order("sh", "-c", text, **PLAIN)
    handle = await bench.start(order)
    position, said = 0, []
    for turn in range(100):
        reader = again(bench)
        lines = await reader.sandbox.read(order.folder, position, 3000)
        said += lines
        if lines:
            position = lines[-1].end
        if turn % 5 == 0:
            with (order.folder / "output").open("ab") as file:
                file.write(b"1 o torn by a cra")
        if said and said[-1].text == "end":
            break
        await asyncio.sleep(0.05)
    end = await again(bench).end(order, handle)
    assert end.status == 0
    said += await again(bench).lines(order, position)
    assert texts(said) == [*(str(n) for n in range(1, 3001)), "end"]
    assert texts(said, "err") == [f"e{n}" for n in range(1, 3001)]


async def test_long_lines_stay_whole(bench: Bench) -> None:
    text = "head -c 100000 /dev/zero | tr '\\0' x; echo; echo short"
    _, lines = await bench.play(bench.order("sh", "-c", text, **PLAIN))
    assert texts(lines) == ["x" * 100_000, "short"]


async def test_input_arrives_and_ends(bench: Bench) -> None:
    data = "".join(f"line {n}\n" for n in range(2000)).encode()
    _, lines = await bench.play(bench.order("cat", first_input=data, **PLAIN))
    assert texts(lines) == data.decode().splitlines()
    order = bench.order("cat", first_input=b"zero\n", input_open=True, **PLAIN)
    handle = await bench.start(order)
    for _ in range(2):
        await bench.sandbox.send(order.folder, 1, b"one\n")
    await bench.said(order, "one")
    await bench.sandbox.send(order.folder, 2, b"two\n", last=True)
    end = await bench.end(order, handle)
    assert (end.status, texts(await bench.lines(order))) == (0, ["zero", "one", "two"])


async def test_after_a_restart_it_takes_no_more_input_and_says_so(bench: Bench) -> None:
    order = bench.order("sleep", "1000", input_open=True, **PLAIN)
    await bench.start(order)
    with pytest.raises(Broken, match="takes no more input"):
        await again(bench).sandbox.send(order.folder, 1, b"one\n")


async def test_it_is_found_again_and_started_once(bench: Bench) -> None:
    order = bench.order("sh", "-c", "echo once >> trace; exec sleep 1000", **PLAIN)
    handles = await asyncio.gather(*(bench.start(order) for _ in range(3)))
    assert set(handles) == {await again(bench).sandbox.find(order.folder)}
    await bench.sandbox.stop(order.folder, handles[0], force=True)
    assert await bench.sandbox.start(order) == handles[0]
    assert (order.workspace / "trace").read_text() == "once\n"
    never = bench.order("touch", "never", **PLAIN)
    never.folder.mkdir()
    assert await bench.sandbox.find(never.folder) is None
    with pytest.raises(Broken, match="called off"):
        await bench.sandbox.start(never)


async def test_stops_leave_nothing(bench: Bench) -> None:
    seconds = some_seconds()
    for force in (False, True):
        order = bench.order("sh", "-c", f"sleep {seconds} & echo ready; sleep {seconds}", **PLAIN)
        handle = await bench.start(order)
        await bench.said(order, "ready")
        assert (await bench.sandbox.stop(order.folder, handle, force)).reason == "stopped"
        assert not others_with(seconds)


@pytest.mark.parametrize("anew", [False, True], ids=["the same bot", "another bot"])
async def test_what_has_lost_its_folder_can_be_stopped(bench: Bench, anew: bool) -> None:
    """The engine's log has no place to go any more."""
    seconds = some_seconds()
    order = bench.order("sh", "-c", f"while :; do echo a; sleep 0.1; done & sleep {seconds}",
                        idle_time=1000.0, **PLAIN)
    handle = await bench.start(order)
    await bench.said(order, "a")
    waiting = asyncio.create_task(bench.sandbox.ended(order.folder, handle))
    await asyncio.wait({waiting}, timeout=0.5)
    lose(order.folder)
    await asyncio.wait({waiting}, timeout=0.5)
    assert not waiting.done()
    sandbox = bench.sandbox
    if anew:
        waiting.cancel()
        sandbox = again(bench).sandbox
        waiting = asyncio.create_task(sandbox.ended(order.folder, handle))
    assert (await sandbox.status(order.folder, handle)).alive
    async with asyncio.timeout(PATIENCE):
        assert (await sandbox.stop(order.folder, handle, force=True)).reason == "stopped"
        await waiting
        assert (await bench.sandbox.status(order.folder, handle)).end is not None
    assert not others_with(seconds)
    assert not order.folder.exists()


async def test_after_an_answer_it_has_its_whole_idle_time(bench: Bench) -> None:
    await after_an_answer_it_has_its_whole_idle_time(bench, **PLAIN)


async def test_its_times_are_not_told_by_a_clock_that_can_be_set(bench: Bench) -> None:
    """By the machine's own, and that goes on where the bot is started again."""
    before = time.monotonic()
    order = bench.order("sleep", "1000", wall_time=3.0, **PLAIN)
    handle = await bench.start(order)
    kept = json.loads((order.folder / "mirror.json").read_text())
    assert before <= kept["begun"] <= kept["heard"] <= time.monotonic()
    end = await again(bench).end(order, handle)
    assert end.reason == "wall_time"
    assert time.monotonic() - before >= 3.0


@pytest.mark.parametrize(
    ("limits", "command", "reason"),
    [
        ({"wall_time": 0.5}, "sleep 1000", "wall_time"),
        ({"idle_time": 1.0}, "echo a; sleep 1000", "idle_time"),
        ({"output_limit": 100_000, "log_cap": 10_000}, "yes", "output_limit"),
        ({"memory": 20 << 20}, "x=$(yes | head -c 60000000); echo $x | wc -c", "memory"),
    ],
)
async def test_each_limit_tells_its_reason(
    bench: Bench, limits: dict[str, object], command: str, reason: str
) -> None:
    end, lines = await bench.play(bench.order("sh", "-c", command, **limits, **PLAIN))
    assert end.reason == reason
    if reason == "output_limit":
        marks = [line.text for line in lines if line.stream == "mark"]
        assert marks[0].startswith("log cap reached")
        assert "bytes were not kept" in marks[1]
