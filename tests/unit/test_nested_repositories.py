"""Repositories inside of a workspace: what is left out, what is told, and what keeps the folder."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from core.worktrees import inspection_script, nested, read_inspection, would_lose
from core.worktrees.scripts import leftover_script
from tests.fakes.git_world import World, commit, make_world, run_git
from tests.needs import need

PLAIN = ("sh", "find", "xargs", "tr", "sed", "grep", "cut", "head", "ls", "rm")


def run(folder: Path, argv: tuple[str, ...], path: str | None = None) -> str:
    """As a sandbox does it: both outputs together."""
    env = {"PATH": path or os.environ["PATH"], "HOME": "/nonexistent"}
    done = subprocess.run(argv, cwd=folder, env=env, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
    said = done.stdout.decode("utf-8", "surrogateescape")
    assert done.returncode == 0, said
    return said


def repository(folder: Path) -> str:
    """A repository with hours of work in it."""
    folder.mkdir(parents=True, exist_ok=True)
    run_git(folder, "init", "--quiet", "--initial-branch=main")
    return commit(folder, {"app.py": "hours of work\n"})


def links(folder: Path, at: str = "HEAD") -> list[str]:
    found = run_git(folder, "ls-tree", "-r", "-z", at).split("\0")
    return [entry.partition("\t")[2] for entry in found if entry.startswith("160000")]


async def lost(world: World, path: str | None = None) -> str | None:
    """What a removal would lose, once the work was taken in."""
    head = (await world.collect()).head
    seen = read_inspection(run(world.workspace, inspection_script(), path))
    return await would_lose(world.bare, world.start, seen, head, str)


def left_out(world: World, path: str | None = None) -> list[str]:
    return nested.told(run(world.workspace, leftover_script("work", (world.start, "")), path))


_NAMES = some.text(some.characters(exclude_characters="\0/", exclude_categories=["Cs"]),
                   min_size=1, max_size=40).filter(
    lambda name: name not in (".", "..") and len(name.encode()) < 200
    and "git" not in name.lower())  # what git itself would not take
_ODD = ["a\nb", "-rf", ":(top)x", '"quoted"', "a\tb", "\x01", " ", "*", "é", "apart x",
        "$(x)", "\\"]


@given(name=some.one_of(some.sampled_from(_ODD), _NAMES), committed=some.booleans())
@settings(max_examples=40, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_it_is_called_it_is_left_out_told_and_kept(
    tmp_path: Path, name: str, committed: bool
) -> None:
    async def play() -> None:
        home = tmp_path / "play"
        shutil.rmtree(home, ignore_errors=True)
        world = await make_world(home)
        repository(world.workspace / name)
        if committed:
            commit(world.workspace, {"more.txt": "more\n"})
            assert links(world.workspace) == [name]
        told = left_out(world)
        assert links(world.workspace) == []
        assert told == [name.replace("\n", "?")]
        why = await lost(world)
        assert why is not None and why.startswith("a repository of its own in ")
        assert why.isprintable()
        assert (world.workspace / name / "app.py").exists()

    asyncio.run(play())


def boxed(folder: Path) -> str:
    """A PATH with nothing but git and one small box for the rest."""
    box = shutil.which("busybox")
    need("busybox", box is not None, "apt-get install busybox")
    folder.mkdir()
    for name in PLAIN:
        (folder / name).symlink_to(str(box))
    (folder / "git").symlink_to(str(shutil.which("git")))
    return str(folder)


@pytest.mark.parametrize("tools", ["usual", "small"])
async def test_a_small_image_has_all_that_it_takes(tmp_path: Path, tools: str) -> None:
    path = boxed(tmp_path / "box") if tools == "small" else None
    world = await make_world(tmp_path / "world")
    assert left_out(world, path) == []
    assert await lost(world, path) is None
    repository(world.workspace / "app")
    commit(world.workspace, {})
    run_git(world.workspace, "init", "--quiet", "tools/in")
    assert left_out(world, path) == ["app", "tools/in"]
    assert await lost(world, path) == "repositories of their own in app, tools/in"


async def test_an_image_without_find_loses_nothing(tmp_path: Path) -> None:
    (tmp_path / "box").mkdir()
    for name in {"git", *PLAIN} - {"find", "xargs"}:
        (tmp_path / "box" / name).symlink_to(str(shutil.which(name)))
    path = str(tmp_path / "box")
    world = await make_world(tmp_path / "world")
    assert left_out(world, path) == []
    assert await lost(world, path) is None
    repository(world.workspace / "app")
    run_git(world.workspace, "init", "--quiet", "tools/in")
    assert left_out(world, path) == ["tools/in"]
    change = await world.collect()
    assert [*(await nested.unheld(world.bare, change.base, change.head)).values()] == ["app"]
    assert await lost(world, path) == "repositories of their own in tools/in, app"


async def test_a_submodule_that_gitmodules_names_stays_and_is_kept(tmp_path: Path) -> None:
    world = await make_world(tmp_path)
    repository(tmp_path / "lib")
    inside = world.workspace
    run_git(inside, "-c", "protocol.file.allow=always", "submodule", "add", "--quiet",
            str(tmp_path / "lib"), "my lib")
    assert left_out(world) == []
    assert links(inside) == ["my lib"]
    change = await world.collect()
    assert [*(await nested.unheld(world.bare, change.base, change.head)).values()] == ["my lib"]
    assert await lost(world) == "a repository of its own in my lib"
    shutil.rmtree(inside / "my lib")
    shutil.rmtree(inside / ".git/modules")
    run_git(inside, "checkout", "--", "my lib")
    assert await lost(world) is None, "nothing is there that could be lost"


async def with_submodule(home: Path) -> World:
    """The user's own repository has a submodule, and the agent has fetched it."""
    repository(home / "lib")
    world = await make_world(home / "world")
    run_git(world.theirs, "-c", "protocol.file.allow=always", "submodule", "add", "--quiet",
            str(home / "lib"), "lib")
    commit(world.theirs, {})
    start = await world.repositories.sync(world.repo)
    second = home / "second/workspace"
    await world.repositories.make_workspace(world.repo, "bullpen/TASK-002", second, start)
    run_git(second, "-c", "protocol.file.allow=always", "submodule", "update", "--init", "--quiet")
    return World(home, world.repo, world.repositories, second, start)


async def seen_in(world: World) -> str | None:
    seen = read_inspection(run(world.workspace, inspection_script()))
    return await would_lose(world.bare, world.start, seen, seen.head, str)


@pytest.mark.parametrize(("does", "why"), [
    ("true", None),
    ("cd lib && git checkout -q -b mine && git commit -q --allow-empty -m x && "
     "git checkout -q -", "a repository of its own in lib"),
    ("cd lib && echo x > app.py && git stash -q", "a repository of its own in lib"),
    ("cd lib && echo x > app.py", "uncommitted changes in 1 file"),
    ("rm -rf lib/.git", "files in lib, where git looks for a submodule"),
])
async def test_of_the_users_submodule_only_what_is_nowhere_else_counts(
    tmp_path: Path, does: str, why: str | None
) -> None:
    world = await with_submodule(tmp_path)
    run_git(world.workspace, "-c", f"alias.does=!{does}", "does")
    assert left_out(world) == []
    assert links(world.workspace) == ["lib"]
    assert await seen_in(world) == why


async def test_the_main_branchs_own_link_stays_though_nothing_names_it(tmp_path: Path) -> None:
    """The user has one without .gitmodules; it came while the agent worked, and was merged in."""
    world = await make_world(tmp_path)
    repository(world.theirs / "odd")
    main = commit(world.theirs, {})
    assert await world.repositories.sync(world.repo) == main
    inside = world.workspace
    commit(inside, {"more.txt": "more\n"})
    run_git(inside, "merge", "--quiet", "-m", "merge", main)
    assert nested.told(run(inside, leftover_script("work", (world.start, main)))) == []
    assert links(inside) == ["odd"]
    change = await world.collect()
    assert await nested.unheld(world.bare, change.base, change.head) == {}
    assert await lost(world) is None


async def test_one_among_files_that_are_tracked_keeps_its_history(tmp_path: Path) -> None:
    world = await make_world(tmp_path, {"app/app.py": "first\n"})
    repository(world.workspace / "app")
    assert left_out(world) == []
    assert links(world.workspace) == []
    assert await lost(world) == "a repository of its own in app"


async def test_one_that_git_ignores_is_no_work(tmp_path: Path) -> None:
    world = await make_world(tmp_path, {".gitignore": "node_modules/\n"})
    repository(world.workspace / "node_modules/x")
    assert left_out(world) == []
    assert await lost(world) is None


async def test_one_whose_git_folder_is_gone_is_files_like_any_others(tmp_path: Path) -> None:
    world = await make_world(tmp_path)
    repository(world.workspace / "app")
    commit(world.workspace, {})
    shutil.rmtree(world.workspace / "app/.git")
    assert left_out(world) == []
    assert run_git(world.workspace, "ls-tree", "-r", "--name-only", "HEAD", "app") == "app/app.py"
    assert await lost(world) is None


def test_what_is_told_is_short_and_holds_no_secret() -> None:
    names = [f"folder {number} hunter2 {'x' * 300}" for number in range(50)]
    shown = nested.shown(names, lambda text: text.replace("hunter2", "[redacted]"))
    assert len(shown) == nested.MOST and max(map(len, shown)) <= nested.LONGEST
    words, _ = nested.obstacle([f"apart {name}" for name in names], (),
                               lambda text: text.replace("hunter2", "[redacted]"))
    assert "and 47 more" in words and len(words) < 300 and "hunter2" not in words
