"""What a person reads and approves: files, marks, text and patch id."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from core.errors import Refused
from core.git import change, diff, diffstat, patch_id
from core.git.changes import EMPTY
from core.model import FileChange
from tests.fakes.git_world import commit, new_repository, numbered, run_git


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    new_repository(tmp_path / "r")
    return tmp_path / "r"


async def told(folder: Path, files: dict[str, str | bytes]) -> tuple[FileChange, ...]:
    before = run_git(folder, "rev-parse", "HEAD")
    return (await change(folder / ".git", before, commit(folder, files))).files


async def test_files_with_their_lines(folder: Path) -> None:
    assert await told(folder, {"notes.txt": numbered({3: "three"}), "new.txt": "a\nb\n"}) == (
        FileChange("new.txt", 2, 0),
        FileChange("notes.txt", 1, 1),
    )


async def test_binary_files_links_and_submodules_are_told_apart(folder: Path) -> None:
    os.symlink("/etc/passwd", folder / "link")
    new_repository(folder / "inner")
    kinds = {one.path: one.kind for one in await told(folder, {"image.bin": b"\0\1\2"})}
    assert kinds == {"image.bin": "binary", "inner": "submodule", "link": "link"}


async def test_odd_names_come_through_whole(folder: Path) -> None:
    odd = "-rf \x1b[31mred\nsecond\tline ü.txt"
    assert await told(folder, {odd: "x\n"}) == (FileChange(odd, 1, 0),)


async def test_a_name_that_is_no_text_is_still_text_here(folder: Path) -> None:
    path = os.fsencode(folder) + b"/\xff.txt"
    Path(os.fsdecode(path)).write_text("x\n")
    (one,) = await told(folder, {})
    assert one.path.encode("utf-8") == "\ufffd.txt".encode()


@pytest.mark.parametrize(
    "path",
    [
        ".claude/settings.json",
        "sub/.claude/commands/x.md",
        ".mcp.json",
        ".codex/config.toml",
        "AGENTS.md",
        "docs/CLAUDE.md",
        ".github/workflows/ci.yml",
        ".gitlab-ci.yml",
        ".githooks/pre-commit",
        ".husky/pre-push",
        ".gitattributes",
        ".gitmodules",
        ".pre-commit-config.yaml",
        ".ci/run",
    ],
)
async def test_what_steers_agents_hooks_or_ci_is_marked(folder: Path, path: str) -> None:
    before = run_git(folder, "rev-parse", "HEAD")
    made = await change(folder / ".git", before, commit(folder, {path: "x\n"}))
    assert made.marked == (path,)


@pytest.mark.parametrize("path", ["src/agents.py", "claude.md.txt", "github/x.yml", "ci/run.sh"])
async def test_what_only_sounds_like_it_is_not(folder: Path, path: str) -> None:
    before = run_git(folder, "rev-parse", "HEAD")
    assert (await change(folder / ".git", before, commit(folder, {path: "x\n"}))).marked == ()


async def test_removing_a_marked_file_is_marked_too(folder: Path) -> None:
    before = commit(folder, {"AGENTS.md": "rules\n"})
    run_git(folder, "mv", "AGENTS.md", "gone.md")
    assert (await change(folder / ".git", before, commit(folder, {}))).marked == ("AGENTS.md",)


async def test_nothing_changed_is_empty(folder: Path) -> None:
    before = run_git(folder, "rev-parse", "HEAD")
    made = await change(folder / ".git", before, commit(folder, {}))
    assert (made.empty, made.patch_id) == (True, EMPTY)
    assert await patch_id(folder / ".git", before, before) == EMPTY


async def test_the_patch_id_survives_a_rebase_that_meets_nothing(folder: Path) -> None:
    first = run_git(folder, "rev-parse", "HEAD")
    run_git(folder, "checkout", "--quiet", "-b", "work")
    files: dict[str, str | bytes] = {"notes.txt": numbered({20: "twenty"}), "a.bin": b"\0\1"}
    before = await change(folder / ".git", "main", commit(folder, files))
    run_git(folder, "checkout", "--quiet", "main")
    onto = commit(folder, {"notes.txt": "on top\n" + numbered()})
    run_git(folder, "checkout", "--quiet", "work")
    run_git(folder, "rebase", "--quiet", "main")
    after = await change(folder / ".git", "main", run_git(folder, "rev-parse", "HEAD"))
    assert after.patch_id == before.patch_id
    assert (before.base, after.base) == (first, onto)


@pytest.mark.parametrize(
    "files",
    [
        {"a.py": "if x:\n    a()\n    b()\n"},
        {"a.py": "if x:\n    a()\nc()\n"},
        {"a.bin": b"\0\2"},
        {"b.py": "if x:\n    a()\nb()\n"},
    ],
)
async def test_the_patch_id_sees_every_difference(
    folder: Path, files: dict[str, str | bytes]
) -> None:
    base = run_git(folder, "rev-parse", "HEAD")
    whole: dict[str, str | bytes] = {"a.py": "if x:\n    a()\nb()\n", "a.bin": b"\0\1"}
    shown = await patch_id(folder / ".git", base, commit(folder, whole))
    other = await patch_id(folder / ".git", base, commit(folder, files))
    assert shown != other


async def test_the_patch_id_sees_a_file_become_executable(folder: Path) -> None:
    base = run_git(folder, "rev-parse", "HEAD")
    plain = await patch_id(folder / ".git", base, commit(folder, {"run": "x\n"}))
    (folder / "run").chmod(0o755)
    assert await patch_id(folder / ".git", base, commit(folder, {})) != plain


async def test_a_long_diff_is_cut_at_a_line_and_says_so(folder: Path) -> None:
    base = run_git(folder, "rev-parse", "HEAD")
    head = commit(folder, {"long.txt": "0123456789\n" * 100_000})
    text = await diff(folder / ".git", base, head, limit=10_000)
    *body, last = text.splitlines()
    assert last.startswith("[cut after ") and last.endswith(" bytes]")
    assert len(text) < 10_100
    assert set(body[6:]) == {"+0123456789"}


async def test_a_diff_names_binary_files_and_renames(folder: Path) -> None:
    base = run_git(folder, "rev-parse", "HEAD")
    run_git(folder, "mv", "notes.txt", "words.txt")
    head = commit(folder, {"a.bin": b"\0\1"})
    text = await diff(folder / ".git", base, head)
    assert "Binary files /dev/null and b/a.bin differ" in text
    assert "rename to words.txt" in text
    assert "2 files changed" in await diffstat(folder / ".git", base, head)


async def test_work_without_common_history_is_refused(folder: Path) -> None:
    run_git(folder, "checkout", "--quiet", "--orphan", "other")
    head = commit(folder, {})
    with pytest.raises(Refused, match="shares no history"):
        await change(folder / ".git", "main", head)
