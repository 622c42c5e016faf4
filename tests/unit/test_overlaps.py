"""Two worktrees change the same file: it is said once, with both tasks."""

from __future__ import annotations

import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core import hotfiles, overlaps
from core.house import House
from core.lifecycle import Situation
from core.model import AgentEvent, AgentEventKind, Event, TaskState
from core.store import files, sessions, tasks
from core.store.database import Store, Tx
from core.worktrees import read_survey
from tests.fakes.clock import FakeClock
from tests.house_bench import bring, house

WHO = {"GIT_AUTHOR_NAME": "Una", "GIT_AUTHOR_EMAIL": "una@localhost", "GIT_COMMITTER_NAME": "Una",
       "GIT_COMMITTER_EMAIL": "una@localhost", "GIT_CONFIG_GLOBAL": "/dev/null"}


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    store = await Store(tmp_path / "data", FakeClock().now).open()
    yield house(store, tmp_path)
    await store.close()


async def see(home: House, task_id: int, *paths: str) -> list[Event]:
    def act(tx: Tx) -> list[Event]:
        overlaps.seen(tx, tasks.get(tx, task_id), paths)
        return [event for event in tx.events if event.type == "task.overlapped"]

    return await home.store.write(act)


async def two(home: House, *situations: Situation) -> None:
    for situation in situations or (Situation.WORKING, Situation.WORKING):
        await home.store.write(lambda tx, s=situation: bring(tx, home, s))  # type: ignore[misc]


async def test_a_file_in_two_worktrees_is_told_once_with_both(home: House) -> None:
    await two(home)
    assert await see(home, 1, "src/api/app.py", "mine.py") == []
    (told,) = await see(home, 2, "src/api/app.py")
    assert told.text == "TASK-001 and TASK-002 both change src/api/app.py"
    assert told.payload["key"] == "overlap:1:2"
    assert await see(home, 2, "src/api/app.py") == [] == await see(home, 1, "src/api/app.py")


async def test_a_further_file_is_told_under_the_same_key(home: House) -> None:
    await two(home)
    await see(home, 1, *(f"f{n}" for n in range(6)), "g\n\x1b[31m")
    (first,) = await see(home, 2, "f0")
    (more,) = await see(home, 2, "f1", "f2", "f3", "g\n\x1b[31m")
    assert first.payload["key"] == more.payload["key"]
    assert more.text == "TASK-001 and TASK-002 both change f0, f1, f2 (+2)"


@pytest.mark.parametrize(("other", "told"), [
    (Situation.JUDGING, True), (Situation.DECIDING, True), (Situation.READY, False),
    (Situation.DONE, False), (Situation.FAILED, False), (Situation.HELD, False)])
async def test_only_what_is_under_way_counts(home: House, other: Situation, told: bool) -> None:
    await two(home, Situation.WORKING)
    other_id = (await home.store.write(lambda tx: bring(tx, home, other))).id
    await home.store.write(lambda tx: files.record(tx, tasks.get(tx, other_id), ["x"]))
    assert bool(await see(home, 1, "x")) is told


async def test_another_repository_has_other_files(home: House) -> None:
    await two(home)
    await home.store.write(lambda tx: tx.run("UPDATE tasks SET repo = 'site' WHERE id = 2"))
    await see(home, 1, "x")
    assert await see(home, 2, "x") == []


async def test_what_an_agent_says_is_taken_with_care(home: House) -> None:
    await two(home)
    await see(home, 2, "src/a.py", "src/b.py")

    def act(tx: Tx) -> list[str]:
        session = sessions.open_of_task(tx, 1)[0]
        said = ["src/a.py", f"{session.worktree}/src/b.py", "/etc/passwd", "../../x", "x" * 400,
                f"{session.worktree}/.git/config", f"{session.worktree}/../other/c.py", ""]
        events = [AgentEvent(AgentEventKind.FILE_CHANGE, "", {"path": path}) for path in said]
        overlaps.reported(tx, session, [*events, AgentEvent(AgentEventKind.TEXT, "src/t.py")])
        return [row[0] for row in tx.all("SELECT path FROM touched WHERE task_id = 1 ORDER BY 1")]

    assert await home.store.write(act) == ["src/a.py", "src/b.py"]
    assert len(await home.store.read("SELECT 1 FROM overlaps")) == 2


async def test_no_more_names_are_taken_than_fit(home: House) -> None:
    await two(home)
    await see(home, 1, *(f"f{n}" for n in range(2000)))
    (row,) = await home.store.read("SELECT count(*) FROM touched")
    assert row[0] == overlaps.MOST
    assert read_survey("a\n\nb\na\n" + "x" * 301 + "\nc", 2, 300) == ("a", "b")


# -- looking for oneself -----------------------------------------------------------------------


def workspace(folder: Path, name: str) -> tuple[Path, str]:
    """A repository with a commit of before and one of the agent's; returns the first."""
    path = folder / name
    path.mkdir()

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=path, env=os.environ | WHO, check=True,
                              capture_output=True, text=True).stdout.strip()

    git("init", "--quiet", "--initial-branch=main")
    (path / "old.py").write_text("1\n")
    (path / "kept.py").write_text("1\n")
    git("add", ".")
    git("commit", "--quiet", "-m", "before")
    base = git("rev-parse", "HEAD")
    (path / "done.py").write_text("2\n")
    git("add", ".")
    git("commit", "--quiet", "-m", "its own")
    (path / "old.py").write_text("3\n")
    (path / "new folder").mkdir()
    (path / "new folder" / "ü.py").write_text("4\n")
    return path, base


async def place(home: House, folder: Path) -> list[str]:
    """Both tasks work, each in a workspace of its own; returns their sessions."""
    await two(home)
    for task_id in (1, 2):
        path, base = workspace(folder, f"workspace-{task_id}")

        def act(tx: Tx, number: int = task_id, path: Path = path, base: str = base) -> None:
            tx.run("UPDATE sessions SET worktree = ? WHERE task_id = ?", (str(path), number))
            tx.run("UPDATE tasks SET base_commit = ? WHERE id = ?", (base, number))

        await home.store.write(act)
    return [row["id"] for row in await home.store.read("SELECT id FROM sessions ORDER BY task_id")]


async def test_a_look_into_the_workspaces_finds_what_was_changed(
    home: House, tmp_path: Path
) -> None:
    found = await place(home, tmp_path)
    for session_id in found:
        await hotfiles.survey(home, session_id)
    rows = await home.store.read("SELECT path FROM touched WHERE task_id = 1 ORDER BY path")
    assert [row["path"] for row in rows] == ["done.py", "new folder/ü.py", "old.py"]
    told = await home.store.read("SELECT text FROM events WHERE type = 'task.overlapped'")
    assert [row["text"] for row in told] == [
        "TASK-001 and TASK-002 both change done.py, new folder/ü.py, old.py"]
    assert not list(home.session_folder(found[0]).glob("survey/*"))


async def test_a_workspace_that_is_gone_tells_nothing(home: House, tmp_path: Path) -> None:
    for session_id in await place(home, tmp_path):
        await home.store.write(lambda tx: tx.run("UPDATE sessions SET worktree = '/nowhere/x'"))
        await hotfiles.survey(home, session_id)
    assert not await home.store.read("SELECT 1 FROM touched")


async def test_a_session_that_has_ended_meanwhile_tells_nothing(
    home: House, tmp_path: Path
) -> None:
    first, _ = await place(home, tmp_path)

    def over(tx: Tx) -> None:
        session = sessions.get(tx, first)
        sessions.end(tx, session, sessions.SessionOutcome.KILLED, "so")
        tasks.move(tx, tasks.get(tx, session.task_id), TaskState.CANCELLED)

    await home.store.write(over)
    await hotfiles.survey(home, first)
    assert not await home.store.read("SELECT 1 FROM touched")
