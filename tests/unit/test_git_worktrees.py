"""Bare repositories and workspaces: made once, filled from the source, taken in, removed."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bot.demo import make_demo_repository
from core.checks import _end_earlier
from core.errors import Broken, Refused, Unclear
from core.model import Repo
from core.sandboxes.host import HostSandbox
from core.worktrees import (
    Repositories,
    inspection_script,
    leftover_script,
    may_remove,
    read_inspection,
    remove_workspace,
)
from tests.fakes.git_world import BRANCH, SESSION, commit, make_world, new_repository, run_git


def run_inside(folder: Path, argv: tuple[str, ...]) -> str:
    env = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
    # Both together, as a sandbox hands them back.
    done = subprocess.run(argv, cwd=folder, env=env, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=60)
    assert done.returncode == 0, done.stdout
    return done.stdout


# -- Sources ------------------------------------------------------------------------------


async def test_a_folder_that_is_no_repository_is_told(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    repositories = Repositories(tmp_path / "repos")
    for source in (str(tmp_path / "plain"), str(tmp_path / "none"), "--upload-pack=x", ""):
        with pytest.raises(Unclear, match="is no git repository: give a path or URL of one"):
            await repositories.ensure(Repo("demo", source))
    assert not (tmp_path / "repos" / "demo.git").exists()


async def test_a_program_is_no_source(tmp_path: Path) -> None:
    with pytest.raises(Unclear, match="is no git repository"):
        await Repositories(tmp_path).ensure(Repo("demo", f"ext::touch {tmp_path}/run"))
    assert not (tmp_path / "run").exists()


async def test_a_url_that_cannot_be_reached_is_one_line_without_its_password(
    tmp_path: Path, free_port: int
) -> None:
    source = f"http://me:hunter2@127.0.0.1:{free_port}/x.git"
    with pytest.raises(Broken) as raised:
        await Repositories(tmp_path).ensure(Repo("demo", source))
    said = str(raised.value)
    assert said.startswith(f"`http://127.0.0.1:{free_port}/x.git` can't be reached")
    assert "hunter2" not in said and "\n" not in said


async def test_a_repository_without_a_commit_is_told(tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    run_git(tmp_path / "new", "init", "--quiet", "--initial-branch=main")
    with pytest.raises(Unclear, match="has no commit on `main` yet: make the first one"):
        await Repositories(tmp_path / "repos").ensure(Repo("demo", str(tmp_path / "new")))


async def test_a_branch_that_is_not_there_is_told(tmp_path: Path) -> None:
    new_repository(tmp_path / "r")
    with pytest.raises(Unclear, match="has no branch `trunk`: set the repository's `branch`"):
        await Repositories(tmp_path / "repos").sync(Repo("demo", str(tmp_path / "r"), "trunk"))


async def test_the_default_branch_is_found_where_none_is_configured(tmp_path: Path) -> None:
    new_repository(tmp_path / "r")
    run_git(tmp_path / "r", "branch", "-m", "main", "trunk")
    repositories, repo = Repositories(tmp_path / "repos"), Repo("demo", str(tmp_path / "r"), "")
    await repositories.sync(repo)
    assert repositories.default_branch(repo) == "trunk"
    run_git(tmp_path / "r", "checkout", "--quiet", "--detach")
    with pytest.raises(Unclear, match="is on no branch: set the repository's `branch`"):
        await repositories.sync(repo)


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".hidden", "a b", "x.lock", "a..b", "-x"])
async def test_an_unsafe_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(Unclear, match="is no safe name"):
        Repositories(tmp_path).path(Repo(name, "/r"))


async def test_sync_follows_also_a_rewritten_branch(tmp_path: Path) -> None:
    world = await make_world(tmp_path)
    second = commit(world.theirs, {"a": "1\n"})
    assert await world.repositories.sync(world.repo) == second
    run_git(world.theirs, "reset", "--quiet", "--hard", world.start)
    third = commit(world.theirs, {"a": "2\n"})
    assert await world.repositories.sync(world.repo) == third
    assert run_git(world.bare, "rev-parse", "main") == third


async def test_many_at_once_agree(tmp_path: Path) -> None:
    start = new_repository(tmp_path / "r")
    repositories, repo = Repositories(tmp_path / "repos"), Repo("demo", str(tmp_path / "r"))
    assert set(await asyncio.gather(*(repositories.sync(repo) for _ in range(8)))) == {start}


async def test_a_shallow_source_works_from_end_to_end(tmp_path: Path) -> None:
    new_repository(tmp_path / "deep")
    commit(tmp_path / "deep", {"second.txt": "2\n"})
    url = f"file://{tmp_path / 'deep'}"
    run_git(tmp_path, "clone", "--quiet", "--depth=1", url, "shallow")
    repositories, repo = Repositories(tmp_path / "repos"), Repo("demo", str(tmp_path / "shallow"))
    start = await repositories.sync(repo)
    await repositories.make_workspace(repo, BRANCH, tmp_path / "ws", start)
    commit(tmp_path / "ws", {"third.txt": "3\n"})
    change = await repositories.collect(repo, BRANCH, tmp_path / "ws", SESSION, start)
    assert [one.path for one in change.files] == ["third.txt"]


# -- Workspaces ---------------------------------------------------------------------------


async def test_a_workspace_is_a_clone_on_the_task_branch_without_a_remote(tmp_path: Path) -> None:
    world = await make_world(tmp_path, {"a.txt": "a\n", "run.sh": "#!/bin/sh\n"})
    inside = world.workspace
    assert run_git(inside, "symbolic-ref", "--short", "HEAD") == BRANCH
    assert run_git(inside, "rev-parse", "HEAD", "origin/main") == f"{world.start}\n{world.start}"
    assert run_git(inside, "status", "--porcelain") == ""
    assert run_git(inside, "remote") == ""
    assert run_git(inside, "fsck", "--no-progress") == ""
    assert (inside / "a.txt").read_text() == "a\n"


async def test_an_agent_may_commit_under_its_own_name(tmp_path: Path) -> None:
    world = await make_world(tmp_path)
    other, name = tmp_path / "other", 'Bullpen "quoted" [x]\nfsmonitor = touch'
    await world.repositories.make_workspace(world.repo, BRANCH, other, world.start, author=name)
    (other / "x").write_text("x\n")
    run_inside(other, leftover_script("more"))
    assert run_git(other, "log", "-1", "--format=%an|%ae") == (
        'Bullpen "quoted" [x]fsmonitor = touch|agent@bullpen.invalid'
    )


async def test_a_second_session_starts_where_the_task_stands(tmp_path: Path) -> None:
    world = await make_world(tmp_path)
    head = commit(world.workspace, {"greeting.txt": "hello\n"})
    await world.collect()
    second = tmp_path / "second"
    at = await world.repositories.make_workspace(world.repo, BRANCH, second, world.start)
    assert at == head
    assert (second / "greeting.txt").read_text() == "hello\n"


async def test_a_finished_workspace_is_left_alone(tmp_path: Path) -> None:
    world = await make_world(tmp_path)
    (world.workspace / "half.txt").write_text("half\n")
    await world.repositories.make_workspace(world.repo, BRANCH, world.workspace, world.start)
    assert (world.workspace / "half.txt").read_text() == "half\n"


async def test_what_a_crash_left_half_made_is_made_anew(tmp_path: Path) -> None:
    world = await make_world(tmp_path)
    draft = tmp_path / "fresh" / ".workspace.new"
    (draft / ".git").mkdir(parents=True)
    (draft / ".git" / "HEAD").write_text("nonsense")
    bare = tmp_path / "repos" / ".second.git.new"
    (bare / "objects").mkdir(parents=True)
    second = Repo("second", str(world.theirs))
    folder = tmp_path / "fresh" / "workspace"
    start = await world.repositories.sync(second)
    await world.repositories.make_workspace(second, BRANCH, folder, start)
    assert run_git(folder, "status", "--porcelain") == ""
    assert [entry.name for entry in folder.parent.iterdir()] == ["workspace"]


async def test_an_unknown_start_is_an_error_and_leaves_no_branch(tmp_path: Path) -> None:
    world = await make_world(tmp_path)
    with pytest.raises(Broken):
        await world.repositories.make_workspace(
            world.repo, "bullpen/TASK-002", tmp_path / "ws", "f" * 40
        )
    assert await world.repositories.head(world.repo, "bullpen/TASK-002") is None


# -- Taking in ----------------------------------------------------------------------------


async def test_collecting_moves_the_task_branch(tmp_path: Path) -> None:
    world = await make_world(tmp_path)
    head = commit(world.workspace, {"greeting.txt": "hello\n"})
    change = await world.collect()
    assert (change.base, change.head) == (world.start, head)
    assert [one.path for one in change.files] == ["greeting.txt"]
    assert await world.repositories.head(world.repo, BRANCH) == head
    assert "+hello" in await world.repositories.diff(world.repo, change.base, change.head)
    assert await world.collect() == change
    assert sorted(p.name for p in (tmp_path / "repos").iterdir()) == ["demo.git"]


async def test_nothing_done_is_an_empty_change(tmp_path: Path) -> None:
    world = await make_world(tmp_path)
    change = await world.collect()
    assert (change.empty, change.head, change.patch_id) == (True, world.start, "empty")


@pytest.mark.parametrize("how", ["detached", "another branch", "packed", "amended"])
async def test_head_counts_wherever_it_is(tmp_path: Path, how: str) -> None:
    world = await make_world(tmp_path)
    if how == "detached":
        run_git(world.workspace, "checkout", "--quiet", "--detach")
    if how == "another branch":
        run_git(world.workspace, "checkout", "--quiet", "-b", "feature/mine")
    head = commit(world.workspace, {"greeting.txt": "hello\n"})
    if how == "packed":
        run_git(world.workspace, "gc", "--quiet")
        run_git(world.workspace, "pack-refs", "--all", "--prune")
    if how == "amended":
        await world.collect()
        run_git(world.workspace, "commit", "--quiet", "--amend", "-m", "better")
        head = run_git(world.workspace, "rev-parse", "HEAD")
    assert (await world.collect()).head == head


async def test_work_of_another_history_is_not_taken(tmp_path: Path) -> None:
    world = await make_world(tmp_path)
    run_git(world.workspace, "checkout", "--quiet", "--orphan", "other")
    commit(world.workspace, {"x": "x\n"})
    with pytest.raises(Refused, match="shares no history with where it began"):
        await world.collect()
    assert await world.repositories.head(world.repo, BRANCH) == world.start


async def test_a_commit_that_misses_its_files_is_not_taken(tmp_path: Path) -> None:
    world = await make_world(tmp_path)
    commit(world.workspace, {"x": "missing\n"})
    blob = run_git(world.workspace, "rev-parse", "HEAD:x")
    (world.workspace / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    with pytest.raises(Broken):
        await world.collect()
    assert await world.repositories.head(world.repo, BRANCH) == world.start


# -- Leftovers and removal ----------------------------------------------------------------


async def test_leftovers_are_committed_inside(tmp_path: Path) -> None:
    world = await make_world(tmp_path)
    (world.workspace / "-new file.txt").write_text("x\n")
    (world.workspace / ".git" / "index.lock").touch()
    head = run_inside(world.workspace, leftover_script("what was left; $(touch x)")).strip()
    assert run_git(world.workspace, "log", "-1", "--format=%H|%s|%an") == (
        f"{head}|what was left; $(touch x)|Bullpen agent"
    )
    assert run_inside(world.workspace, leftover_script("again")).strip() == head


async def test_excluded_files_are_no_leftovers(tmp_path: Path) -> None:
    world = await make_world(tmp_path)
    folder = tmp_path / "other"
    await world.repositories.make_workspace(
        world.repo, BRANCH, folder, world.start, exclude=("/AGENTS.md",)
    )
    (folder / "AGENTS.md").write_text("ours\n")
    assert run_inside(folder, leftover_script("none")).strip() == world.start


async def test_inspection_tells_clean_dirty_and_stray(tmp_path: Path) -> None:
    world = await make_world(tmp_path)

    def reason(collected: str) -> str | None:
        seen = read_inspection(run_inside(world.workspace, inspection_script()))
        return may_remove(seen.status, seen.head, collected)

    assert reason(world.start) is None
    assert reason("") == "commits that were not taken in yet"
    (world.workspace / "x").write_text("x\n")
    assert reason(world.start) == "uncommitted changes in 1 file"
    head = commit(world.workspace, {})
    assert reason(world.start) == "commits that were not taken in yet"
    assert reason(head) is None
    run_git(world.workspace, "checkout", "--quiet", "-b", "other", world.start)
    commit(world.workspace, {"y": "y\n"})
    run_git(world.workspace, "checkout", "--quiet", BRANCH)
    assert reason(head) == "commits on 1 other branch"
    run_git(world.workspace, "branch", "-q", "-m", "other", "elsewhere")
    run_git(world.workspace, "tag", "kept", "elsewhere")
    assert reason(head) == "commits on 2 other branches or tags"
    run_git(world.workspace, "branch", "-q", "-D", "elsewhere")
    assert reason(head) == "commits on 1 other tag"
    run_git(world.workspace, "tag", "at", head)
    run_git(world.workspace, "tag", "-d", "kept")
    assert reason(head) is None


def test_an_answer_that_makes_no_sense_keeps_the_folder() -> None:
    for output in ("", "fatal: no\n", "\n\n", "0" * 39):
        seen = read_inspection(output)
        assert may_remove(seen.status, seen.head, "0" * 40) is not None
    assert may_remove("", "", "") is not None


async def test_removal_follows_no_link_and_opens_closed_folders(tmp_path: Path) -> None:
    world = await make_world(tmp_path)
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").write_text("x")
    os.symlink(tmp_path / "precious", world.workspace / "link")
    (world.workspace / "closed" / "inner").mkdir(parents=True)
    (world.workspace / "closed").chmod(0)
    await remove_workspace(world.workspace)
    await remove_workspace(world.workspace)
    assert (tmp_path / "precious" / "file").exists()
    assert list(world.workspace.parent.iterdir()) == []


def nest(folder: Path, name: str = "d") -> None:
    """Folders in folders, deeper than a path may be long."""
    code = f"import os\nfor _ in range(3000):\n os.mkdir('{name}'); os.chdir('{name}')\n"
    subprocess.run([sys.executable, "-c", code + "open('deep', 'w')"], cwd=folder, check=True)


async def test_folders_nested_deeper_than_any_path_are_removed(tmp_path: Path) -> None:
    world = await make_world(tmp_path)
    try:
        nest(world.workspace)
        nest(world.workspace / "d", "e")
        (world.workspace / "d" / "e").chmod(0)
        seen = read_inspection(run_inside(world.workspace, inspection_script()))
        assert seen.head == world.start
        assert may_remove(seen.status, seen.head, seen.head) == (
            "git can't look into some of its folders")
    finally:  # no other program takes that away
        await remove_workspace(world.workspace)
    assert list(world.workspace.parent.iterdir()) == []


async def test_folders_nested_in_its_objects_are_told_and_not_followed(tmp_path: Path) -> None:
    world = await make_world(tmp_path)
    try:
        nest(world.workspace / ".git" / "objects")
        with pytest.raises(Broken, match="nested as git nests none"):
            await world.collect()
    finally:
        await remove_workspace(world.workspace)


async def test_folders_that_a_check_has_nested_hold_no_judging_up(tmp_path: Path) -> None:
    (tmp_path / "checks/1").mkdir(parents=True)
    try:
        nest(tmp_path / "checks/1")
        await _end_earlier(HostSandbox(), tmp_path / "checks")
        assert list((tmp_path / "checks").iterdir()) == []
    finally:
        await remove_workspace(tmp_path / "checks")


async def test_what_git_says_beside_its_answer_is_no_work(tmp_path: Path) -> None:
    world = await make_world(tmp_path)
    run_git(world.workspace, "config", "core.excludesFile", str(tmp_path / "loop"))
    (tmp_path / "loop").symlink_to("loop")
    said = run_inside(world.workspace, inspection_script())
    assert said.split() == [world.start]


async def test_a_workspace_that_became_a_link_is_just_unlinked(tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    os.symlink(tmp_path / "precious", tmp_path / "workspace")
    await remove_workspace(tmp_path / "workspace")
    assert [entry.name for entry in tmp_path.iterdir()] == ["precious"]


# -- The demo -----------------------------------------------------------------------------


async def test_the_demo_is_the_same_everywhere_and_passes_its_tests(tmp_path: Path) -> None:
    await make_demo_repository(tmp_path / "a")
    await make_demo_repository(tmp_path / "b")
    heads = {run_git(tmp_path / name, "rev-parse", "main") for name in ("a", "b")}
    assert len(heads) == 1
    run_inside(tmp_path / "a", ("python3", "-m", "unittest"))
    assert run_git(tmp_path / "a", "status", "--porcelain") == ""


async def test_a_demo_that_is_there_stays(tmp_path: Path) -> None:
    await make_demo_repository(tmp_path / "a")
    mine = commit(tmp_path / "a", {"mine.txt": "x\n"})
    await make_demo_repository(tmp_path / "a")
    assert run_git(tmp_path / "a", "rev-parse", "HEAD") == mine
