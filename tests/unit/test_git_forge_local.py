"""The local forge where it differs from others: what a push into a person's folder does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from core.errors import Unclear
from core.forges.local import LocalForge
from core.git import EMPTY, change
from core.model import Repo
from core.ports import MergeOrder
from core.worktrees import Repositories
from tests.fakes.git_world import BRANCH, World, commit, make_world, new_repository, run_git


async def approved(world: World, files: dict[str, str | bytes]) -> MergeOrder:
    commit(world.workspace, files)
    change = await world.collect()
    return MergeOrder(
        world.repo, world.bare, change.head, change.patch_id, "Merge TASK-001", "Ada <ada@x.org>"
    )


async def test_the_files_of_a_clean_checkout_follow(tmp_path: Path) -> None:
    world = await make_world(tmp_path)
    order = await approved(world, {"greeting.txt": "hello\n"})

    await LocalForge().merge(order)

    assert (world.theirs / "greeting.txt").read_text() == "hello\n"
    assert run_git(world.theirs, "status", "--porcelain") == ""


async def test_the_merge_commit_names_both_sides_and_its_author(tmp_path: Path) -> None:
    world = await make_world(tmp_path)
    order = await approved(world, {"greeting.txt": "hello\n"})
    merged = await LocalForge().merge(order)
    told = run_git(world.theirs, "log", "-1", "--format=%H|%P|%an <%ae>|%s", "main")
    assert told == f"{merged.commit}|{world.start} {order.head}|Ada <ada@x.org>|Merge TASK-001"


async def test_a_dirty_checkout_is_named_and_left_alone(tmp_path: Path) -> None:
    world = await make_world(tmp_path)
    order = await approved(world, {"greeting.txt": "hello\n"})
    (world.theirs / "notes.txt").write_text("half a thought\n")

    refused = await LocalForge().merge(order)

    assert refused.detail == (
        f"main is checked out in {world.theirs} with uncommitted changes: "
        "commit or stash them; the approval waits."
    )
    assert (world.theirs / "notes.txt").read_text() == "half a thought\n"


async def test_an_untracked_file_in_the_way_is_not_overwritten(tmp_path: Path) -> None:
    world = await make_world(tmp_path)
    order = await approved(world, {"greeting.txt": "hello\n"})
    (world.theirs / "greeting.txt").write_text("mine\n")

    assert (await LocalForge().merge(order)).outcome == "refused"
    assert (world.theirs / "greeting.txt").read_text() == "mine\n"


async def test_the_linked_worktree_that_holds_the_branch_is_named(tmp_path: Path) -> None:
    world = await make_world(tmp_path)
    order = await approved(world, {"greeting.txt": "hello\n"})
    run_git(world.theirs, "checkout", "--quiet", "--detach")
    run_git(world.theirs, "worktree", "add", "--quiet", str(tmp_path / "linked"), "main")
    (tmp_path / "linked" / "notes.txt").write_text("half a thought\n")

    refused = await LocalForge().merge(order)

    assert f"main is checked out in {tmp_path / 'linked'} with" in refused.detail


async def test_a_branch_that_is_not_checked_out_just_moves(tmp_path: Path) -> None:
    world = await make_world(tmp_path)
    order = await approved(world, {"greeting.txt": "hello\n"})
    run_git(world.theirs, "checkout", "--quiet", "-b", "mine")
    (world.theirs / "notes.txt").write_text("half a thought\n")

    merged = await LocalForge().merge(order)

    assert merged.commit == run_git(world.theirs, "rev-parse", "main")
    assert (world.theirs / "notes.txt").read_text() == "half a thought\n"


async def test_the_persons_own_hook_may_refuse(tmp_path: Path) -> None:
    world = await make_world(tmp_path)
    order = await approved(world, {"greeting.txt": "hello\n"})
    hook = world.theirs / ".git" / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)

    refused = await LocalForge().merge(order)

    assert (refused.outcome, "pre-receive hook declined" in refused.detail) == ("refused", True)


async def test_a_branch_that_moves_during_the_push_is_met_again(tmp_path: Path) -> None:
    """The person's hook itself moves the branch once, just before ours would land."""
    world = await make_world(tmp_path)
    order = await approved(world, {"greeting.txt": "hello\n"})
    run_git(world.theirs, "checkout", "--quiet", "-b", "mine")
    theirs = commit(world.theirs, {"other.txt": "by hand\n"}, "by hand")
    hook = world.theirs / ".git" / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(
        "#!/bin/sh\n[ -e done ] && exit 0\ntouch done\n"
        "unset GIT_QUARANTINE_PATH\n"
        f"git update-ref refs/heads/main {theirs}\n"
    )
    hook.chmod(0o755)

    merged = await LocalForge().merge(order)

    assert merged.outcome == "pr.merged"
    held = run_git(world.theirs, "ls-tree", "--name-only", "main").split()
    assert {"greeting.txt", "other.txt"} <= set(held)


@pytest.mark.parametrize("form", ["bare path", "file URL"])
async def test_it_merges_into_a_bare_repository_and_a_file_url(tmp_path: Path, form: str) -> None:
    new_repository(tmp_path / "work")
    run_git(tmp_path, "clone", "--quiet", "--bare", "work", "shared repo.git")
    path = tmp_path / "shared repo.git"
    source = str(path) if form == "bare path" else f"file://{tmp_path}/shared%20repo.git"
    repo = Repo("shared", source, "")
    repositories = Repositories(tmp_path / "repos")
    start = await repositories.sync(repo)
    await repositories.make_workspace(repo, BRANCH, tmp_path / "ws", start)
    commit(tmp_path / "ws", {"greeting.txt": "hello\n"})
    change = await repositories.collect(repo, BRANCH, tmp_path / "ws", "coding-1", start)

    merged = await LocalForge().merge(
        MergeOrder(repo, repositories.path(repo), change.head, change.patch_id, "m", "Ada <a@x>")
    )

    assert merged.commit == run_git(path, "rev-parse", "main")


async def test_white_space_alone_makes_an_approval_stale(tmp_path: Path) -> None:
    world = await make_world(tmp_path)
    shown = await approved(world, {"a.py": "if x:\n    a()\nb()\n"})
    other = await approved(world, {"a.py": "if x:\n    a()\n    b()\n"})

    merged = await LocalForge().merge(replace(other, patch_id=shown.patch_id))

    assert (merged.outcome, merged.patch_id) == ("stale", other.patch_id)


async def test_what_would_be_merged_is_held_and_has_the_patch_id(tmp_path: Path) -> None:
    world = await make_world(tmp_path)
    order = await approved(world, {"a": "one\n", "b": "two\n"})
    by_hand = commit(world.theirs, {"a": "one\n"}, "by hand")

    merged = await LocalForge().merge(order)
    assert (merged.outcome, merged.base) == ("stale", by_hand)
    assert merged.commit is not None and merged.patch_id is not None
    told = await change(world.bare, by_hand, merged.commit)

    assert told.patch_id == merged.patch_id
    assert [file.path for file in told.files] == ["b"]
    assert run_git(world.theirs, "rev-parse", "main") == by_hand
    again = await LocalForge().merge(replace(order, patch_id=merged.patch_id))
    assert again.outcome == "pr.merged"


async def test_where_nothing_is_left_to_merge_base_and_commit_are_one(tmp_path: Path) -> None:
    world = await make_world(tmp_path)
    order = await approved(world, {"a": "one\n"})
    by_hand = commit(world.theirs, {"a": "one\n"}, "by hand")
    merged = await LocalForge().merge(order)
    assert (merged.outcome, merged.base, merged.commit) == ("stale", by_hand, by_hand)
    assert merged.patch_id == EMPTY


async def test_an_author_that_is_none_is_refused_in_words(tmp_path: Path) -> None:
    world = await make_world(tmp_path)
    order = await approved(world, {"greeting.txt": "hello\n"})
    with pytest.raises(Unclear, match="`nobody` is no author: write `Name <email>`"):
        await LocalForge().merge(replace(order, author="nobody"))


async def test_a_deleted_branch_is_told(tmp_path: Path) -> None:
    world = await make_world(tmp_path)
    order = await approved(world, {"greeting.txt": "hello\n"})
    run_git(world.theirs, "branch", "-m", "main", "trunk")
    with pytest.raises(Unclear, match="has no branch `main`"):
        await LocalForge().merge(order)
