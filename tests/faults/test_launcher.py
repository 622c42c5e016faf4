"""The launcher and the host sandbox when things go wrong: real processes, really killed."""

from __future__ import annotations

import ast
import asyncio
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from core.errors import Broken
from core.model import Mount
from core.sandboxes.attempt import Attempt, identity
from core.sandboxes.host import LAUNCHER, HostSandbox
from tests.sandbox_bench import (
    PATIENCE,
    SANDBOXES,
    Bench,
    lives,
    others_with,
    some_seconds,
    texts,
    until,
)

ROOT = Path(__file__).parents[2]

ESCAPE = """
import os, signal, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        code = "import os,signal,time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        code += "open('pid','w').write(str(os.getpid())+chr(10)); time.sleep(1000)"
        null = os.open("/dev/null", os.O_RDWR)
        for fd in range(3 if "open" not in sys.argv else 0): os.dup2(null, fd)
        argv = [sys.executable, "-I", "-S", "-c", code, "escaped-" "NAME"]
        os.execve(sys.executable, argv, {})
    os._exit(0)
while not os.path.exists("pid") or not open("pid").read(): time.sleep(0.01)
print("escaped")
"""
"""Forks twice into a session of its own with an empty environment, ignores TERM, and
writes its pid."""


@pytest.fixture(params=["host", "bubblewrap"])
async def bench(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(SANDBOXES[request.param](tmp_path), tmp_path)
    yield bench
    await bench.clean()


def escape(then: str = "") -> tuple[str, str]:
    """The script, and words by which the escaped one is found, also from outside of walls."""
    name = some_seconds()
    return ESCAPE.replace("NAME", name) + then, f"escaped-{name}"


@pytest.mark.parametrize("more,words", [
    ({"network": "off"}, "closes no network"),
    ({"mounts": (Mount(Path("/etc/hosts"), "~/hosts"),)}, "shows no mounts"),
])
async def test_the_plain_host_starts_nothing_that_it_cannot_keep(
        tmp_path: Path, more: dict[str, Any], words: str) -> None:
    bench = Bench(HostSandbox(), tmp_path)
    with pytest.raises(Broken, match=words):
        await bench.start(bench.order("touch", "begun", **more))
    assert not (tmp_path / "begun").exists()
    await bench.clean()


# -- What it leaves behind ----------------------------------------------------------------


async def test_an_escaped_process_is_gone_after_a_normal_end(bench: Bench) -> None:
    script, escaped = escape()
    end, lines = await bench.play(bench.script(script))
    assert (end.status, texts(lines)) == (0, ["escaped"])
    assert not others_with(escaped)


@pytest.mark.parametrize("force", [False, True])
async def test_an_escaped_process_is_gone_after_a_stop(bench: Bench, force: bool) -> None:
    script, escaped = escape("time.sleep(1000)")
    order = bench.script(script)
    handle = await bench.start(order)
    await bench.said(order, "escaped")
    assert others_with(escaped)
    await bench.sandbox.stop(order.folder, handle, force=force)
    assert not others_with(escaped)


async def test_output_held_open_by_a_grandchild_delays_no_end(bench: Bench) -> None:
    script, escaped = escape()
    end, lines = await bench.play(bench.script("import sys; sys.argv.append('open')" + script))
    assert (end.status, end.reason, texts(lines)) == (0, None, ["escaped"])
    assert not others_with(escaped)


async def test_after_the_launcher_is_killed_nothing_is_left_and_it_is_gone(bench: Bench) -> None:
    script, escaped = escape("time.sleep(1000)")
    order = bench.script(script)
    handle = await bench.start(order)
    await bench.said(order, "escaped")
    child = json.loads(handle)["child"]
    assert others_with(escaped)
    waiting = asyncio.create_task(bench.sandbox.ended(order.folder, handle))
    os.kill(identity(handle).pid, signal.SIGKILL)
    await asyncio.wait_for(waiting, PATIENCE)
    await until(lambda: not lives(child), "the agent dies with its launcher")
    status = await bench.sandbox.status(order.folder, handle)
    assert status.end is not None
    assert status.end.reason == "gone"
    assert not others_with(escaped)
    assert not lives(child)
    assert texts(await bench.lines(order)) == ["escaped"]
    assert await bench.sandbox.stop(order.folder, handle) == status.end


async def test_a_stop_ends_what_a_killed_launcher_left(bench: Bench) -> None:
    script, escaped = escape("time.sleep(1000)")
    order = bench.script(script)
    handle = await bench.start(order)
    await bench.said(order, "escaped")
    os.kill(identity(handle).pid, signal.SIGKILL)
    end = await bench.sandbox.stop(order.folder, handle)
    assert end.reason in {"gone", "stopped"}
    assert not others_with(escaped)


async def test_a_frozen_launcher_does_not_stand_in_the_way(bench: Bench) -> None:
    order = bench.order("sleep", "1000")
    handle = await bench.start(order)
    launcher = identity(handle).pid
    os.kill(launcher, signal.SIGSTOP)
    stopping = asyncio.create_task(bench.sandbox.stop(order.folder, handle, force=True))
    await asyncio.sleep(0)
    os.kill(launcher, signal.SIGCONT)
    assert (await asyncio.wait_for(stopping, PATIENCE)).reason == "stopped"


# -- Who is who ---------------------------------------------------------------------------


async def test_another_process_with_the_same_pid_is_never_touched(bench: Bench) -> None:
    order = bench.order("true")
    handle = await bench.start(order)
    await bench.end(order, handle)
    (order.folder / "exit.json").unlink()
    other = subprocess.Popen(["sleep", "1000"])
    try:
        stale = json.dumps(json.loads(handle) | {"pid": other.pid})
        await bench.sandbox.ended(order.folder, stale)
        status = await bench.sandbox.status(order.folder, stale)
        assert status.end is not None
        assert status.end.reason == "gone"
        await bench.sandbox.stop(order.folder, stale, force=True)
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


async def test_what_ran_before_a_reboot_is_gone(bench: Bench) -> None:
    order = bench.order("sleep", "1000")
    handle = await bench.start(order)
    earlier = json.dumps(json.loads(handle) | {"boot": "00000000-0000-0000-0000-000000000000"})
    folder = bench.base / "restored"
    folder.mkdir()
    status = await bench.sandbox.status(folder, earlier)
    assert status.end is not None
    assert status.end.reason == "gone"
    assert (await bench.sandbox.status(order.folder, handle)).alive


# -- Started at most once -----------------------------------------------------------------

STARTER = """
import asyncio, sys
from pathlib import Path
from core.ports import Order
from core.sandboxes.host import HostSandbox
base = Path(sys.argv[1])
order = Order("coding-1", 1, base / "attempt", base, ("sh", "-c", sys.argv[2]),
              {"PATH": "/usr/bin:/bin"}, input_open=True)
print("ready", flush=True)
sys.stdin.readline()
handle = asyncio.run(HostSandbox().start(order))
print(handle, flush=True)
sys.stdin.readline()
"""


def starter(base: Path, command: str) -> subprocess.Popen[str]:
    """A process that starts an attempt when it is given a line, and then waits."""
    base.mkdir()
    argv = [sys.executable, "-c", STARTER, str(base), command]
    return subprocess.Popen(
        argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


@pytest.mark.faults
@pytest.mark.parametrize("delay", [0, 0.002, 0.004, 0.007, 0.01, 0.015, 0.02, 0.03, 0.05, 0.08])
async def test_killed_while_starting_it_has_started_once_or_never_will(
    bench: Bench, delay: float
) -> None:
    base = bench.base / "case"
    process = starter(base, "echo started >> trace; exit 5")
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        await asyncio.to_thread(process.stdout.readline)
        process.stdin.write("go\n")
        process.stdin.flush()
        time.sleep(delay)
        process.kill()
    folder, trace = base / "attempt", base / "trace"
    handle = await bench.sandbox.find(folder)
    if handle is None:
        await until(lambda: not others_with(str(folder)), "the launcher gives up")
        assert not trace.exists()
        assert await bench.sandbox.find(folder) is None
        return
    await asyncio.wait_for(bench.sandbox.ended(folder, handle), PATIENCE)
    end = (await bench.sandbox.status(folder, handle)).end
    assert end is not None
    assert (end.status, trace.read_text()) == (5, "started\n")
    assert await bench.sandbox.find(folder) == handle


async def test_a_launcher_that_comes_after_find_starts_nothing(bench: Bench) -> None:
    order = bench.order("touch", "trace")
    Attempt(order.folder).prepare(order)
    assert await bench.sandbox.find(order.folder) is None
    argv = [sys.executable, "-I", "-S", str(LAUNCHER), str(order.folder)]
    assert subprocess.run(argv, check=False).returncode == 0
    await until(lambda: not others_with(str(order.folder)), "the launcher gives up")
    assert not (order.workspace / "trace").exists()
    assert not (order.folder / "handle.json").exists()


@pytest.mark.parametrize("written", ["", None])
async def test_without_a_handle_the_claim_tells_who_it_was(
    bench: Bench, written: str | None
) -> None:
    order = bench.order("true")
    handle = await bench.start(order)
    await bench.end(order, handle)
    await until(lambda: not lives(identity(handle).pid), "the launcher ends")
    (order.folder / "handle.json").unlink()
    if written is not None:
        (order.folder / "handle.json").write_text(written)
    (order.folder / "exit.json").unlink()
    found = await bench.sandbox.find(order.folder)
    assert found is not None
    assert identity(found) == identity(handle)
    status = await bench.sandbox.status(order.folder, found)
    assert status.end is not None
    assert status.end.reason == "gone"


@pytest.mark.faults
async def test_another_process_takes_over_and_no_line_is_lost_or_doubled(bench: Bench) -> None:
    base = bench.base / "case"
    process = starter(
        base, "i=0; while [ $i -lt 3000 ]; do i=$((i+1)); echo $i; done; read x; exit 6"
    )
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        await asyncio.to_thread(process.stdout.readline)
        process.stdin.write("go\n")
        process.stdin.flush()
        handle = (await asyncio.to_thread(process.stdout.readline)).strip()
        before = list(await bench.sandbox.read(base / "attempt", 0, 2000))
        process.kill()
    folder = base / "attempt"
    assert await HostSandbox().find(folder) == handle
    bench.started.append((folder, handle))
    await bench.sandbox.send(folder, 1, b"go on\n", last=True)
    await asyncio.wait_for(bench.sandbox.ended(folder, handle), PATIENCE)
    end = (await bench.sandbox.status(folder, handle)).end
    assert end is not None
    assert end.status == 6
    position = before[-1].end if before else 0
    while lines := await bench.sandbox.read(folder, position, 1000):
        before += lines
        position = lines[-1].end
    assert texts(before) == [str(i) for i in range(1, 3001)]


async def test_a_launcher_that_cannot_run_is_told_and_never_starts_later(bench: Bench) -> None:
    order = bench.order("true")
    with pytest.raises(Broken, match="the launcher did not start: it left no word"):
        await HostSandbox("/bin/false").start(order)
    assert await bench.sandbox.find(order.folder) is None
    with pytest.raises(Broken, match="no-such-python: No such file"):
        await HostSandbox("/no-such-python").start(bench.order("true"))
    missing = HostSandbox("/no-such-python").missing({})
    assert missing == "/no-such-python is missing: install Python 3.9 or newer"


async def test_a_full_disk_holds_the_agent_up_and_loses_nothing(bench: Bench) -> None:
    python = bench.base / "python"
    python.write_text(f'#!/bin/sh\nulimit -S -f 100\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    bench.sandbox = HostSandbox(str(python))
    order = bench.order("seq", "100000")
    handle = await bench.start(order)
    output = order.folder / "output"
    await until(lambda: output.stat().st_size == 100 * 512, "the file is as big as it may be")
    assert (await bench.sandbox.status(order.folder, handle)).alive
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    resource.prlimit(identity(handle).pid, resource.RLIMIT_FSIZE, unlimited)
    assert (await bench.end(order, handle)).status == 0
    assert texts(await bench.lines(order)) == [str(i) for i in range(1, 100_001)]


async def test_an_attempt_whose_folder_is_deleted_still_comes_to_an_end(bench: Bench) -> None:
    order = bench.order("cat", input_open=True)
    handle = await bench.start(order)
    shutil.rmtree(order.folder)
    os.kill(identity(handle).pid, signal.SIGTERM)
    await asyncio.wait_for(bench.sandbox.ended(order.folder, handle), PATIENCE)
    status = await bench.sandbox.status(order.folder, handle)
    assert status.end is not None
    assert status.end.reason == "gone"
    assert not lives(json.loads(handle)["child"])


# -- Output of every kind -----------------------------------------------------------------


async def test_fifty_megabytes_without_a_newline_are_cut_and_kept(bench: Bench) -> None:
    text = "import sys\nfor i in range(50): sys.stdout.write(chr(97 + i % 26) * 1000000)"
    end, lines = await bench.play(bench.script(text))
    assert end.status == 0
    whole = "".join(texts(lines))
    assert whole == "".join(chr(97 + i % 26) * 1_000_000 for i in range(50))
    assert max(len(line.text) for line in lines) <= 1 << 20
    assert texts(lines, "mark") == ["the line above is longer than 1 MiB and was cut"]


async def test_a_cut_never_goes_through_a_character(bench: Bench) -> None:
    text = "import sys\nsys.stdout.buffer.write(('x' + 'ä€😀' * 300000).encode() + b'\\nafter\\n')"
    _, lines = await bench.play(bench.script(text))
    assert "".join(texts(lines)) == "x" + "ä€😀" * 300_000 + "after"
    assert texts(lines)[-1] == "after"


async def test_a_megabyte_of_json_is_one_line_however_slowly_it_comes(bench: Bench) -> None:
    text = (
        "import json, sys, time\n"
        "line = json.dumps({'text': 'x' * 1000000}) + '\\n'\n"
        "sys.stdout.write(line[:500]); sys.stdout.flush(); time.sleep(2.5)\n"
        "sys.stdout.write(line[500:] + 'done\\n')"
    )
    _, lines = await bench.play(bench.script(text))
    first, last = texts(lines)
    assert json.loads(first) == {"text": "x" * 1_000_000}
    assert last == "done"


async def test_a_prompt_without_a_newline_is_seen(bench: Bench) -> None:
    order = bench.order("sh", "-c", "printf 'Go on? '; read answer; echo $answer", input_open=True)
    handle = await bench.start(order)
    await bench.said(order, "Go on? ")
    await bench.sandbox.send(order.folder, 1, b"yes\n")
    await bench.end(order, handle)
    assert texts(await bench.lines(order)) == ["Go on? ", "yes"]


async def test_bytes_that_are_no_text_do_no_harm(bench: Bench) -> None:
    text = r"printf 'a\377b\n\000nul\n\033[31mred\033[0m\n\033]0;title\007after\ncrlf\r\n'"
    _, lines = await bench.play(bench.order("sh", "-c", text))
    assert texts(lines) == ["a\ufffdb", "nul", "red", "after", "crlf"]


async def test_a_flood_past_the_cap_leaves_the_disk_alone_and_the_end_visible(
    bench: Bench,
) -> None:
    text = "yes flood | head -c 500000000; echo; echo the end; exit 3"
    order = bench.order("sh", "-c", text, log_cap=1 << 20)
    end, lines = await bench.play(order)
    assert (end.status, end.reason) == (3, None)
    assert texts(lines)[-1] == "the end"
    assert (order.folder / "output").stat().st_size < 4 << 20
    assert json.loads((order.folder / "exit.json").read_text())["dropped"] > 498_000_000


async def test_two_hundred_megabytes_without_a_newline_do_no_harm(bench: Bench) -> None:
    order = bench.order("sh", "-c", "head -c 200000000 /dev/zero | tr '\\0' x; echo; echo the end")
    end, lines = await bench.play(order)
    assert (end.status, end.reason) == (0, None)
    assert texts(lines)[-1] == "the end"
    assert max(len(line.text) for line in lines) <= 1 << 20
    assert (order.folder / "output").stat().st_size < 70 << 20


async def test_a_flood_of_two_streams_without_newlines_ends_at_the_limit(bench: Bench) -> None:
    order = bench.order(
        "sh", "-c", "cat /dev/zero >&2 & cat /dev/zero", log_cap=1 << 20, output_limit=50 << 20
    )
    end, _ = await bench.play(order)
    assert end.reason == "output_limit"
    assert (order.folder / "output").stat().st_size < 4 << 20


# -- Input of every kind ------------------------------------------------------------------


async def test_a_big_input_reaches_a_slow_reader_whole(bench: Bench) -> None:
    data = b"".join(b"%08d\n" % i for i in range(120_000))
    text = (
        "import sys, time\n"
        "print('ready'); time.sleep(0.3); total = 0\n"
        "import os\n"
        "while chunk := os.read(0, 4096):\n"
        "    total += len(chunk); sys.stdout.write(chunk.decode())\n"
        "print('total', total)"
    )
    order = bench.script(text, input_open=True)
    handle = await bench.start(order)
    await bench.said(order, "ready")
    await bench.sandbox.send(order.folder, 1, data)
    await bench.sandbox.send(order.folder, 2, b"the last\n", last=True)
    await bench.end(order, handle)
    expected = ["ready", *data.decode().splitlines(), "the last", f"total {len(data) + 9}"]
    assert texts(await bench.lines(order)) == expected


async def test_whoever_never_reads_its_input_holds_nothing_up(bench: Bench) -> None:
    text = "echo ready; while [ ! -e go ]; do sleep 0.01; done; seq 1000; exit 2"
    order = bench.order("sh", "-c", text, first_input=b"x" * 1_000_000, input_open=True)
    handle = await bench.start(order)
    await bench.said(order, "ready")
    await bench.sandbox.send(order.folder, 1, b"y" * 1_000_000)
    (order.workspace / "go").touch()
    assert (await bench.end(order, handle)).status == 2
    assert len(texts(await bench.lines(order))) == 1001


async def test_an_end_before_the_input_is_read_is_a_normal_end(bench: Bench) -> None:
    order = bench.order("sh", "-c", "exec <&-; echo closed; sleep 0.2; exit 9",
                        first_input=b"x" * 1_000_000)  # fmt: skip
    end, lines = await bench.play(order)
    assert (end.status, texts(lines)) == (9, ["closed"])


# -- Limits ------------------------------------------------------------------------------

BOMB = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
for depth in range(9):
    if os.fork() == 0:
        os.setsid()
    if depth == 7:
        os.execve(sys.executable, [sys.executable, "-S", "-c", "import time; time.sleep(1000)",
                                   "bomb-" "NAME"], {})
"""
"""Doubles seven times, each in a session of its own, deaf to TERM: 128 to 256 processes."""


async def test_a_fork_bomb_is_ended_whole_at_the_limit_of_processes(bench: Bench) -> None:
    name = some_seconds()
    order = bench.script(BOMB.replace("NAME", name), processes=60, grace=100_000)
    async with asyncio.timeout(PATIENCE):
        end, _ = await bench.play(order)
    assert (end.reason, end.signal) == ("processes", 9)
    assert not others_with(f"bomb-{name}")


# -- The rest -----------------------------------------------------------------------------


SETTABLE = sum(1 << (number - 1) for number in signal.valid_signals())
"""The signals that a program can set: libc keeps two for itself, and whoever started the tests
may have left those ignored."""


@pytest.mark.parametrize("told", [True, False], ids=["with us", "alone"])
async def test_a_machine_that_is_shut_down_may_tell_the_agent_before_its_launcher(
    bench: Bench, told: bool
) -> None:
    seconds = some_seconds()
    order = bench.order("sh", "-c", f"echo ready; exec sleep {seconds}")
    handle = await bench.start(order)
    await bench.said(order, "ready")

    def agents() -> list[int]:
        found = [(pid, Path(f"/proc/{pid}/cmdline").read_bytes()) for pid in others_with(seconds)]
        return [pid for pid, words in found if words.startswith(b"sleep\0")]

    await until(lambda: len(agents()) == 1, "it sleeps")
    (agent,) = agents()
    os.kill(agent, signal.SIGTERM)
    await until(lambda: not lives(agent), "it is gone")
    if told:
        os.kill(identity(handle).pid, signal.SIGTERM)
    end = await bench.end(order, handle)
    assert (end.signal, end.reason) == (signal.SIGTERM, "stopped" if told else None)


async def test_the_agent_starts_with_ordinary_signals_and_first_in_the_killer_s_line(
    bench: Bench,
) -> None:
    text = "grep -E 'SigIgn|SigBlk' /proc/self/status; cat /proc/self/oom_score_adj; ls /proc/$$/fd"
    _, lines = await bench.play(bench.order("sh", "-c", text))
    words = texts(lines)
    assert [int(line.split()[1], 16) & SETTABLE for line in words[:2]] == [0, 0]
    assert int(words[2]) >= 500
    assert words[3:] == ["0", "1", "2"]


async def test_files_of_the_attempt_are_for_the_owner_only(bench: Bench) -> None:
    order = bench.order("true")
    await bench.play(order)
    for path in order.folder.rglob("*"):
        if not path.is_symlink():
            assert path.stat().st_mode & 0o077 == 0, path


async def test_a_caller_that_is_cancelled_while_starting_leaves_a_findable_attempt(
    bench: Bench,
) -> None:
    order = bench.order("sleep", "1000")
    starting = asyncio.create_task(bench.sandbox.start(order))
    while not (order.folder / "launcher.log").exists():
        await asyncio.sleep(0)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    await until((order.folder / "handle.json").exists, "the launcher starts it all the same")
    handle = await bench.sandbox.find(order.folder)
    assert handle is not None
    bench.started.append((order.folder, handle))
    assert (await bench.sandbox.status(order.folder, handle)).alive


def test_the_launcher_is_one_file_for_old_pythons_too() -> None:
    source = LAUNCHER.read_text()
    tree = ast.parse(source, feature_version=(3, 9))
    imported = {
        alias.name for node in tree.body if isinstance(node, ast.Import) for alias in node.names
    }
    assert imported <= sys.stdlib_module_names
    names = {node.module for node in tree.body if isinstance(node, ast.ImportFrom)}
    assert names == {"__future__"}


async def test_a_folder_called_like_a_note_costs_no_open_file(bench: Bench) -> None:
    text = "for i in $(seq 300); do echo $i; sleep 0.01; done; echo all; read x"
    order = bench.order("sh", "-c", text, idle_time=PATIENCE, input_open=True)
    (order.folder / "waiting").mkdir(parents=True)
    handle = await bench.start(order)
    await bench.said(order, "all")
    assert len(os.listdir(f"/proc/{identity(handle).pid}/fd")) < 30
    await bench.sandbox.send(order.folder, 1, b"", last=True)
    await bench.end(order, handle)
