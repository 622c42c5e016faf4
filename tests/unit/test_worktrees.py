"""Worktrees made by hand: names, the road through every state, lending, and crashes."""

from __future__ import annotations

import dataclasses
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import Refused, Unclear
from core.house import House
from core.model import Session, SessionOutcome, SessionState, Worktree, WorktreeState
from core.orchestrator import UNTIDY
from core.store import claims, sessions, tasks, worktrees
from core.store.database import Store
from core.store.tasks import NewTask
from core.tidying import tidy
from core.worktrees import listing, making, naming, removing
from core.worktrees.making import Wanted
from tests.fakes.git_world import commit, new_repository, run_git
from tests.house_bench import ANN, house

W = WorktreeState


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    new_repository(tmp_path / "shop")
    store = await Store(tmp_path, lambda: 1_700_000_000_000).open()
    yield house(store, tmp_path)
    await store.close()


async def made(home: House, **more: str) -> Worktree:
    await making.create(home, Wanted("claude", **{"title": "one"} | more), ANN)
    return await home.store.write(lambda tx: worktrees.get(tx, 1))


async def begun(home: House, path: str | None = None) -> Session:
    """A session that has just begun, in its own clone or in the worktree at that path."""
    def act(tx):  # type: ignore[no-untyped-def]
        task = tasks.add(tx, NewTask("Mend it", "quick", "work", repo="shop"))
        claims.claim(tx, task.id, "claude", tasks.TaskState.IN_FLIGHT)
        session = sessions.begin(tx, tasks.get(tx, task.id), home.agents["claude"], "Do it.",
                                 str(home.data / "sessions/{id}/workspace"))
        if path is not None:
            worktrees.borrow(tx, path, session.id)
        return sessions.get(tx, session.id)
    return await home.store.write(act)


async def state(home: House) -> WorktreeState:
    return (await home.store.write(lambda tx: worktrees.get(tx, 1))).state


async def untidy(home: House) -> list[str]:
    return [row["id"] for row in await home.store.read(UNTIDY)]


# -- names ---------------------------------------------------------------------------------


@given(st.text("ab.-_@{}/~^:? *[\\+", min_size=1, max_size=12) | st.text(min_size=1, max_size=6))
def test_what_passes_as_a_branch_passes_gits_own_check(name: str) -> None:
    try:
        naming.check_branch(name)
    except Unclear as error:
        assert "\n" not in str(error).replace(name, "")
        return
    done = subprocess.run(["git", "check-ref-format", "--branch", name], capture_output=True)
    assert done.returncode == 0, name


@pytest.mark.parametrize("name", ["x", "feature/x", "a/b/c", "agent/coder-1/TASK-042-x", "v1.2+b",
                                  "user@host", "_x"])
def test_usual_names_of_branches_pass(name: str) -> None:
    assert naming.check_branch(name) == name


@pytest.mark.parametrize("name", ["", "-x", "/x", "x/", "a//b", "a..b", ".x", "a/.b", "x.lock",
                                  "a.lock/b", "x.", "a b", "a~b", "a^b", "a:b", "@", "HEAD", "a@{b",
                                  "refs/heads/x", "x" * 201, "ä", "a\nb", "a\0b"])
def test_what_git_or_a_file_system_could_stumble_over_is_no_branch(name: str) -> None:
    with pytest.raises(Unclear, match="can't be a branch's name"):
        naming.check_branch(name)


def test_names_follow_from_agent_task_and_title() -> None:
    title = "Speed up: the IMPORT — now!"
    branch = naming.branch_of("coder-1", "TASK-042", title)
    assert branch == "agent/coder-1/TASK-042-speed-up-the-import-now"
    assert naming.folder_of("coder-1", "TASK-042", title, branch) == (
        "coder-1-speed-up-the-import-now")
    assert naming.folder_of("coder-1", "TASK-042", "", "x") == "coder-1-TASK-042"
    assert naming.folder_of("coder-1", None, "", "feature/x") == "coder-1-x"
    assert len(naming.slug("word " * 50)) <= 40


@pytest.mark.parametrize("said", ["x", "worktrees/x", ".worktrees/x/", "/data/worktrees/x", "x/"])
def test_a_path_may_be_said_in_many_ways(said: str) -> None:
    assert naming.check_path(Path("/data/worktrees"), said) == Path("/data/worktrees/x")


@pytest.mark.parametrize("said", ["", ".", "..", "../x", "a/b", "/etc/x", "/data/worktrees",
                                  "/data/worktrees/../x", ".hidden", "x.lock", "a\0b", "a\nb",
                                  "worktrees/../x", "-x"])
def test_a_path_elsewhere_is_refused(said: str) -> None:
    with pytest.raises(Unclear, match="can't be a worktree's path"):
        naming.check_path(Path("/data/worktrees"), said)


# -- the road through the states -----------------------------------------------------------


async def test_one_is_made_whole_and_told(home: House) -> None:
    answer = await making.create(home, Wanted("claude", title="Try it"), ANN)
    assert answer.branch == "agent/claude/try-it" and answer.branch_created
    assert answer.path == str(home.data / "worktrees" / "claude-try-it")
    info = answer.worktree
    assert info.relative_path == "worktrees/claude-try-it" and not info.is_main and info.by_hand
    assert (info.state, info.branch, info.agent) == (W.ACTIVE, answer.branch, "claude")
    assert info.head == run_git(home.data / "shop", "rev-parse", "HEAD")
    main = (await listing.list_all(home)).items[0]
    assert main.is_main and main.branch == "main" and main.head == info.head


async def test_a_crash_while_it_is_made_is_made_good(home: House) -> None:
    planned = await making.plan(home, Wanted("claude", title="one"))
    await home.store.write(making.order(planned, ANN))
    (planned.path.parent / f".{planned.path.name}.new" / ".git").mkdir(parents=True)
    assert await untidy(home) == ["1"]
    await removing.settle(home, 1)
    assert await state(home) is W.ACTIVE and (planned.path / "notes.txt").exists()
    assert await untidy(home) == []


async def test_one_that_cannot_be_made_is_called_off_and_its_path_is_free(home: House) -> None:
    planned = await making.plan(home, Wanted("claude", title="one"))
    await home.store.write(making.order(planned, ANN))
    (home.data / "worktrees").write_text("a file where the folder should be\n")
    await removing.settle(home, 1)
    assert await state(home) in (W.GONE, W.ARCHIVED)
    (home.data / "worktrees").unlink()
    told = await home.store.read("SELECT text FROM events WHERE type = 'worktree.failed'")
    assert "can't be made" in told[0]["text"]


async def test_a_crash_while_it_is_removed_is_made_good_with_its_branch(home: House) -> None:
    one = await made(home)
    removal = await removing.look(home, "claude-one", delete_branch=True)
    await home.store.write(removing.order(removal))
    assert await untidy(home) == ["1"]
    Path(one.path).rename(Path(one.path).with_name(".claude-one.trash"))
    await removing.settle(home, 1)
    assert await state(home) is W.GONE and await untidy(home) == []
    assert list((home.data / "worktrees").iterdir()) == []
    assert await home.repositories.head(home.repo("shop"), one.branch) is None


async def test_what_cannot_be_deleted_is_archived_and_can_be_removed_later(home: House) -> None:
    one = await made(home)
    blocked = Path(one.path).with_name(".claude-one.trash")
    blocked.write_text("a file where a folder is expected\n")
    await home.store.write(removing.order(await removing.look(home, one.path)))
    await removing.settle(home, 1)
    assert await state(home) is W.ARCHIVED
    info = await listing.read(home, one.path)
    assert "can't be removed" in (info.kept or "")
    with pytest.raises(Refused, match="is archived: nobody can begin in it"):
        await begun(home, one.path)
    blocked.unlink()
    assert await removing.remove(home, one.path, force=True) == one.path
    assert await state(home) is W.GONE and not Path(one.path).exists()


async def test_the_two_kinds_stand_in_one_list(home: House) -> None:
    one = await made(home)
    own = await begun(home)
    await home.repositories.make_workspace(
        home.repo("shop"), "bullpen/TASK-001", Path(own.worktree), "main")
    found = (await listing.list_all(home)).items
    assert [(i.is_main, i.by_hand, i.path) for i in found] == [
        (True, False, str(home.data / "shop")), (False, True, one.path),
        (False, False, own.worktree)]
    assert found[2].session == own.id and found[2].branch == "bullpen/TASK-001"
    assert (await listing.read(home, own.id)).path == own.worktree
    assert (await listing.read(home, f"sessions/{own.id}/workspace")).session == own.id
    part = await listing.list_all(home, n=1, offset=1)
    assert [i.path for i in part.items] == [one.path] and part.total == 3


async def test_without_a_repository_it_is_said(home: House) -> None:
    empty = dataclasses.replace(home.setup, repos={})
    home.current.adopt(home.current.configured, empty)
    for act in (listing.list_all(home), listing.read(home, "x"), removing.remove(home, "x"),
                making.create(home, Wanted("claude", title="x"), ANN)):
        with pytest.raises(listing.NoRepository, match="There is no repository") as raised:
            await act
        assert raised.value.code == "WORKTREES_DISABLED"


# -- lending -------------------------------------------------------------------------------


async def test_a_session_works_in_it_and_gives_it_back(home: House) -> None:
    one = await made(home)
    session = await begun(home, one.path)
    assert (session.worktree, session.branch, session.borrowed) == (one.path, one.branch, 1)
    assert session.worktree_state is W.ACTIVE
    task = await home.store.write(lambda tx: tasks.get(tx, session.task_id))
    assert (task.branch, task.base_commit) == (one.branch, one.base)

    with pytest.raises(Refused, match=f"{session.id} works in"):
        await begun(home, one.path)
    with pytest.raises(Refused, match=f"{session.id} works in .*: /kill"):
        await removing.look(home, one.path, force=True)
    assert (await listing.read(home, one.path)).session == session.id

    async def to(where: WorktreeState) -> WorktreeState:
        await home.store.write(
            lambda tx: sessions.set_worktree(tx, sessions.get(tx, session.id), where))
        return await state(home)

    assert await to(W.SUSPENDED) is W.SUSPENDED
    assert await to(W.MERGING) is W.MERGING
    assert await to(W.ACTIVE) is W.ACTIVE
    assert await to(W.SUSPENDED) is W.SUSPENDED

    def end(tx):  # type: ignore[no-untyped-def]
        fresh = sessions.move(tx, sessions.get(tx, session.id), SessionState.SUSPENDED)
        return sessions.end(tx, fresh, SessionOutcome.COMPLETED, None)
    await home.store.write(end)
    assert await state(home) is W.ACTIVE
    tx_done = "UPDATE tasks SET state = 'done', ended_at = 1 WHERE id = ?"
    await home.store.write(lambda tx: tx.run(tx_done, (session.task_id,)))
    assert await untidy(home) == [], "a borrowed one is not tidied away with its session"
    await tidy(home, session.id)
    assert Path(one.path).is_dir()
    second = await begun(home, one.path)
    assert second.borrowed == 1


async def test_a_session_that_never_ends_can_give_it_back(home: House) -> None:
    one = await made(home)
    session = await begun(home, one.path)
    await home.store.write(
        lambda tx: sessions.set_worktree(tx, sessions.get(tx, session.id), W.SUSPENDED))
    for _ in range(2):
        await home.store.write(lambda tx: worktrees.give_back(tx, session.id))
        assert await state(home) is W.ACTIVE


async def test_only_what_fits_is_lent(home: House) -> None:
    with pytest.raises(Unclear, match="No worktree /nowhere"):
        await begun(home, "/nowhere")
    one = await made(home)
    await home.store.write(lambda tx: tx.run("UPDATE worktrees SET repo = 'other'"))
    with pytest.raises(Refused, match="is of other, TASK-001 of shop"):
        await begun(home, one.path)
    assert await home.store.read("SELECT 1 FROM sessions") == []


async def test_work_of_a_borrower_that_was_taken_in_is_safe(home: House) -> None:
    one = await made(home)
    session = await begun(home, one.path)
    head = commit(Path(one.path), {"new.txt": "new\n"})
    change = await home.repositories.collect(
        home.repo("shop"), one.branch, Path(one.path), session.id, one.base)
    assert change.head == head and [file.path for file in change.files] == ["new.txt"]

    def end(tx):  # type: ignore[no-untyped-def]
        fresh = sessions.move(tx, sessions.get(tx, session.id), SessionState.SUSPENDED)
        sessions.end(tx, fresh, SessionOutcome.COMPLETED, None)
        tx.run("UPDATE tasks SET state = 'done', ended_at = 1")
    await home.store.write(end)
    with pytest.raises(Refused, match="its branch agent/claude/one is not merged"):
        await removing.look(home, one.path, delete_branch=True)
    await removing.remove(home, one.path)
    assert await home.repositories.head(home.repo("shop"), one.branch) == head


async def test_the_default_branch_is_never_an_agents(home: House) -> None:
    repo = home.repo("shop")
    start = await home.repositories.sync(repo)
    for act in (home.repositories.move(repo, "main", start), home.repositories.drop(repo, "main"),
                home.repositories.make_workspace(repo, "main", home.data / "x", start),
                home.repositories.collect(repo, "main", home.data / "shop", "x", start)):
        with pytest.raises(Refused, match="is the branch that work is merged into"):
            await act
