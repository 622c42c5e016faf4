"""A workspace set with traps: every one springs under plain git, and none under Bullpen.

Each trap runs a program that leaves a mark. First plain git in a copy of the workspace shows
that the trap is live; then the work is taken in, shown, merged and thrown away, and the mark
must not be there.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from core.errors import Broken, BullpenError
from core.forges.local import LocalForge
from core.ports import MergeOrder
from core.worktrees import remove_workspace
from tests.fakes.git_world import (
    BRANCH,
    SESSION,
    World,
    commit,
    make_world,
    new_repository,
    numbered,
    run_git,
)


@dataclass(frozen=True, slots=True)
class Trap:
    """`config` lines (PROGRAM is the program that leaves the mark), `attributes` of every
    file, and the plain git `command` that springs it."""

    name: str
    config: str
    command: tuple[str, ...]
    attributes: str = ""


TRAPS = [
    Trap("fsmonitor", "[core]\n\tfsmonitor = PROGRAM", ("status",)),
    Trap("clean", '[filter "x"]\n\tclean = PROGRAM', ("status",), "* filter=x"),
    Trap("smudge", '[filter "x"]\n\tsmudge = PROGRAM', ("checkout", "HEAD~1", "."), "* filter=x"),
    Trap("process", '[filter "x"]\n\tprocess = PROGRAM', ("status",), "* filter=x"),
    Trap("textconv", '[diff "x"]\n\ttextconv = PROGRAM', ("diff", "HEAD~1"), "* diff=x"),
    Trap("diff command", '[diff "x"]\n\tcommand = PROGRAM', ("diff", "HEAD~1"), "* diff=x"),
    Trap("diff.external", "[diff]\n\texternal = PROGRAM", ("diff", "HEAD~1")),
    Trap("merge driver", '[merge "x"]\n\tdriver = PROGRAM', ("merge", "side"), "* merge=x"),
    Trap(
        "gpg",
        "[gpg]\n\tprogram = PROGRAM\n[commit]\n\tgpgsign = true",
        ("commit", "--allow-empty", "-m", "x"),
    ),
    Trap("hooksPath", "[core]\n\thooksPath = HOOKS", ("commit", "--allow-empty", "-m", "x")),
    Trap("sshCommand", "[core]\n\tsshCommand = PROGRAM", ("ls-remote", "ssh://127.0.0.1/x")),
    Trap(
        "credential.helper",
        '[credential]\n\thelper = "!PROGRAM"',
        ("-c", r"alias.ask=!printf 'protocol=https\nhost=h\n\n' | git credential fill", "ask"),
    ),
    Trap("alias", "[alias]\n\tgreet = !PROGRAM", ("greet",)),
    Trap("editor", "[core]\n\teditor = PROGRAM", ("commit", "--allow-empty")),
    Trap("include", "[include]\n\tpath = INCLUDED", ("status",)),
    Trap("includeIf", '[includeIf "gitdir:**"]\n\tpath = INCLUDED', ("status",)),
    Trap(
        "ssh signing",
        '[gpg]\n\tformat = ssh\n[gpg "ssh"]\n\tprogram = PROGRAM\n[user]\n\tsigningKey = /key\n'
        "[commit]\n\tgpgsign = true",
        ("commit", "--allow-empty", "-m", "x"),
    ),
    Trap(
        "verifying",
        "[gpg]\n\tprogram = PROGRAM\n[log]\n\tshowSignature = true",
        ("-c", "alias.all=!git -c commit.gpgsign=true commit --allow-empty -m x; git log", "all"),
    ),
    Trap(
        "sequence editor",
        "[sequence]\n\teditor = PROGRAM",
        ("rebase", "--interactive", "HEAD~1"),
    ),
    Trap(
        "ext remote",
        '[protocol "ext"]\n\tallow = always\n[remote "origin"]\n\turl = ext::PROGRAM',
        ("fetch", "origin"),
    ),
    Trap(
        "remote uploadpack",
        '[remote "origin"]\n\turl = .\n\tuploadpack = PROGRAM',
        ("fetch", "origin"),
    ),
]


class Stage:
    """A workspace with work on it, and a program that leaves a mark."""

    def __init__(self, world: World, home: Path) -> None:
        self.world = world
        self.mark = home / "mark"
        self.program = home / "program"
        self.program.write_text(f"#!/bin/sh\ntouch {self.mark}\nexit 0\n")
        self.program.chmod(0o755)
        self.hooks = home / "hooks"
        self.hooks.mkdir()
        for name in ("pre-commit", "post-checkout", "post-merge", "reference-transaction"):
            shutil.copy(self.program, self.hooks / name)
        self.included = home / "included"
        self.included.write_text(f"[core]\n\tfsmonitor = {self.program}\n")

    def filled(self, text: str) -> str:
        text = text.replace("PROGRAM", str(self.program)).replace("HOOKS", str(self.hooks))
        return text.replace("INCLUDED", str(self.included))

    def set_trap(self, trap: Trap) -> None:
        git = self.world.workspace / ".git"
        with (git / "config").open("a") as config:
            config.write(self.filled(trap.config) + "\n")
        (git / "info" / "attributes").write_text(trap.attributes + "\n")

    def springs(self, *command: str) -> bool:
        """Whether plain git in a copy of the workspace leaves the mark; wipes it again."""
        copy = self.world.home / "copy"
        shutil.copytree(self.world.workspace, copy, symlinks=True)
        for file in copy.glob("*.txt"):
            os.utime(file, (1, 1))
        run_git(copy, *command, check=False)
        sprung = self.mark.exists()
        self.mark.unlink(missing_ok=True)
        shutil.rmtree(copy)
        return sprung

    async def whole_road(self) -> None:
        """Everything that Bullpen does with a workspace's work."""
        world = self.world
        change = await world.collect()
        await world.repositories.diff(world.repo, change.base, change.head)
        commit(world.theirs, {"other.txt": "meanwhile\n"})
        merged = await LocalForge().merge(
            MergeOrder(
                world.repo, world.bare, change.head, change.patch_id, "Merge", "Ada <ada@x.org>"
            )
        )
        assert merged.outcome == "pr.merged"
        await world.repositories.sync(world.repo)
        second = world.home / "second"
        await world.repositories.make_workspace(world.repo, BRANCH, second, world.start)
        await remove_workspace(second)
        await remove_workspace(world.workspace)


@pytest.fixture
async def stage(tmp_path: Path) -> Stage:
    world = await make_world(tmp_path / "home")
    run_git(world.workspace, "checkout", "--quiet", "-b", "side")
    commit(world.workspace, {"notes.txt": numbered({2: "on the side"})})
    run_git(world.workspace, "checkout", "--quiet", BRANCH)
    attributes = "*.txt filter=x diff=x merge=x\n"
    commit(world.workspace, {"notes.txt": numbered({15: "work"}), "x/.gitattributes": attributes})
    return Stage(world, tmp_path)


@pytest.mark.parametrize("trap", TRAPS, ids=lambda trap: trap.name)
async def test_a_hostile_configuration_runs_nothing(stage: Stage, trap: Trap) -> None:
    stage.set_trap(trap)
    assert stage.springs(*trap.command), "the trap is not live, so this would prove nothing"
    await stage.whole_road()
    assert not stage.mark.exists()


async def test_all_traps_at_once_and_hooks_run_nothing(stage: Stage) -> None:
    hooks = stage.world.workspace / ".git" / "hooks"
    shutil.copytree(stage.hooks, hooks)
    assert stage.springs("commit", "--allow-empty", "-m", "x")
    for trap in TRAPS:
        stage.set_trap(trap)
    with (stage.world.workspace / ".git" / "config").open("a") as config:
        config.write(stage.filled("[uploadpack]\n\tpackObjectsHook = PROGRAM\n"))
        config.write(stage.filled("[core]\n\tpager = PROGRAM\n\tgitProxy = PROGRAM\n"))
    await stage.whole_road()
    assert not stage.mark.exists()


async def test_committed_attributes_find_no_program(stage: Stage) -> None:
    """Attributes travel with the work; the programs they name must not exist on our side."""
    commit(stage.world.workspace, {".gitattributes": "* filter=x diff=x merge=x\n"})
    stage.set_trap(Trap("", '[filter "x"]\n\tclean = PROGRAM\n\tsmudge = PROGRAM', ()))
    assert stage.springs("status")
    await stage.whole_road()
    assert not stage.mark.exists()


async def test_a_configuration_that_cannot_be_read_does_not_even_matter(stage: Stage) -> None:
    (stage.world.workspace / ".git" / "config").write_text("[broken\n")
    await stage.whole_road()


# -- A .git that is something else --------------------------------------------------------


def pointed_by_file(git: Path, target: Path) -> None:
    shutil.rmtree(git)
    git.write_text(f"gitdir: {target}\n")


def pointed_by_link(git: Path, target: Path) -> None:
    shutil.rmtree(git)
    os.symlink(target, git)


def objects_by_link(git: Path, target: Path) -> None:
    shutil.rmtree(git / "objects")
    os.symlink(target / "objects", git / "objects")


def fan_out_by_link(git: Path, target: Path) -> None:
    folder = next(path for path in (git / "objects").iterdir() if len(path.name) == 2)
    shutil.rmtree(folder)
    os.symlink(target / "objects" / "pack", folder)


def alternates_elsewhere(git: Path, target: Path) -> None:
    with (git / "objects" / "info" / "alternates").open("a") as file:
        file.write(f"{target}/objects\n")


def head_by_link(git: Path, target: Path) -> None:
    (git / "HEAD").unlink()
    os.symlink(target / "HEAD", git / "HEAD")


def branch_by_link(git: Path, target: Path) -> None:
    (git / "refs" / "heads" / BRANCH).unlink()
    os.symlink(target / "refs" / "heads" / "main", git / "refs" / "heads" / BRANCH)


def head_out_of_refs(git: Path, target: Path) -> None:
    (git / "HEAD").write_text("ref: refs/heads/../../../../secret\n")


def head_is_a_fifo(git: Path, target: Path) -> None:
    (git / "HEAD").unlink()
    os.mkfifo(git / "HEAD")


def head_is_huge(git: Path, target: Path) -> None:
    with (git / "HEAD").open("wb") as file:
        file.truncate(1 << 40)


def head_is_no_text(git: Path, target: Path) -> None:
    (git / "HEAD").write_bytes(b"\xff\xfe\x00")


def git_is_gone(git: Path, target: Path) -> None:
    shutil.rmtree(git)


FORGERIES = [
    pointed_by_file,
    pointed_by_link,
    objects_by_link,
    fan_out_by_link,
    alternates_elsewhere,
    head_by_link,
    branch_by_link,
    head_out_of_refs,
    head_is_a_fifo,
    head_is_huge,
    head_is_no_text,
    git_is_gone,
]


@pytest.mark.parametrize("forge", FORGERIES, ids=lambda forge: forge.__name__)
async def test_a_forged_git_folder_is_refused_in_one_line(
    stage: Stage, tmp_path: Path, forge: Callable[[Path, Path], None]
) -> None:
    new_repository(tmp_path / "private", {"secret.txt": "secret\n"})
    forge(stage.world.workspace / ".git", tmp_path / "private" / ".git")
    with pytest.raises(Broken, match=r"is not as it was made: .*\. Nothing was taken") as raised:
        await stage.world.collect()
    assert "\n" not in str(raised.value)
    assert await stage.world.repositories.head(stage.world.repo, BRANCH) == stage.world.start


# -- What the commits themselves hold -----------------------------------------------------


async def test_an_embedded_repository_runs_nothing(stage: Stage) -> None:
    """A bare repository among the files: plain git that enters the folder obeys it."""
    inner = stage.world.workspace / "inner"
    inner.mkdir()
    run_git(inner, "init", "--quiet", "--bare", "--template=")
    with (inner / "config").open("a") as config:
        config.write(f"[core]\n\tfsmonitor = {stage.program}\n\tworktree = {inner}\n")
        config.write("\tbare = false\n")
    (inner / "refs" / "keep").write_text("")
    (inner / "objects" / "keep").write_text("")
    run_git(inner, "status", check=False)
    assert stage.mark.exists(), "the trap is not live, so this would prove nothing"
    stage.mark.unlink()
    commit(stage.world.workspace, {})
    await stage.whole_road()
    assert (stage.world.theirs / "inner" / "config").exists()
    assert not stage.mark.exists()


async def test_a_submodule_is_an_entry_and_nothing_is_fetched_for_it(stage: Stage) -> None:
    """Its address may be a program, and its update, too."""
    inside = stage.world.workspace
    address = f"ext::{stage.program}"
    (inside / ".gitmodules").write_text(
        f'[submodule "sub"]\n\tpath = sub\n\turl = {address}\n\tfetchRecurseSubmodules = true\n')
    head = run_git(inside, "rev-parse", "HEAD")
    run_git(inside, "update-index", "--add", "--cacheinfo", f"160000,{head},sub")
    run_git(inside, "add", ".gitmodules")
    run_git(inside, "commit", "--quiet", "-m", "a submodule")
    with (inside / ".git" / "config").open("a") as config:
        config.write(f'[submodule "sub"]\n\turl = {address}\n\tactive = true\n'
                     f"\tupdate = !{stage.program}\n[submodule]\n\trecurse = true\n"
                     "[fetch]\n\trecurseSubmodules = true\n")
    assert stage.springs("-c", "protocol.ext.allow=always", "submodule", "update"), "not live"
    change = await stage.world.collect()
    assert {one.path: one.kind for one in change.files}["sub"] == "submodule"
    await stage.whole_road()
    assert not stage.mark.exists()


@pytest.mark.parametrize("name", [".git", ".GIT", "git~1", ".git ", "x/.git"])
async def test_no_checkout_writes_a_git_folder(stage: Stage, name: str) -> None:
    """Names that some file system takes for `.git`: git itself refuses to take them in."""
    inside = stage.world.workspace
    blob = run_git(inside, "rev-parse", "HEAD:notes.txt")
    *folders, last = name.split("/")
    config = _mktree(inside, f"100644 blob {blob}\tconfig")
    tree = _mktree(inside, f"040000 tree {config}\t{last}")
    for folder in folders:
        tree = _mktree(inside, f"040000 tree {tree}\t{folder}")
    await _refused(stage, tree)


async def test_a_link_out_of_the_tree_stays_a_link(stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").write_text("mine\n")
    os.symlink(tmp_path / "precious", stage.world.workspace / "out")
    commit(stage.world.workspace, {})
    change = await stage.world.collect()
    assert [one.kind for one in change.files if one.path == "out"] == ["link"]
    await stage.whole_road()
    assert (tmp_path / "precious" / "file").read_text() == "mine\n"


async def test_a_tree_that_holds_a_git_folder_is_not_taken_in(stage: Stage) -> None:
    """A tree that holds `.git/config` would write the person's configuration at checkout."""
    inside = stage.world.workspace
    blob = run_git(inside, "rev-parse", "HEAD:notes.txt")
    env_tree = f"100644 blob {blob}\tconfig"
    inner = _mktree(inside, env_tree)
    outer = _mktree(inside, f"040000 tree {inner}\t.git")
    await _refused(stage, outer)


async def test_odd_names_are_only_names(stage: Stage) -> None:
    odd = {"--output=x": "1\n", "a\nb": "2\n", "\x1b[2Jgone": "3\n", ":(top)": "4\n", "-rf": "5\n"}
    commit(stage.world.workspace, dict(odd))
    change = await stage.world.collect()
    assert set(odd) <= {one.path for one in change.files}
    text = await stage.world.repositories.diff(stage.world.repo, change.base, change.head)
    assert "\x1b" not in text
    await stage.whole_road()
    assert (stage.world.theirs / "a\nb").read_text() == "2\n"


async def test_an_object_that_never_ends_does_not_hang(stage: Stage) -> None:
    """A FIFO in place of an object: opening it would wait for a writer for ever."""
    head = run_git(stage.world.workspace, "rev-parse", "HEAD")
    path = stage.world.workspace / ".git" / "objects" / head[:2] / head[2:]
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(Broken):
        await stage.world.collect()


@pytest.mark.parametrize("session", ["../../x", "a/b", "", "-x", "x.lock"])
async def test_a_session_id_never_becomes_a_path(stage: Stage, session: str) -> None:
    world = stage.world
    with pytest.raises(BullpenError, match="is no safe name"):
        await world.repositories.collect(world.repo, BRANCH, world.workspace, session, world.start)
    assert SESSION in str(world.workspace)


async def _refused(stage: Stage, tree: str) -> None:
    """The branch stands at that tree over there, and is not taken in."""
    inside = stage.world.workspace
    parent = run_git(inside, "rev-parse", "HEAD")
    evil = run_git(inside, "commit-tree", tree, "-p", parent, "-m", "evil")
    run_git(inside, "update-ref", f"refs/heads/{BRANCH}", evil)
    with pytest.raises(BullpenError):
        await stage.world.collect()
    assert await stage.world.repositories.head(stage.world.repo, BRANCH) == stage.world.start


def _mktree(folder: Path, line: str) -> str:
    """A tree that `git mktree` would make too, written raw as it refuses none of it."""
    file = folder.parent / "tree-line"
    file.write_text(line + "\n")
    script = f"alias.made=!git mktree < {file}"
    return run_git(folder, "-c", script, "made")
