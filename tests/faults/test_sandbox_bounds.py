"""What an agent behind its walls can put in place of the launcher's files costs the bot next to
nothing, however often it looks: neither time, nor memory, nor a descriptor."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from core.errors import Broken
from core.ports import Exit
from core.sandboxes import carried, exchange, files
from core.sandboxes.attempt import Attempt
from core.sandboxes.docker import DockerSandbox
from core.sandboxes.host import HostSandbox
from core.worktrees.reading import read_place
from tests import docker_ground
from tests.sandbox_bench import Bench, texts

pytestmark = pytest.mark.faults

HANDLE = {"boot": "x", "child": 2, "pid": 1, "start": 1}


@pytest.fixture
def attempt(tmp_path: Path) -> Attempt:
    return Attempt(tmp_path)


def padded(value: object, size: int) -> str:
    """The same, in so many bytes of JSON that are many things to make."""
    text = json.dumps(value)[:-1] + ', "a": ['
    return text + "[]," * ((size - len(text) - 10) // 3) + "[]]}"


@pytest.mark.parametrize("size", [files.SMALL + 1000, 1 << 20, (16 << 20) - 1000])
def test_what_is_larger_than_a_launcher_writes_is_not_looked_into(
    attempt: Attempt, size: int
) -> None:
    (attempt.folder / "exit.json").write_text(padded({"status": 0, "left": [2]}, size))
    (attempt.folder / "handle.json").write_text(padded(HANDLE, size))
    end = attempt.end()
    assert end is not None
    assert (end.status, end.reason, attempt.left(), attempt.handle()) == (None, "gone", [], None)


def test_what_a_launcher_writes_is_read_up_to_its_last_byte(attempt: Attempt) -> None:
    (attempt.folder / "handle.json").write_text(json.dumps(HANDLE))
    assert attempt.handle() == json.dumps(HANDLE, separators=(",", ":"))
    (attempt.folder / "exit.json").write_text(json.dumps({"status": 3}).ljust(files.SMALL))
    assert attempt.end() == Exit(3)


@pytest.mark.parametrize("name", ["exit.json", "handle.json", "order.json"])
@pytest.mark.parametrize("put", [Path.mkdir, os.mkfifo, Path.touch])
def test_a_look_at_what_was_put_there_keeps_no_descriptor(
    attempt: Attempt, put: Callable[[Path], object], name: str
) -> None:
    put(attempt.folder / name)
    open_before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        attempt.end(), attempt.handle(), attempt.left(), attempt.grace()
    assert len(os.listdir("/proc/self/fd")) == open_before


@pytest.mark.parametrize("name", ["HEAD", "packed-refs", "config"])
def test_nor_does_a_look_into_a_workspace(tmp_path: Path, name: str) -> None:
    """Also on the way to a place elsewhere."""
    inner = tmp_path / ".git"
    (inner / name).mkdir(parents=True)
    if name != "HEAD":
        (inner / "HEAD").write_text("ref: refs/heads/main\n")
    open_before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        assert read_place(tmp_path)[1] == ""
        assert exchange._text(inner / name) == ""
        with pytest.raises(Broken, match="it is no file"):
            carried.content(inner / name, [tmp_path])
    assert len(os.listdir("/proc/self/fd")) == open_before


async def test_however_much_there_is_to_say_of_an_end_it_is_read(tmp_path: Path) -> None:
    bench = Bench(HostSandbox(), tmp_path)
    end, _ = await bench.play(bench.order("/" + "\x01" * 30_000))
    assert end.reason == "not_started"


FORGER = """
import os, sys, time
os.chdir(sys.argv[1])
many = '[],' * ((16 << 20) // 3 - 100)
for name in ('exit.json', 'handle.json'):
    with open('x', 'w') as file:
        file.write('{"status": 0, "pid": 1, "start": 1, "boot": "x", "a": [' + many + '[]]}')
    os.rename('x', name)
print('written', flush=True)
input()
os.unlink('exit.json')
os.mkdir('exit.json')
print('a folder', flush=True)
time.sleep(1000)
"""


async def test_behind_docker_s_walls_nothing_is_put_there_that_is_more_than_a_look(
    tmp_path: Path
) -> None:
    sandbox = DockerSandbox(tmp_path / "data", docker_ground.engine().address)
    bench = Bench(sandbox, tmp_path)
    try:
        order = bench.order("python3", "-c", FORGER, str(tmp_path / "attempt-1"), input_open=True)
        handle = await bench.start(order)
        waiting = asyncio.ensure_future(sandbox.ended(order.folder, handle))
        await bench.said(order, "written")
        end = Attempt(order.folder).end()
        assert end is not None and end.status is None
        await sandbox.send(order.folder, 1, b"\n")
        await bench.said(order, "a folder")
        open_before = len(os.listdir("/proc/self/fd"))
        for _ in range(50):
            assert (await sandbox.status(order.folder, handle)).alive
            Attempt(order.folder).end()
        assert len(os.listdir("/proc/self/fd")) < open_before + 25, "but for the engine's"
        assert not waiting.done()
        end = await sandbox.stop(order.folder, handle)
        await waiting
        assert end.reason in ("stopped", "gone")
        assert texts(await bench.lines(order)) == ["written", "a folder"]
    finally:
        await bench.clean()
