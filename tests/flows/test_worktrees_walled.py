"""Worktrees made by hand where their agent is walled off: looked into in there, and removed."""

from __future__ import annotations

import subprocess

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


def test_a_repository_of_its_own_is_found_in_there(bench: Bench) -> None:
    script = bench.shown / "agent.sh"
    script.write_text("mkdir app; cd app; git init -q; echo hours > app.py; git add -A; "
                      "git -c user.name=n -c user.email=e commit -qm x; cd ..; echo 1 > more.txt\n")
    ran = bench.up(f'/add "Make an app" --run "sh {script}"', "/approve 1", "/worktrees")
    ran.said("more.txt +1", "A repository of its own, and no part of the result: app", "G-1",
             "TASK-001 done", "archived")
    (workspace,) = bench.data.glob("sessions/*/workspace")
    assert (workspace / "app/app.py").read_text() == "hours\n"
    bench.up("/worktree new --agent shell --title mine")
    folder = bench.data / "worktrees" / "shell-mine"
    subprocess.run(["git", "init", "-q", "app/in"], cwd=folder, check=True)
    bench.up("/worktree remove shell-mine").said("is kept: a repository of its own in app/in.")


def test_what_git_complains_of_is_not_counted_as_work(bench: Bench) -> None:
    bench.up("/worktree new --agent shell --title broken")
    folder = bench.data / "worktrees" / "shell-broken"
    (folder / ".git" / "index").write_bytes(b"no index at all")
    ran = bench.up("/worktree remove shell-broken")
    ran.said("shell-broken is kept: it can't be looked into. --force gives that up.")
    assert folder.is_dir() and "uncommitted" not in ran.out
