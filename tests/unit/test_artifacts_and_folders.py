"""What belongs to a task as files: versions, names, links, and the folder that tells all."""

from __future__ import annotations

import hashlib
import json
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.artifacts import LARGEST, Artifacts, check_name, folder_name, write_atomically
from core.errors import Broken, Refused, Unclear
from core.house import House
from core.lifecycle import Situation
from core.model import AgentEvent, AgentEventKind, Event, SessionOutcome, Task, TaskState
from core.ports import Line
from core.redaction import Redactor
from core.store import logs, sessions, tasks
from core.store.database import Store, Tx
from core.taskfolders import TaskFolders
from tests.fakes.clock import FakeClock
from tests.house_bench import ANN, bring, house


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    data = tmp_path / "data"
    store = await Store(data, FakeClock().now).open()
    yield house(store, data)
    await store.close()


@pytest.fixture
async def task(home: House) -> Task:
    return await home.store.write(lambda tx: bring(tx, home, Situation.READY))


async def keep(home: House, task: Task, name: str, data: bytes) -> int:
    return await home.store.write(
        lambda tx: home.artifacts.keep(tx, task.id, name, data, ANN))


# -- artifacts -----------------------------------------------------------------------------


async def test_the_newest_stands_under_its_name_and_every_version_is_kept(
    home: House, task: Task
) -> None:
    assert [await keep(home, task, "plan.md", text) for text in (b"one", b"two")] == [1, 2]
    folder = home.artifacts.folder(task) / "artifacts"
    assert home.artifacts.read(task, "plan.md") == b"two"
    assert (folder / ".versions" / "plan.md.v1").read_bytes() == b"one"
    rows = await home.store.read("SELECT version, sha256, author FROM artifacts ORDER BY version")
    assert [row["sha256"] for row in rows] == [
        hashlib.sha256(text).hexdigest() for text in (b"one", b"two")]
    assert {row["author"] for row in rows} == {ANN.key}


@given(st.text(min_size=1, max_size=120))
def test_a_name_leads_nowhere_else(name: str) -> None:
    try:
        check_name(name)
    except Unclear as error:
        assert "\n" not in str(error) or "\n" in name
        return
    inside = Path("/folder") / name
    assert inside.parent == Path("/folder") and not name.startswith(".") and "\0" not in name


@pytest.mark.parametrize("name", ["", ".", "..", ".hidden", "a/b", "../up", "a\\b", "a\nb", "a b",
                                  "x" * 101, "naïve\0", "plan.md\n"])
def test_names_that_are_refused(name: str) -> None:
    with pytest.raises(Unclear):
        check_name(name)


async def test_a_link_is_never_followed(home: House, task: Task, tmp_path: Path) -> None:
    await keep(home, task, "plan.md", b"plain")
    secret = tmp_path / "secret"
    secret.write_text("the key")
    (home.artifacts.folder(task) / "artifacts" / "leak.txt").symlink_to(secret)
    with pytest.raises(Unclear, match=r"has no `leak\.txt`"):
        home.artifacts.read(task, "leak.txt")


async def test_what_there_is_is_named(home: House, task: Task) -> None:
    with pytest.raises(Unclear, match="There is: nothing yet"):
        home.artifacts.read(task, "plan.md")
    await keep(home, task, "notes.md", b"x")
    with pytest.raises(Unclear, match=r"There is: notes\.md\."):
        home.artifacts.read(task, "plan.md")


async def test_what_is_too_large_is_refused_whole(home: House, task: Task) -> None:
    with pytest.raises(Refused, match="20 MB fit"):
        await keep(home, task, "big.bin", bytes(LARGEST + 1))
    assert not await home.store.read("SELECT 1 FROM artifacts")
    assert not home.artifacts.folder(task).exists()


def test_what_can_not_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(Broken, match="can't be written"):
        write_atomically(tmp_path / "file" / "below", b"x")


# -- task folders --------------------------------------------------------------------------


async def test_a_folder_is_written_once_for_each_change(home: House, task: Task) -> None:
    folders = TaskFolders(home, Redactor())
    assert await folders.sync() == 1
    told = json.loads((home.artifacts.folder(task) / "task.json").read_text())
    assert (told["format"], told["ref"], told["state"]) == (1, task.ref, "ready")
    assert await folders.sync() == 0, "nothing has changed"
    await home.store.write(lambda tx: tasks.block(tx, task, "paused"))
    assert await folders.sync() == 1


async def test_it_moves_with_its_end_and_back_when_it_is_reopened(home: House) -> None:
    folders = TaskFolders(home, Redactor())
    task = await home.store.write(lambda tx: bring(tx, home, Situation.READY))
    await folders.sync()
    await home.store.write(lambda tx: _end(tx, task))
    await folders.sync()
    assert _places(home, task) == ["completed"]
    await home.store.write(lambda tx: _reopen(tx, task))
    await folders.sync()
    assert _places(home, task) == ["active"]


async def test_it_stays_while_a_session_of_it_still_runs(home: House) -> None:
    folders = TaskFolders(home, Redactor())
    task = await home.store.write(lambda tx: bring(tx, home, Situation.WORKING))
    await home.store.write(lambda tx: _end(tx, task))
    await folders.sync()
    assert _places(home, task) == ["active"]
    await home.store.write(_all_end)
    await folders.sync()
    assert _places(home, task) == ["completed"]


async def test_its_log_grows_and_is_written_whole_by_another_process(home: House) -> None:
    folders = TaskFolders(home, Redactor())
    task = await home.store.write(lambda tx: bring(tx, home, Situation.WORKING))
    (row,) = await home.store.read("SELECT id FROM sessions")
    await _says(home, row["id"], 1, "first")
    await folders.sync()
    await _says(home, row["id"], 2, "second")
    await home.store.write(lambda tx: _touch(tx, task))
    await folders.sync()
    (log,) = (home.artifacts.folder(task) / "logs").iterdir()
    assert log.name == f"step-01-work.{row['id']}.log"
    assert log.read_text() == "first\nsecond\n"
    log.write_text("half of wha")
    await home.store.write(lambda tx: _touch(tx, task))
    await TaskFolders(home, Redactor()).sync()
    assert log.read_text() == "first\nsecond\n"


SECRET = "zebra-quagga-77\nwalrus-line-88"
"""Of two lines, as it lies in a file."""


async def test_its_log_shows_no_secret_and_is_its_owners_alone(home: House) -> None:
    task = await home.store.write(lambda tx: bring(tx, home, Situation.WORKING))
    folders = TaskFolders(home, Redactor([SECRET, "heron-99"]))
    (row,) = await home.store.read("SELECT id FROM sessions")
    said = ["first heron-99", *SECRET.split("\n"), "last"]
    for number, text in enumerate(said, 1):  # a look at the rows between any two lines
        await _says(home, row["id"], number, text)
        await home.store.write(lambda tx: _touch(tx, task))
        await folders.sync()
        (log,) = (home.artifacts.folder(task) / "logs").iterdir()
        assert not any(word in log.read_text() for word in ("heron", "zebra", "walrus"))
    await home.store.write(_all_end)
    await home.store.write(lambda tx: _touch(tx, task))
    for each in (folders, TaskFolders(home, Redactor([SECRET, "heron-99"]))):
        log.chmod(0o644 if each is not folders else 0o600)
        await home.store.write(lambda tx: _touch(tx, task))
        await each.sync()
        assert log.read_text() == "first [redacted]\n[redacted]\nlast\n"
        assert stat.S_IMODE(log.stat().st_mode) == 0o600


def test_a_folder_is_named_once_and_plainly(home: House, task: Task) -> None:
    assert folder_name(task) == "TASK-001--mend-it"
    assert tasks.slug("Größe & <b>Maß</b>!") == "gr-e-b-ma-b"
    assert tasks.slug("///") == "task" and len(tasks.slug("long " * 99)) <= 60
    assert Artifacts(home.data).folder(task).parent.name == "active"


def _end(tx: Tx, task: Task) -> None:
    tasks.move(tx, tasks.get(tx, task.id), TaskState.CANCELLED)
    _touch(tx, task)


def _reopen(tx: Tx, task: Task) -> None:
    tasks.move(tx, tasks.get(tx, task.id), TaskState.READY)
    _touch(tx, task)


def _all_end(tx: Tx) -> None:
    for row in tx.all("SELECT id FROM sessions"):
        sessions.end(tx, sessions.get(tx, row["id"]), SessionOutcome.KILLED, "stopped")


def _touch(tx: Tx, task: Task) -> None:
    tx.emit(Event("task.progress", "on it goes", task_id=task.id))


async def _says(home: House, session_id: str, position: int, text: str) -> None:
    entry = logs.Entry(Line("out", 0, text, position),
                       (AgentEvent(AgentEventKind.TEXT, text),))
    await home.store.logs.write(
        lambda tx: logs.append(tx, session_id, 1, 1, [entry]))


def _places(home: House, task: Task) -> list[str]:
    return [place for place in ("active", "completed")
            if (home.artifacts.root / place / folder_name(task)).is_dir()]
