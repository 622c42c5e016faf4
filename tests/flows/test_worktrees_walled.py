"""Worktrees made by hand where their agent is walled off: looked into in there, and removed."""

from __future__ import annotations

from tests.flows.bench import Bench

SANDBOXES = ("host", "auto")


def test_a_clean_one_goes_and_one_with_work_in_it_stays(bench: Bench) -> None:
    bench.up("/worktree new --agent shell --title clean",
             "/worktree new --agent shell --title full")
    root = bench.data / "worktrees"
    (root / "shell-full" / "idea.txt").write_text("an idea\n")
    ran = bench.up("/worktree remove shell-clean", "/worktree remove shell-full")
    ran.said("shell-clean is removed", "shell-full is kept: uncommitted changes in 1 file.")
    assert [path.name for path in root.iterdir() if path.is_dir()] == ["shell-full"]


def test_what_git_complains_of_is_not_counted_as_work(bench: Bench) -> None:
    bench.up("/worktree new --agent shell --title broken")
    folder = bench.data / "worktrees" / "shell-broken"
    (folder / ".git" / "index").write_bytes(b"no index at all")
    ran = bench.up("/worktree remove shell-broken")
    ran.said("shell-broken is kept: it can't be looked into. --force gives that up.")
    assert folder.is_dir() and "uncommitted" not in ran.out
