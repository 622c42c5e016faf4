"""An attempt's folder that an agent could write in, as in a container: whatever it plants there,
the bot neither follows it, nor waits for it, nor is filled by it."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from core.errors import Broken
from core.ports import Exit, Order
from core.sandboxes import output, procs
from core.sandboxes.attempt import Attempt, identity
from core.sandboxes.docker.place import Place, place_in
from core.sandboxes.host import HostSandbox
from core.sandboxes.procs import Identity
from tests.sandbox_bench import Bench


@pytest.fixture
def attempt(tmp_path: Path) -> Attempt:
    folder = tmp_path / "attempt"
    order = Order("coding-1", 1, folder, tmp_path, ("true",), {}, input_open=True)
    Attempt(folder).prepare(order)
    return Attempt(folder)


@pytest.fixture
def precious(tmp_path: Path) -> Path:
    path = tmp_path / "precious"
    path.mkdir()
    (path / "file").write_text("kept")
    return path


def untouched(precious: Path) -> bool:
    return os.listdir(precious) == ["file"] and (precious / "file").read_text() == "kept"


async def test_input_is_never_written_through_a_link(attempt: Attempt, precious: Path) -> None:
    inputs = attempt.folder / "input"
    inputs.rename(attempt.folder / "away")
    inputs.symlink_to(precious)
    with pytest.raises(Broken, match="can't give input to"):
        await HostSandbox().send(attempt.folder, 1, b"data")
    inputs.unlink()
    (attempt.folder / "away").rename(inputs)
    for name in (f"000001.{os.getpid()}.new", "000002"):
        (inputs / name).symlink_to(precious / "file")
    await HostSandbox().send(attempt.folder, 1, b"data")
    await HostSandbox().send(attempt.folder, 2, b"data")
    assert (inputs / "000001").read_bytes() == b"data"
    assert untouched(precious)


async def test_a_note_replaces_a_link_and_not_what_it_leads_to(
    attempt: Attempt, precious: Path
) -> None:
    (attempt.folder / "size").symlink_to(precious / "file")
    (attempt.folder / f"size.{os.getpid()}.new").symlink_to(precious / "file")
    await HostSandbox().note(attempt.folder, "size", "80x24")
    assert (attempt.folder / "size").read_text() == "80x24"
    assert untouched(precious)


async def test_no_name_that_an_agent_can_guess_is_in_the_way(
    tmp_path: Path, attempt: Attempt, precious: Path
) -> None:
    """Folders, which can't be replaced; links, which must not be followed."""
    inputs = attempt.folder / "input"
    for mine in ("order.json", "size", "claim", "exit.json", "container.json"):
        for name in (f"{mine}.{os.getpid()}.new", f"{mine}.new", f".{mine}.new"):
            (attempt.folder / name).mkdir()
            (attempt.folder / name / "full").touch()
    (inputs / f"000001.{os.getpid()}.new").mkdir()
    (attempt.folder / "container.json").symlink_to(precious / "file")
    before = set(attempt.folder.iterdir())
    await HostSandbox().send(attempt.folder, 1, b"data")
    await HostSandbox().note(attempt.folder, "size", "80x24")
    assert attempt.take("a-container")
    attempt.call_off()
    Place("c", "unix:///s", "id", True, 1.0, 1, 1).write(attempt.folder)
    attempt.forget()
    attempt.bury(Exit(reason="gone"))
    assert (attempt.claim(), attempt.end()) == ("revoked", Exit(reason="gone"))
    assert place_in(attempt.folder) is not None and untouched(precious)
    assert "env" not in json.loads((attempt.folder / "order.json").read_text())
    left = {path.name for path in set(attempt.folder.iterdir()) - before}
    assert left == {"size", "claim", "exit.json"}, "nothing unfinished stays"


def test_no_key_stays_in_an_order_that_was_never_whole(attempt: Attempt) -> None:
    """As a kill leaves it, between the writing of its words and its being there."""
    for name in ("order.json.123.new", "order.json.0123456789abcdef.new"):
        (attempt.folder / name).write_text('{"env": {"KEY": "of-somebody"}}')
    attempt.forget()
    assert "of-somebody" not in "".join(
        path.read_text() for path in attempt.folder.iterdir() if path.is_file())
    (attempt.folder / "order.json").unlink()
    (attempt.folder / "order.json.0123.new").write_text('{"env": {"KEY": "of-somebody"}}')
    attempt.forget()
    assert not list(attempt.folder.glob("order.json*"))


async def test_a_note_of_another_name_is_refused(attempt: Attempt) -> None:
    with pytest.raises(Broken, match=r"`exit\.json` is nothing"):
        await HostSandbox().note(attempt.folder, "exit.json", "{}")


@pytest.mark.parametrize("kind", ["link", "folder", "fifo"])
async def test_an_output_that_was_replaced_is_told_however_much_was_read(
    attempt: Attempt, precious: Path, kind: str
) -> None:
    sandbox, position = HostSandbox(), 1 << 20
    if kind == "link":
        attempt.output.symlink_to(precious / "file")
    elif kind == "folder":
        attempt.output.mkdir()
    else:
        os.mkfifo(attempt.output)
    assert sandbox.size(attempt.folder) > position
    (told,) = await sandbox.read(attempt.folder, position, 1 << 20)
    assert (told.stream, "no more of it can be read" in told.text) == ("mark", True)
    assert await sandbox.read(attempt.folder, told.end, 1 << 20) == []


@pytest.mark.parametrize("kind", ["link", "file"])
def test_the_bell_is_rung_on_a_fifo_only(attempt: Attempt, precious: Path, kind: str) -> None:
    wake = attempt.folder / "wake"
    wake.unlink()
    if kind == "link":
        wake.symlink_to(precious / "file")
    else:
        wake.write_text("")
    attempt.wake()
    assert untouched(precious)
    assert kind == "link" or wake.read_text() == ""


def test_an_end_is_buried_beside_what_was_planted(attempt: Attempt, precious: Path) -> None:
    (attempt.folder / "exit.json").symlink_to(precious / "file")
    (attempt.folder / f"exit.json.{os.getpid()}.new").symlink_to(precious / "file")
    end = attempt.end()
    assert end is not None
    assert end.reason == "gone"
    attempt.bury(Exit(reason="stopped", at=1))
    assert attempt.end() == Exit(reason="stopped", at=1)
    assert untouched(precious)


@pytest.mark.parametrize(
    "content",
    ["", "[]", "7", "{", "[" * 100_000, '"text"', "\0", "fifo", "folder", "link", "giant"],
)
def test_what_no_launcher_wrote_tells_no_end(attempt: Attempt, content: str) -> None:
    path = attempt.folder / "exit.json"
    if content == "fifo":
        os.mkfifo(path)
    elif content == "folder":
        path.mkdir()
    elif content == "link":
        path.symlink_to("/dev/zero")
    elif content == "giant":
        path.touch()
        os.truncate(path, 1 << 40)
    else:
        path.write_text(content)
    end = attempt.end()
    assert end is not None
    assert end.reason == "gone"
    assert end.error is not None
    assert attempt.left() == []


def test_the_values_of_an_end_are_of_their_kinds(attempt: Attempt) -> None:
    value = {"status": "0", "signal": True, "reason": ["stopped"], "at": 1e300,
             "error": "\x1b[31mred\n" + "x" * 10_000, "left": ["1", 2]}  # fmt: skip
    (attempt.folder / "exit.json").write_text(json.dumps(value))
    end = attempt.end()
    assert end is not None
    assert (end.status, end.signal, end.reason, end.at) == (None, None, None, 0)
    assert end.error is not None
    assert end.error.startswith("red x")
    assert len(end.error) <= 500
    assert attempt.left() == [2]


ABSURD = (10**14, 10**20, -1, 2**63)


@pytest.mark.parametrize("value", [*ABSURD, 1 << 40])
def test_the_figures_of_an_end_are_such_as_can_be(attempt: Attempt, value: int) -> None:
    told = {"status": value, "signal": value, "at": value, "reason": "\ud800", "left": []}
    (attempt.folder / "exit.json").write_text(json.dumps(told))
    end = attempt.end()
    assert end is not None and end.reason is not None
    assert (end.status, end.signal) == (None, None)
    assert 0 <= end.at <= time.time_ns() // 1_000_000
    assert end.reason.encode()


@pytest.mark.parametrize("text", [*map(str, ABSURD), "9" * 5000], ids=lambda text: text[:20])
def test_a_time_that_no_launcher_writes_is_part_of_the_words(attempt: Attempt, text: str) -> None:
    attempt.output.write_text(f"{text} o hi\n99 e more\n")
    lines = output.read(attempt.output, 0, 1 << 20)
    assert [(line.at, line.text) for line in lines] == [(0, f"{text} o hi"), (99, "more")]


@pytest.mark.parametrize("value", [{}, {"pid": 1}, {"pid": 10**20, "start": 1, "boot": "x"},
                                   {"pid": "1", "start": 1, "boot": "x"}, {"pid": -1},
                                   {"pid": 1, "start": 1, "boot": "x" * 5000}])  # fmt: skip
async def test_a_handle_that_names_no_process_is_none(attempt: Attempt, value: object) -> None:
    (attempt.folder / "handle.json").write_text(json.dumps(value))
    (attempt.folder / "claim").symlink_to("99999999999999999999:1:x")
    assert attempt.handle() is None
    with pytest.raises(Broken, match="names no process"):
        await HostSandbox().find(attempt.folder)


@pytest.mark.parametrize("value", [[], {"grace": "1"}, {"grace": 1e300, "seal": "x"}])
def test_an_order_that_was_spoilt_keeps_nobody_from_ending_it(
    attempt: Attempt, value: object
) -> None:
    (attempt.folder / "order.json").write_text(json.dumps(value))
    assert attempt.grace() == 0.0
    assert attempt.signs(Identity(1, 1, "x")) is None


async def test_whoever_tells_of_an_end_of_its_own_is_alive_until_it_is_gone(
    tmp_path: Path
) -> None:
    bench = Bench(HostSandbox(), tmp_path)
    order = bench.order("sh", "-c", "echo '{\"status\":0}' > ../attempt-1/exit.json; echo told; "
                        "sleep 1000")  # fmt: skip
    handle = await bench.start(order)
    await bench.said(order, "told")
    assert (await bench.sandbox.status(order.folder, handle)).alive
    assert (await bench.sandbox.stop(order.folder, handle)).reason == "stopped"
    assert not procs.alive(identity(handle))


@pytest.mark.parametrize("kind", ["fifo", "link", "folder", "device"])
async def test_output_is_read_from_a_file_only(
    attempt: Attempt, precious: Path, kind: str
) -> None:
    if kind == "fifo":
        os.mkfifo(attempt.output)
    elif kind == "folder":
        attempt.output.mkdir()
    else:
        attempt.output.symlink_to(precious / "file" if kind == "link" else "/dev/zero")
    assert output.tail(attempt.output, 1000) == []
    (line,) = output.read(attempt.output, 0, 1000)
    assert line.stream == "mark" and "no more of it can be read" in line.text
    assert all(line.stream == "mark" for line in await HostSandbox().read(attempt.folder, 0, 1000))


def test_a_record_without_an_end_takes_no_more_than_its_share_of_memory(attempt: Attempt) -> None:
    attempt.output.touch()
    os.truncate(attempt.output, 1 << 40)
    position, found = 0, 0
    for _ in range(3):
        lines = output.read(attempt.output, position, 1000)
        assert len(lines) == 1
        found, position = found + len(lines[0].text), lines[0].end
    assert position <= 3 * (output.LONGEST + (2 << 20))
    assert found == 0
    attempt.output.write_bytes(b"x" * (5 << 20))
    (line,) = output.read(attempt.output, 0, 1000)
    assert len(line.text) < 100_000, "no launcher wrote that"
    assert line.end > output.LONGEST


async def test_a_claim_that_names_no_process_is_told(attempt: Attempt) -> None:
    (attempt.folder / "claim").symlink_to("nobody")
    with pytest.raises(Broken, match="'nobody' names no process"):
        await HostSandbox().find(attempt.folder)
