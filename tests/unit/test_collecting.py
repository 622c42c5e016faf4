"""Artifacts as agents leave them: taken, versioned, or refused with the reason."""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core import collecting
from core.artifacts import LARGEST, RAW
from core.handed import REFUSED
from core.house import House
from core.lifecycle import Situation
from core.model import Session, Step, StepKind, Task
from core.store import sessions
from core.store.database import Store, Tx
from tests.fakes.clock import FakeClock
from tests.house_bench import ANN, bring, house


class Scene:
    """A session that has a result, and its artifacts folder."""

    def __init__(self, home: House, task: Task, session: Session) -> None:
        self.home, self.task, self.session = home, task, session
        self.folder = home.session_folder(session.id) / "artifacts"
        self.folder.mkdir(parents=True)

    def write(self, name: str, data: str = "words\n") -> Path:
        path = self.folder / name
        path.write_text(data)
        return path

    async def take_in(self) -> None:
        await collecting.take_in(self.home, self.session, self.task)

    async def versions(self) -> dict[str, int]:
        rows = await self.home.store.read(
            "SELECT name, max(version) AS version FROM artifacts GROUP BY name")
        return {row["name"]: row["version"] for row in rows}

    async def refusals(self) -> list[str]:
        rows = await self.home.store.read(
            "SELECT text FROM events WHERE type = ?", (REFUSED,))
        return [row["text"] for row in rows]


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    store = await Store(tmp_path / "data", FakeClock().now).open()
    home = house(store, tmp_path / "data")

    def act(tx: Tx) -> tuple[Task, Session]:
        task = bring(tx, home, Situation.JUDGING)
        (session,) = sessions.open_of_task(tx, task.id)
        return task, session

    yield Scene(home, *await store.write(act))
    await store.close()


async def test_a_file_becomes_a_version_by_its_agent(scene: Scene) -> None:
    scene.write("plan.md", "one\n")
    await scene.take_in()
    assert await scene.versions() == {"plan.md": 1}
    assert scene.home.artifacts.read(scene.task, "plan.md") == b"one\n"
    (row,) = await scene.home.store.read("SELECT author FROM artifacts")
    assert row["author"] == f"agent:{scene.session.agent}"


async def test_only_what_has_changed_makes_a_new_version(scene: Scene) -> None:
    scene.write("plan.md", "one\n")
    scene.write("notes.md")
    await scene.take_in()
    scene.write("plan.md", "two\n")
    await scene.take_in()
    await scene.take_in()
    assert await scene.versions() == {"plan.md": 2, "notes.md": 1}
    assert scene.home.artifacts.read(scene.task, "plan.md", 1) == b"one\n"


async def test_what_a_person_has_edited_since_is_not_taken_back(scene: Scene) -> None:
    scene.write("plan.md", "the agent's\n")
    await scene.take_in()
    await scene.home.store.write(
        lambda tx: scene.home.artifacts.keep(tx, scene.task.id, "plan.md", b"Ann's\n", ANN))
    await scene.take_in()
    assert scene.home.artifacts.read(scene.task, "plan.md") == b"Ann's\n"
    scene.write("plan.md", "the agent's, again\n")
    await scene.take_in()
    assert await scene.versions() == {"plan.md": 3}


async def test_the_outcome_is_no_artifact(scene: Scene) -> None:
    scene.write("outcome.json", "{}")
    await scene.take_in()
    assert (await scene.versions(), await scene.refusals()) == ({}, [])


async def test_the_task_as_given_is_not_the_agents_to_write(scene: Scene) -> None:
    await scene.home.store.write(
        lambda tx: scene.home.artifacts.keep(tx, scene.task.id, RAW, b"as given", ANN))
    scene.write(RAW, "as given")
    await scene.take_in()
    assert await scene.refusals() == []
    scene.write(RAW, "something else")
    await scene.take_in()
    assert await scene.versions() == {RAW: 1}
    assert RAW in (await scene.refusals())[0]


def a_link(path: Path) -> None:
    (path.parent.parent / "secret").write_text("secret")
    path.symlink_to("../secret")


def a_pipe(path: Path) -> None:
    os.mkfifo(path)


def a_folder(path: Path) -> None:
    path.mkdir()


def a_socket(path: Path) -> None:
    here = os.getcwd()
    os.chdir(path.parent)  # a socket's path is short
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(path.name)
    os.chdir(here)


def a_giant(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)


def one_byte_more(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(LARGEST + 1)


ODD = {a_link: "a link", a_pipe: "a pipe", a_folder: "a folder", a_socket: "no file",
       a_giant: "larger than 20 MB", one_byte_more: "larger than 20 MB"}


@pytest.mark.parametrize("make", ODD, ids=lambda make: make.__name__)
async def test_what_is_no_plain_file_is_refused_once_with_its_reason(scene: Scene, make) -> None:
    make(scene.folder / "odd.md")
    scene.write("plan.md")
    await scene.take_in()
    await scene.take_in()
    assert await scene.versions() == {"plan.md": 1}
    assert await scene.refusals() == [f"TASK-001: not taken as artifacts: odd.md ({ODD[make]})"]


async def test_as_large_as_may_be_is_taken(scene: Scene) -> None:
    with scene.write("big.bin").open("wb") as file:
        file.truncate(LARGEST)
    await scene.take_in()
    assert await scene.versions() == {"big.bin": 1}


@pytest.mark.parametrize("name", [".hidden", "a b", "x" * 101, "new\nline", "\x1b[2J", "é", "-x"])
async def test_a_bad_name_is_refused_on_one_line(scene: Scene, name: str) -> None:
    scene.write(name)
    await scene.take_in()
    (told,) = await scene.refusals()
    assert "no name for an artifact" in told and told.isprintable()
    assert await scene.versions() == {}


async def test_a_name_that_is_no_text_is_refused(scene: Scene) -> None:
    with open(os.fsencode(scene.folder) + b"/\xff\xfe", "wb"):
        pass
    await scene.take_in()
    assert "no name for an artifact" in (await scene.refusals())[0]


async def test_of_too_many_the_first_are_taken(scene: Scene) -> None:
    for number in range(60):
        scene.write(f"part-{number:02d}")
    await scene.take_in()
    taken = await scene.versions()
    assert sorted(taken) == [f"part-{number:02d}" for number in range(50)]
    assert (await scene.refusals())[0].endswith("all but 50 of the files")


async def test_a_thousand_refusals_are_one_short_line(scene: Scene) -> None:
    for number in range(1000):
        scene.write(f".part {number:04d}")
    await scene.take_in()
    (told,) = await scene.refusals()
    assert len(told) < 600 and told.endswith("and 995 more")


@pytest.mark.parametrize("which", ["artifacts", "session"])
async def test_a_folder_that_is_a_link_is_not_entered(scene: Scene, which: str) -> None:
    scene.write("plan.md")
    path = scene.folder if which == "artifacts" else scene.folder.parent
    path.rename(path.parent / "elsewhere")
    path.symlink_to("elsewhere")
    await scene.take_in()
    assert await scene.versions() == {}
    assert "the artifacts folder (no folder of its own)" in (await scene.refusals())[0]


async def test_no_folder_is_nothing_to_take(scene: Scene) -> None:
    scene.folder.rmdir()
    await scene.take_in()
    assert (await scene.versions(), await scene.refusals()) == ({}, [])


# -- what a step must write ----------------------------------------------------------------


async def test_a_missing_artifact_is_a_finding(scene: Scene) -> None:
    step = Step("plan", StepKind.AGENT, {}, output="plan.md")
    (check,) = await collecting.written(scene.home, scene.session, step)
    assert (check.passed, check.said) == (
        False, "`plan.md` is missing: write it to the artifacts folder.")
    scene.write("plan.md")
    (check,) = await collecting.written(scene.home, scene.session, step)
    assert check.passed and check.command == "artifact plan.md"


async def test_a_link_is_no_artifact_written(scene: Scene) -> None:
    step = Step("plan", StepKind.AGENT, {}, output="plan.md", artifact="plan.md")
    a_link(scene.folder / "plan.md")
    (check,) = await collecting.written(scene.home, scene.session, step)
    assert not check.passed and "a link" in check.said


async def test_a_step_that_names_none_has_no_finding(scene: Scene) -> None:
    step = Step("work", StepKind.AGENT, {})
    assert await collecting.written(scene.home, scene.session, step) == []
