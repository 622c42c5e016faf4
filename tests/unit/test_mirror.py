"""The mirror: whatever streams do, each record stands there once, and what is lost is marked."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from core.errors import Broken
from core.ports import Order
from core.sandboxes import output
from core.sandboxes.afar import Afar
from core.sandboxes.carried import _plain, rooms
from core.sandboxes.kubernetes import manifest, pods
from core.sandboxes.mirror import Gap, Mirror
from core.worktrees.folder import delete
from tests.sandbox_bench import ENV


def carried(records: list[bytes]) -> list[bytes]:
    """As the carrier writes them."""
    lines, position = [], 0
    for record in records:
        lines.append(b"%d %s\n" % (position, record))
        position += len(record) + 1
    return lines


RECORDS = [b"%d o line %d %s" % (1_700_000_000_000 + n, n, b"x" * (n % 40)) for n in range(100)]
LINES = carried(RECORDS)
WHOLE = b"".join(record + b"\n" for record in RECORDS)


@pytest.mark.parametrize("seed", range(30))
def test_broken_streams_and_killed_bots_lose_and_double_nothing(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    mirror = Mirror(tmp_path, 1 << 20)
    while (tmp_path / "output").read_bytes() != WHOLE:
        data = b"".join(LINES[chance.randrange(max(1, len(RECORDS) // 4)):]
                        if chance.random() < 0.3 else LINES)
        data = data[:chance.randrange(len(WHOLE) // 2, len(data) + 2)]
        mirror.begin()
        try:
            while data:
                size = chance.choice((13, 100, 5000))
                mirror.feed(data[:size])
                data = data[size:]
        except Gap:
            pass
        if chance.random() < 0.5:  # killed in the midst of a record
            mirror.close()
            torn = chance.randrange(30)
            with open(tmp_path / "output", "ab") as file:
                file.write(b"1700000000000 o torn"[:torn].replace(b"\n", b""))
            mirror = Mirror(tmp_path, 1 << 20)
    mirror.close()


def test_a_gap_is_read_again_from_the_beginning_before_it_counts(tmp_path: Path) -> None:
    mirror = Mirror(tmp_path, 1 << 20)
    mirror.feed(b"".join(LINES[:10]))
    with pytest.raises(Gap):
        mirror.feed(b"".join(LINES[12:20]))
    mirror.begin()
    mirror.feed(b"".join(LINES[:20]), from_start=True)
    assert (tmp_path / "output").read_bytes() == b"".join(r + b"\n" for r in RECORDS[:20])
    mirror.close()


def test_what_is_lost_is_marked_once_and_positions_go_on_after_a_restart(tmp_path: Path) -> None:
    mirror = Mirror(tmp_path, 1 << 20)
    mirror.feed(b"".join(LINES[:10]))
    for _ in range(3):
        mirror.begin()
        mirror.feed(b"".join(LINES[50:95]), from_start=True)
        mirror.close()
        mirror = Mirror(tmp_path, 1 << 20)
    mirror.begin()
    mirror.feed(b"".join(LINES[90:]))
    mirror.close()
    lines = output.read(tmp_path / "output", 0, 1 << 20)
    marks = [n for n, line in enumerate(lines) if line.stream == "mark"]
    lost = sum(len(record) + 1 for record in RECORDS[10:50])
    assert [lines[n].text for n in marks] == [f"{lost} bytes of output were lost on the way here"]
    assert [line.text.split()[1] for line in lines if line.stream == "out"] == [
        str(n) for n in (*range(10), *range(50, 100))]


def test_a_mark_that_a_kill_tore_is_made_anew(tmp_path: Path) -> None:
    mirror = Mirror(tmp_path, 1 << 20)
    mirror.feed(b"".join(LINES[:10]))
    mirror.begin()
    mirror.feed(b"".join(LINES[50:60]), from_start=True)
    mirror.close()
    path = tmp_path / "output"
    whole = path.read_bytes()
    at = whole.index(b" m ")
    path.write_bytes(whole[:at + 5])
    mirror = Mirror(tmp_path, 1 << 20)
    mirror.begin()
    mirror.feed(b"".join(LINES[50:60]), from_start=True)
    mirror.close()
    said = [line.text.split()[1] for line in output.read(path, 0, 1 << 20) if line.stream == "out"]
    assert said == [str(n) for n in (*range(10), *range(50, 60))]


def test_lies_of_an_agent_fill_no_disk_and_break_nothing(tmp_path: Path) -> None:
    mirror = Mirror(tmp_path, 1000)
    mirror.feed(b"99999999999999999999 o x\n-5 o y\n= nonsense\n= [1]\n= {\"exit\": 3}\n\xff\n")
    assert not (tmp_path / "end.json").exists()
    for n in range(0, 20_000_000, 1_000_000):
        mirror.feed(b"%d 1 o %s\n" % (n, b"x" * 999_995), from_start=True)
    mirror.feed(b"y" * 9_000_000)
    mirror.feed(b"\n= {\"exit\": {\"status\": 0}}\n")
    assert mirror.end == {"exit": {"status": 0}}
    assert (tmp_path / "output").stat().st_size <= (4 << 20) + 1000
    mirror.close()
    again = Mirror(tmp_path, 1000)
    assert again.end == {"exit": {"status": 0}}
    again.close()


def test_a_record_counts_as_written_before_it_was_known_here(tmp_path: Path) -> None:
    mirror = Mirror(tmp_path, 1 << 20)
    mirror.feed(carried([b"99999999999999 o forged"])[0])
    assert 0 < mirror.last_at <= time.time() * 1000
    mirror.close()
    os.utime(tmp_path / "output", (1_700_000_000, 1_700_000_000))
    for torn in (b"", b"1700000000000 o to", b""):
        with open(tmp_path / "output", "ab") as file:
            file.write(torn)
        if torn:
            os.utime(tmp_path / "output", (1_700_000_000, 1_700_000_000))
        mirror = Mirror(tmp_path, 1 << 20)
        mirror.close()
        assert mirror.last_at == 1_700_000_000_000


def test_what_is_missing_before_the_end_is_read_again_and_then_marked(tmp_path: Path) -> None:
    end = b'= {"exit": {"status": 0}, "position": %d}\n' % len(WHOLE)
    mirror = Mirror(tmp_path, 1 << 20)
    with pytest.raises(Gap):
        mirror.feed(b"".join(LINES[:90]) + end)
    assert not (tmp_path / "end.json").exists()
    mirror.begin()
    mirror.feed(b"".join(LINES[:95]) + end, from_start=True)
    mirror.feed(end)
    mirror.close()
    assert mirror.end is not None
    lost = sum(len(record) + 1 for record in RECORDS[95:])
    lines = output.read(tmp_path / "output", 0, 1 << 20)
    assert [line.text for line in lines if line.stream == "mark"] == [
        f"{lost} bytes of output were lost on the way here"]


@pytest.mark.parametrize("depth", [*range(900, 1010, 10), 5000, 50_000, 2_000_000])
def test_an_end_that_is_nested_without_end_is_none(tmp_path: Path, depth: int) -> None:
    deep = b"= {\"exit\": {\"status\": 0, \"reason\": " + b"[" * depth + b"]" * depth + b"}}\n"
    mirror = Mirror(tmp_path, 1 << 20)
    mirror.feed(deep + b"".join(LINES), from_start=True)
    assert mirror.end in (None, {"exit": {"status": 0}})
    mirror.feed(b'= {"exit": {"status": 3, "x": [], "error": {"y": 1}}, "more": 1}\n')
    assert mirror.end == {"exit": {"status": 3}} == json.loads((tmp_path / "end.json").read_text())
    assert (tmp_path / "output").read_bytes() == WHOLE
    mirror.close()


def test_lies_of_an_agent_cost_a_few_writes_however_many_they_are(tmp_path: Path) -> None:
    """They are taken in beside all other work."""
    replaced = 0

    def count(frame: object, event: str, what: object) -> None:
        nonlocal replaced
        replaced += event == "c_call" and what is os.replace

    gaps = b"".join(b"%d x\n" % n for n in range(1, 100_000, 20))
    ends = b"".join(b"= {\"exit\": {\"status\": %d}}\n" % (n % 200) for n in range(5000))
    mirror = Mirror(tmp_path, 10 << 20)
    sys.setprofile(count)
    try:
        mirror.feed(gaps + ends, from_start=True)
    finally:
        sys.setprofile(None)
    assert replaced == 2
    position = mirror.next
    mirror.close()
    again = Mirror(tmp_path, 10 << 20)
    assert (again.next, again.end) == (position, {"exit": {"status": 199}})
    again.close()
    said = output.read(tmp_path / "output", 0, 10 << 20)
    assert [line.stream for line in said] == ["mark", "out"] * 5000


def test_a_mark_that_never_came_into_the_file_shifts_nothing_later(tmp_path: Path) -> None:
    """As a kill leaves it just before it writes the mark: the file grows past its place."""
    (tmp_path / "gaps.json").write_text("[[2000, 10, 900000]]")
    for few in (10, 100):
        mirror = Mirror(tmp_path, 1 << 20)
        mirror.feed(b"".join(LINES[:few]))
        mirror.close()
    mirror = Mirror(tmp_path, 1 << 20)
    assert mirror.next == len(WHOLE) > 2010
    mirror.close()


def test_an_end_that_an_agent_made_up_is_read_as_far_as_it_makes_sense(tmp_path: Path) -> None:
    (tmp_path / "end.json").write_text(json.dumps({"exit": {
        "status": "0", "signal": [], "reason": {"a": 1}, "error": "\x1b[31mred\nline",
        "at": None}}))
    end = Afar(tmp_path).told()
    assert end is not None
    assert (end.status, end.signal, end.reason, end.at) == (None, None, None, 0)
    assert end.error is not None and "\x1b" not in end.error and "\n" not in end.error


def test_folders_that_an_agent_nested_are_not_followed_without_end(tmp_path: Path) -> None:
    code = "import os\nfor _ in range(2000):\n os.mkdir('d'); os.chdir('d')\n"
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    try:
        with pytest.raises(Broken, match="nested too deep"):
            list(_plain(tmp_path))
    finally:  # a test's folder could not be cleared of it
        delete(tmp_path / "d")


# -- what the cluster is told, and tells ---------------------------------------------------


def test_rooms_hold_all_that_must_be_writable_and_none_holds_another(tmp_path: Path) -> None:
    session = tmp_path / "sessions/coding-1"
    order = Order("coding-1", 1, session / "attempts/01", tmp_path / "worktrees/coding-1",
                  ("true",), {**ENV, "HOME": str(session / "home")},
                  writable=(session / "home", session / "artifacts"))
    assert rooms(order) == [session, tmp_path / "worktrees"] or rooms(order) == [
        tmp_path / "worktrees", session]


def test_names_are_the_folder_s_and_fit_a_cluster(tmp_path: Path) -> None:
    names = {manifest.name_of(tmp_path / f"Ünsafe_{n}" / ("x" * 80) / "attempts/01")
             for n in range(50)}
    assert len(names) == 50
    for name in names:
        assert len(name) <= 63
        assert name.replace("-", "").isalnum() and name.isascii() and name == name.lower()


def pod(phase: str = "Running", **more: object) -> dict[str, object]:
    return {"metadata": {"creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"containers": [{"image": "i"}]}, "status": {"phase": phase, **more}}


def state(**one: object) -> dict[str, object]:
    return {"containerStatuses": [{"state": one}]}


def test_each_way_to_end_has_its_reason_in_one_line() -> None:
    killed = pod("Failed", **state(terminated={"exitCode": 137, "reason": "OOMKilled"}))
    assert pods.ending(killed, None).reason == "memory"
    evicted = pod("Failed", reason="Evicted", message="The node was low on\nmemory.")
    assert pods.ending(evicted, None).error == "evicted: The node was low on memory."
    late = {"status": {"conditions": [{"type": "Failed", "reason": "DeadlineExceeded"}]}}
    assert pods.ending(evicted, late).reason == "wall_time"
    second = pod("Failed", **state(terminated={"exitCode": 75, "reason": "Error"}))
    assert pods.ending(second, None).error == "its pod was deleted, or its node is gone"
    assert pods.ending(None, None).reason == "gone"
    odd = pod("Failed", **state(terminated={"exitCode": 1, "message": "a\nno git here\n"}))
    assert pods.ending(odd, None).error == "the carrier ended with status 1: no git here"


def test_why_a_pod_does_not_begin_is_told() -> None:
    pulling = pod("Pending", **state(waiting={"reason": "ImagePullBackOff", "message": "back off"}))
    assert pods.stuck(pulling) == "the image i can't be pulled: back off"
    assert not pods.is_hopeless(pulling)
    nowhere = pod("Pending", conditions=[
        {"type": "PodScheduled", "status": "False", "message": "0/3 nodes are available"}])
    assert pods.stuck(nowhere) == "no node takes it: 0/3 nodes are available"
    assert pods.stuck(pod("Pending", **state(waiting={"reason": "ContainerCreating"}))) is None
