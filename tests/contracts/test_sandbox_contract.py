"""What every sandbox promises, run over each of them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from core.errors import Broken
from core.ports import Exit, Line, Sandbox
from tests.sandbox_bench import (
    ENV,
    ORDERS,
    PATIENCE,
    SANDBOXES,
    Bench,
    after_an_answer_it_has_its_whole_idle_time,
    lose,
    others_with,
    some_seconds,
    texts,
    until,
)


@pytest.fixture(params=SANDBOXES)
def sandbox(request: pytest.FixtureRequest, tmp_path: Path) -> Sandbox:
    return SANDBOXES[request.param](tmp_path)


@pytest.fixture
async def bench(sandbox: Sandbox, tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(sandbox, tmp_path)
    yield bench
    await bench.clean()


def test_it_can_work_here(sandbox: Sandbox) -> None:
    told: Any = ORDERS.get(sandbox.name, {})
    assert sandbox.missing(told.get("container", {})) is None


@pytest.mark.parametrize(
    ("command", "status", "number"),
    [("exit 0", 0, None), ("exit 3", 3, None), ("kill -9 $$", None, 9), ("kill -15 $$", None, 15)],
)
async def test_an_end_by_itself_tells_status_or_signal(
    bench: Bench, command: str, status: int | None, number: int | None
) -> None:
    end, _ = await bench.play(bench.order("sh", "-c", command))
    assert (end.status, end.signal, end.reason, end.error) == (status, number, None, None)
    assert end.at > 1_600_000_000_000


async def test_lines_of_both_streams_arrive_whole_and_in_order(bench: Bench) -> None:
    text = "for i in $(seq 500); do echo out $i; echo err $i >&2; done; printf unfinished"
    _, lines = await bench.play(bench.order("sh", "-c", text))
    assert texts(lines) == [*(f"out {i}" for i in range(1, 501)), "unfinished"]
    assert texts(lines, "err") == [f"err {i}" for i in range(1, 501)]
    assert [line.end for line in lines] == sorted({line.end for line in lines})


async def test_reading_goes_on_from_any_position_without_loss_or_doubling(bench: Bench) -> None:
    order = bench.order("sh", "-c", "seq 200; echo '' ; seq 3 >&2")
    _, lines = await bench.play(order)
    assert len(lines) == 204
    assert await bench.lines(order, step=1) == lines
    for number, line in enumerate(lines):
        assert await bench.lines(order, position=line.end) == lines[number + 1 :]


async def test_nothing_to_read_is_no_error(bench: Bench) -> None:
    assert list(await bench.sandbox.read(bench.base / "nowhere", 0, 1000)) == []


async def test_the_environment_is_the_order_s_and_nothing_else(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_SECRET_OF_THE_BOT", "1")
    env = {**ENV, "GREETING": "grüß dich"}
    _, lines = await bench.play(bench.order("/usr/bin/env", env=env))
    assert sorted(line for line in texts(lines) if not line.startswith("PWD=")) == [
        "BULLPEN_ATTEMPT=coding-7f3a91c2/1",
        "GREETING=grüß dich",
        f"PATH={ENV['PATH']}",
    ]


async def test_it_works_in_its_workspace(bench: Bench) -> None:
    order = bench.order("pwd")
    _, lines = await bench.play(order)
    assert texts(lines) == [str(order.workspace)]


async def test_what_cannot_start_says_why_in_one_line(bench: Bench) -> None:
    workspace = bench.order().workspace
    plain = workspace / "plain.txt"
    plain.write_text("no program")
    script = workspace / "script"
    script.write_text("#!/no/such/shell\n")
    script.chmod(0o755)
    reasons = {
        "no-such-agent": "`no-such-agent` was not found on the PATH",
        "./gone": "`./gone` does not exist",
        str(plain): f"`{plain}` may not be executed: it is no program, or lacks the permission",
        str(script): f"`{script}` can't run: the program that its first line names is missing",
    }
    for name, reason in reasons.items():
        end, lines = await bench.play(bench.order(name))
        assert (end.reason, end.error, end.status, lines) == ("not_started", reason, None, [])


async def test_a_missing_workspace_is_named(bench: Bench) -> None:
    gone = bench.base / "gone"
    end, _ = await bench.play(bench.order("true", workspace=gone))
    assert (end.reason, end.error) == ("not_started", f"the workspace {gone} is missing")


async def test_a_folder_starts_one_process_however_often_it_is_asked(bench: Bench) -> None:
    order = bench.order("sh", "-c", "echo once >> trace; exec sleep 1000")
    handles = await asyncio.gather(*(bench.start(order) for _ in range(4)))
    handles.append(await bench.start(order))
    assert len(set(handles)) == 1
    trace = order.workspace / "trace"
    await until(trace.exists, "the process leaves its trace")
    await bench.sandbox.stop(order.folder, handles[0])
    assert trace.read_text() == "once\n"
    assert await bench.start(order) == handles[0]
    assert trace.read_text() == "once\n"


async def test_what_was_started_is_found_again(bench: Bench) -> None:
    order = bench.order("sleep", "1000")
    handle = await bench.start(order)
    assert await bench.sandbox.find(order.folder) == handle
    await bench.sandbox.stop(order.folder, handle)
    assert await bench.sandbox.find(order.folder) == handle


async def test_what_is_not_found_never_starts(bench: Bench) -> None:
    order = bench.order("touch", "trace")
    order.folder.mkdir()
    assert await bench.sandbox.find(order.folder) is None
    with pytest.raises(Broken, match="called off"):
        await bench.sandbox.start(order)
    assert await bench.sandbox.find(order.folder) is None
    assert not (order.workspace / "trace").exists()


async def test_no_folder_means_nothing_was_started(bench: Bench) -> None:
    assert await bench.sandbox.find(bench.base / "nowhere") is None


async def test_it_lives_until_it_ends(bench: Bench) -> None:
    order = bench.order("cat", input_open=True)
    handle = await bench.start(order)
    status = await bench.sandbox.status(order.folder, handle)
    assert status.alive
    assert status.end is None
    await bench.sandbox.send(order.folder, 1, b"", last=True)
    assert (await bench.end(order, handle)).status == 0


async def test_waiting_for_the_end_can_be_cancelled_and_begun_again(bench: Bench) -> None:
    order = bench.order("cat", input_open=True)
    handle = await bench.start(order)
    waiting = asyncio.create_task(bench.sandbox.ended(order.folder, handle))
    done, _ = await asyncio.wait({waiting}, timeout=0.1)
    assert not done
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    again = asyncio.create_task(bench.sandbox.ended(order.folder, handle))
    await bench.sandbox.send(order.folder, 1, b"", last=True)
    await asyncio.wait_for(again, PATIENCE)


async def test_the_first_input_arrives_and_the_input_ends(bench: Bench) -> None:
    data = "".join(f"line {i}\n" for i in range(20_000)).encode()
    _, lines = await bench.play(bench.order("cat", first_input=data))
    assert texts(lines) == data.decode().splitlines()


async def test_without_input_there_is_an_end_at_once(bench: Bench) -> None:
    end, lines = await bench.play(bench.order("cat"))
    assert (end.status, lines) == (0, [])


async def test_inputs_arrive_once_and_in_the_order_of_their_numbers(bench: Bench) -> None:
    order = bench.order("cat", first_input=b"zero\n", input_open=True)
    handle = await bench.start(order)
    await bench.sandbox.send(order.folder, 2, b"two\n")
    await bench.sandbox.send(order.folder, 1, b"one\n")
    await bench.said(order, "two")
    for number in (2, 1, 2):
        await bench.sandbox.send(order.folder, number, b"again\n")
    await bench.sandbox.send(order.folder, 3, b"three\n", last=True)
    await bench.sandbox.send(order.folder, 3, b"again\n")
    await bench.end(order, handle)
    assert texts(await bench.lines(order)) == ["zero", "one", "two", "three"]


async def test_input_after_the_end_does_nothing(bench: Bench) -> None:
    order = bench.order("true", input_open=True)
    await bench.end(order, await bench.start(order))
    await bench.sandbox.send(order.folder, 1, b"too late\n")
    assert await bench.lines(order) == []


async def test_a_graceful_stop_lets_it_say_goodbye(bench: Bench) -> None:
    text = "trap 'echo goodbye; exit 7' TERM; echo ready; while :; do sleep 0.01; done"
    order = bench.order("sh", "-c", text, grace=PATIENCE)
    handle = await bench.start(order)
    await bench.said(order, "ready")
    end = await bench.sandbox.stop(order.folder, handle)
    assert (end.status, end.reason) == (7, "stopped")
    assert texts(await bench.lines(order)) == ["ready", "goodbye"]


async def test_whoever_ignores_the_stop_is_killed_after_the_grace(bench: Bench) -> None:
    order = bench.order("sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.01; done")
    handle = await bench.start(order)
    await bench.said(order, "ready")
    end = await bench.sandbox.stop(order.folder, handle)
    assert (end.status, end.signal, end.reason) == (None, 9, "stopped")


async def test_a_forced_stop_does_not_wait_for_the_grace(bench: Bench) -> None:
    order = bench.order("sh", "-c", "trap '' TERM; echo ready; sleep 1000", grace=100_000)
    handle = await bench.start(order)
    await bench.said(order, "ready")
    async with asyncio.timeout(PATIENCE):
        end = await bench.sandbox.stop(order.folder, handle, force=True)
    assert (end.signal, end.reason) == (9, "stopped")


async def test_a_forced_stop_overtakes_a_graceful_one(bench: Bench) -> None:
    order = bench.order("sh", "-c", "trap '' TERM; echo ready; sleep 1000", grace=100_000)
    handle = await bench.start(order)
    await bench.said(order, "ready")
    graceful = asyncio.create_task(bench.sandbox.stop(order.folder, handle))
    await asyncio.sleep(0)
    async with asyncio.timeout(PATIENCE):
        ends = [await bench.sandbox.stop(order.folder, handle, force=True), await graceful]
    assert [end.reason for end in ends] == ["stopped", "stopped"]


async def test_stopping_what_has_ended_tells_how_it_ended(bench: Bench) -> None:
    order = bench.order("sh", "-c", "exit 4")
    handle = await bench.start(order)
    end = await bench.end(order, handle)
    assert await bench.sandbox.stop(order.folder, handle) == end
    assert end.status == 4


async def test_forgotten_its_folder_holds_no_secret_and_its_end_is_still_told(
    bench: Bench,
) -> None:
    order = bench.order("sh", "-c", "exit 3")
    order = replace(order, env={**order.env, "API_KEY": "zebra-finch-77"})
    handle = await bench.start(order)
    await bench.sandbox.ended(order.folder, handle)
    for _ in range(2):
        end = (await bench.sandbox.status(order.folder, handle)).end
        assert end is not None and end.status == 3
        await bench.sandbox.forget(order.folder)
    assert (await bench.sandbox.stop(order.folder, handle)).status == 3
    for path in order.folder.rglob("*"):
        assert not path.is_file() or b"zebra-finch-77" not in path.read_bytes(), path
    await bench.sandbox.forget(order.folder.with_name("never-was"))


async def test_nothing_is_left_after_a_stop(bench: Bench) -> None:
    seconds = some_seconds()
    order = bench.order("sh", "-c", f"sleep {seconds} & echo ready; wait")
    handle = await bench.start(order)
    await bench.said(order, "ready")
    assert others_with(seconds)
    await bench.sandbox.stop(order.folder, handle)
    assert not others_with(seconds)


@pytest.mark.parametrize("force", [False, True], ids=["asked", "forced"])
async def test_what_has_lost_its_folder_can_be_stopped(bench: Bench, force: bool) -> None:
    """Somebody has deleted it while it ran."""
    seconds = some_seconds()
    order = bench.order("sh", "-c", f"trap '' TERM; sleep {seconds} & echo ready; wait")
    handle = await bench.start(order)
    await bench.said(order, "ready")
    lose(order.folder)
    assert (await bench.sandbox.status(order.folder, handle)).alive
    async with asyncio.timeout(PATIENCE):
        end = await bench.sandbox.stop(order.folder, handle, force=force)
        assert end.reason == "stopped"
        assert not others_with(seconds)
        await bench.sandbox.ended(order.folder, handle)
        status = await bench.sandbox.status(order.folder, handle)
        assert not status.alive
        assert status.end is not None
        assert (await bench.sandbox.stop(order.folder, handle)).reason is not None
        await bench.sandbox.forget(order.folder)
    assert await bench.lines(order) == []
    assert await bench.sandbox.find(order.folder) is None
    assert not order.folder.exists()


async def test_what_was_emptied_in_its_folder_keeps_nothing_alive(bench: Bench) -> None:
    """As a power cut may leave files that were just written."""
    seconds = some_seconds()
    order = bench.order("sh", "-c", f"sleep {seconds} & echo ready; wait")
    handle = await bench.start(order)
    await bench.said(order, "ready")
    for path in order.folder.iterdir():
        if path.is_file():
            os.truncate(path, 0)
    assert (await bench.sandbox.status(order.folder, handle)).alive
    async with asyncio.timeout(PATIENCE):
        assert (await bench.sandbox.stop(order.folder, handle, force=True)).reason == "stopped"
        await bench.sandbox.ended(order.folder, handle)
    assert not others_with(seconds)


async def test_what_has_lost_its_folder_is_waited_for_until_it_has_ended(bench: Bench) -> None:
    """It can't be told how any more."""
    seconds = some_seconds()
    order = bench.order("sh", "-c", f"sleep {seconds} & echo ready; wait")
    handle = await bench.start(order)
    await bench.said(order, "ready")
    waiting = asyncio.create_task(bench.sandbox.ended(order.folder, handle))
    lose(order.folder)
    await asyncio.wait({waiting}, timeout=1.5)
    assert not waiting.done()
    assert (await bench.sandbox.status(order.folder, handle)).alive
    for pid in others_with(seconds):
        with contextlib.suppress(ProcessLookupError):  # it went with the one before
            os.kill(pid, signal.SIGKILL)
    await asyncio.wait_for(waiting, PATIENCE)
    end = await bench.end(order, handle)
    assert end.reason == "gone"
    assert not order.folder.exists()


async def test_the_wall_time_ends_it(bench: Bench) -> None:
    end, _ = await bench.play(bench.order("sleep", "1000", wall_time=0.2))
    assert end.reason == "wall_time"


async def test_the_output_limit_ends_it(bench: Bench) -> None:
    order = bench.order("yes", log_cap=100_000, output_limit=10_000_000)
    end, lines = await bench.play(order)
    assert end.reason == "output_limit"
    assert sum(len(line.text) for line in lines) < 400_000


async def test_silence_ends_it_at_the_idle_time(bench: Bench) -> None:
    """Who speaks for longer than that, often enough, is not silent: not even on a busy machine."""
    text = "for i in $(seq 12); do echo $i; sleep 0.3; done; sleep 1000"
    end, lines = await bench.play(bench.order("sh", "-c", text, idle_time=3.0))
    assert (end.reason, texts(lines)) == ("idle_time", [str(n) for n in range(1, 13)])


async def test_while_a_person_is_asked_silence_is_no_idleness(bench: Bench) -> None:
    order = bench.order("sh", "-c", "echo ready; read x; echo $x; sleep 1000",
                        idle_time=0.5, input_open=True)  # fmt: skip
    handle = await bench.start(order)
    await bench.sandbox.note(order.folder, "waiting", "yes")
    done = asyncio.create_task(bench.sandbox.ended(order.folder, handle))
    await asyncio.wait({done}, timeout=2.0)
    assert not done.done()
    await bench.sandbox.send(order.folder, 1, b"go\n")
    await bench.said(order, "go")
    await bench.sandbox.note(order.folder, "waiting", "")
    await asyncio.wait_for(done, PATIENCE)
    assert (await bench.end(order, handle)).reason == "idle_time"
    assert texts(await bench.lines(order)) == ["ready", "go"]


async def test_after_an_answer_it_has_its_whole_idle_time(bench: Bench) -> None:
    await after_an_answer_it_has_its_whole_idle_time(bench)


async def test_the_cpu_time_ends_it_dead_children_included(bench: Bench) -> None:
    busy = "i=0; while [ $i -lt 30000 ]; do i=$((i+1)); done"
    end, _ = await bench.play(bench.order("sh", "-c", f"while :; do sh -c '{busy}'; done",
                                          cpu_time=1.0, wall_time=PATIENCE))  # fmt: skip
    assert end.reason == "cpu_time"


async def test_the_memory_of_the_whole_tree_ends_it(bench: Bench) -> None:
    keep = "x=$(head -c 30000000 /dev/zero | tr '\\0' x); echo ready; read y"
    text = f"for i in 1 2 3 4; do (exec sh -c \"{keep}\" < /dev/zero) & done; wait"
    text = text.replace("$(", "\\$(")
    order = bench.order("sh", "-c", text, memory=90 << 20, wall_time=PATIENCE)
    end, _ = await bench.play(order)
    assert end.reason == "memory"


async def test_too_many_processes_end_it(bench: Bench) -> None:
    seconds = some_seconds()
    text = f"for i in $(seq 300); do sleep {seconds} & done; echo ready; wait"
    end, _ = await bench.play(bench.order("sh", "-c", text, processes=100, wall_time=PATIENCE))
    assert end.reason == "processes"
    assert not others_with(seconds)


async def test_within_its_limits_it_ends_by_itself(bench: Bench) -> None:
    order = bench.order("sh", "-c", "sleep 0.1 & sleep 2.2; echo done; wait", memory=1 << 30,
                        cpu_time=60.0, processes=50, idle_time=60.0)  # fmt: skip
    end, lines = await bench.play(order)
    assert (end.status, end.reason, texts(lines)) == (0, None, ["done"])


async def test_a_terminal_is_its_input_and_output(bench: Bench) -> None:
    text = (
        "tty -s < /dev/tty && echo tty; stty size; trap 'stty size; exit 4' WINCH;"
        " printf 'name? '; read name; echo hello $name; while :; do sleep 0.05; done"
    )
    order = bench.order("sh", "-c", text, pty=True, input_open=True)
    handle = await bench.start(order)
    await bench.said(order, "name? ")
    await bench.sandbox.send(order.folder, 1, b"you\n")
    await bench.said(order, "hello you")
    await bench.sandbox.note(order.folder, "size", "132x43")
    assert (await bench.end(order, handle)).status == 4
    said = "|".join(texts(await bench.lines(order)))
    assert said.startswith("tty|24 80|name? |you|hello you|43 132")


async def test_a_terminal_s_pictures_are_seen_though_they_have_no_newlines(bench: Bench) -> None:
    text = r"while :; do printf '\033[2K\033[1mwörking\033[0m\r'; sleep 0.02; done"
    order = bench.order("sh", "-c", text, pty=True, input_open=True)
    handle = await bench.start(order)
    await bench.said(order, "wörking")
    await bench.sandbox.stop(order.folder, handle)
    assert set(texts(await bench.lines(order))) <= {"wörking", ""}


async def test_the_log_cap_marks_and_drops_but_keeps_the_end_and_the_verdict(bench: Bench) -> None:
    order = bench.order("sh", "-c", "seq 1000000; echo the end >&2; exit 5", log_cap=50_000)
    end, lines = await bench.play(order)
    assert (end.status, end.reason) == (5, None)
    marks = [n for n, line in enumerate(lines) if line.stream == "mark"]
    assert ["log cap reached" in lines[n].text for n in marks] == [True, False]
    assert "bytes were not kept; the last lines follow" in lines[marks[1]].text
    assert texts(lines[: marks[0]])[:3] == ["1", "2", "3"]
    rest = texts(lines[marks[1] :])
    assert rest[-1] == "1000000"
    assert [int(text) for text in rest] == list(range(int(rest[0]), 1_000_001))
    assert texts(lines, "err") == ["the end"]


async def test_a_short_command_is_run_and_waited_for(bench: Bench) -> None:
    ran = await bench.sandbox.run(
        bench.order("sh", "-c", "cat; echo err >&2; exit 2", first_input=b"in\n")
    )
    assert sorted(ran.output.splitlines()) == ["err", "in"]
    assert (ran.end.status, ran.end.reason) == (2, None)


async def test_of_a_command_that_says_much_the_end_is_handed_back(bench: Bench) -> None:
    ran = await bench.sandbox.run(bench.order("seq", "300000"))
    assert ran.output.splitlines()[-1] == "300000"
    assert len(ran.output) <= 256 << 10


@pytest.mark.parametrize("turns", [1, 2, 5, 10, 20])
async def test_a_command_cancelled_while_it_starts_leaves_nothing(bench: Bench, turns: int) -> None:
    seconds = some_seconds()
    order = bench.order("sh", "-c", f"exec sleep {seconds}")
    running = asyncio.create_task(bench.sandbox.run(order))
    for _ in range(turns):
        await asyncio.sleep(0.001)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert not others_with(seconds)
    if handle := await bench.sandbox.find(order.folder):
        assert not (await bench.sandbox.status(order.folder, handle)).alive


async def test_a_cancelled_command_leaves_nothing(bench: Bench) -> None:
    seconds = some_seconds()
    order = bench.order("sh", "-c", f"echo ready; exec sleep {seconds}")
    running = asyncio.create_task(bench.sandbox.run(order))
    await bench.said(order, "ready")
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert not others_with(seconds)


async def test_twenty_at_once(bench: Bench) -> None:
    orders = [
        bench.order("sh", "-c", f"read x; for i in $(seq 200); do echo {n} $i; done; exit {n}",
                    input_open=True)
        for n in range(20)
    ]  # fmt: skip
    handles = await asyncio.gather(*(bench.start(order) for order in orders))
    for order in orders:
        await bench.sandbox.send(order.folder, 1, b"go\n")
    ends: list[Exit] = await asyncio.gather(*map(bench.end, orders, handles))
    assert [end.status for end in ends] == list(range(20))
    for n, order in enumerate(orders):
        lines: list[Line] = await bench.lines(order)
        assert texts(lines) == [f"{n} {i}" for i in range(1, 201)]
