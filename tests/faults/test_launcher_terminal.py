"""An agent on a terminal, when things go wrong; over host and bubblewrap."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.sandboxes.attempt import Attempt
from core.sandboxes.launcher import whole
from tests.sandbox_bench import SANDBOXES, Bench, others_with, some_seconds, texts

UNFINISHED = re.compile(rb"\x1b(\[[0-?]*[ -/]*|\][^\x07\x1b]*)?$")


@pytest.fixture(params=["host", "bubblewrap"])
async def bench(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(SANDBOXES[request.param](tmp_path), tmp_path)
    yield bench
    await bench.clean()


async def test_its_bytes_are_kept_so_that_it_can_be_shown_again(bench: Bench) -> None:
    text = r"stty -onlcr; printf '\033[31mred\033[0m\r\n\377'; exit 3"
    order = bench.order("sh", "-c", text, pty=True, input_open=True)
    end, lines = await bench.play(order)
    assert (end.status, end.signal, end.reason) == (3, None, None)
    assert (order.folder / "terminal").read_bytes() == b"\x1b[31mred\x1b[0m\r\n\xff"
    assert texts(lines) == ["red", "\ufffd"]


async def test_a_flood_on_a_terminal_is_capped_and_its_end_is_seen(bench: Bench) -> None:
    order = bench.order("sh", "-c", "seq 300000; echo the end", pty=True, log_cap=100_000)
    end, lines = await bench.play(order)
    assert (end.status, texts(lines)[-1]) == (0, "the end")
    assert (order.folder / "terminal").stat().st_size == 100_000
    assert (order.folder / "output").stat().st_size < 400_000


async def test_the_end_of_the_input_is_told_to_a_terminal_too(bench: Bench) -> None:
    order = bench.order("cat", pty=True, input_open=True)
    handle = await bench.start(order)
    await bench.sandbox.send(order.folder, 1, b"hello\n", last=True)
    assert (await bench.end(order, handle)).status == 0
    assert texts(await bench.lines(order)).count("hello") == 2  # typed, and said by cat


async def test_its_size_may_be_told_before_it_starts(bench: Bench) -> None:
    order = bench.order("stty", "size", pty=True, input_open=True)
    order.folder.mkdir()
    Attempt(order.folder).note("size", "100x30")
    _, lines = await bench.play(order)
    assert texts(lines) == ["30 100"]


@pytest.mark.parametrize("size", ["", "x", "80", "80x", "-1x-1", "9999999x1", "80x24x1", "\x1b"])
async def test_a_size_that_is_none_changes_nothing(bench: Bench, size: str) -> None:
    order = bench.order("sh", "-c", "read x; stty size", pty=True, input_open=True)
    handle = await bench.start(order)
    await bench.sandbox.note(order.folder, "size", size)
    await bench.sandbox.send(order.folder, 1, b"\n")
    assert (await bench.end(order, handle)).status == 0
    assert texts(await bench.lines(order))[-1] == "24 80"


async def test_a_terminal_held_open_by_a_grandchild_delays_no_end(bench: Bench) -> None:
    seconds = some_seconds()
    text = f"trap '' HUP; setsid sh -c 'trap \"\" TERM HUP; sleep {seconds}' & echo ready; exit 5"
    end, lines = await bench.play(bench.order("sh", "-c", text, pty=True, input_open=True))
    assert (end.status, texts(lines)) == (5, ["ready"])
    assert not others_with(seconds)


async def test_a_terminal_is_stopped_like_any_other(bench: Bench) -> None:
    text = "trap 'echo goodbye; exit 7' TERM; echo ready; while :; do sleep 0.01; done"
    order = bench.order("sh", "-c", text, pty=True, input_open=True, grace=60.0)
    handle = await bench.start(order)
    await bench.said(order, "ready")
    end = await bench.sandbox.stop(order.folder, handle)
    assert (end.status, end.reason) == (7, "stopped")
    said = texts(await bench.lines(order))
    assert (said[0], said[-1]) == ("ready", "goodbye")


async def test_what_cannot_start_on_a_terminal_says_why(bench: Bench) -> None:
    end, _ = await bench.play(bench.order("no-such-agent", pty=True))
    assert (end.reason, end.error) == ("not_started", "`no-such-agent` was not found on the PATH")


PIECES = st.sampled_from(
    [b"text", "ä€😀".encode(), b"\x1b[31m", b"\x1b[2K", b"\x1b]0;t\x07", b"\x1b(B", b"\r", b"\xff"]
)


@given(st.lists(PIECES, min_size=1), st.integers(0, 200))
def test_neither_a_character_nor_a_sequence_is_cut(pieces: list[bytes], end: int) -> None:
    data = b"".join(pieces)
    part = data[: max(1, end % (len(data) + 1))]
    shown = part[: whole(part)]
    assert not UNFINISHED.search(shown)
    assert len(part) - len(shown) < 8
    if b"\xff" not in part:
        assert "\ufffd" not in shown.decode("utf-8", "replace")
