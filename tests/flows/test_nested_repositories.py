"""A repository that an agent makes inside its workspace: never lost, never merged as a bare name,
and the person who judges the work hears of it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.flows.bench import Bench

WHO = "git config user.email a@b; git config user.name n"
FIRST = f"git init -q; {WHO}; echo hours of work > app.py; git add -A; git commit -qm first"
MADE = {
    "left": f"mkdir app; cd app; {FIRST}",
    "committed": f"mkdir app; cd app; {FIRST}; cd ..; git add -A; git commit -qm all",
    "without a commit": "git init -q app; echo hours of work > app/app.py",
    "without a commit, deeper": "git init -q app/in; echo hours of work > app/in/app.py",
}
OWN = "A repository of its own, and no part of the result: app"


def agent(bench: Bench, does: str) -> str:
    """A script that an agent runs: it does that, and something for the result."""
    path = bench.shown / "agent.sh"
    path.write_text(f"#!/bin/sh\n( {does}\n)\necho more > more.txt\n")
    path.chmod(0o755)
    return str(path)


def workspaces(bench: Bench) -> list[Path]:
    return sorted(bench.data.glob("sessions/*/workspace"))


def saved(bench: Bench) -> bool:
    """Whether the agent's hours are anywhere yet, as a file."""
    return any(path.read_text() == "hours of work\n" for path in bench.data.rglob("app.py"))


@pytest.mark.parametrize("how", MADE)
def test_it_is_told_before_it_is_approved_and_kept_when_all_is_done(bench: Bench, how: str) -> None:
    bench.up(f'/add "Make an app" --run "{agent(bench, MADE[how])}"').said(
        "G-1", "more.txt +1 −0", OWN)
    ran = bench.up("/approve 1", "/worktrees")
    ran.said("TASK-001 done", "archived")
    assert saved(bench)
    (workspace,) = workspaces(bench)
    bench.up(f"/worktree sessions/{workspace.parent.name}/workspace").said(
        "kept: a repository of its own in app")
    assert bench.git("ls-tree", "-r", "--name-only", "main").split() == ["README.md", "more.txt"]
    ran = bench.up(f"/worktree remove {workspace.parent.name}",
                   f"/worktree remove {workspace.parent.name} --force")
    ran.said("is kept: a repository of its own in app", "--force gives that up", "is removed")
    assert not saved(bench)


@pytest.mark.parametrize("end", ["cancelled", "failed"])
def test_it_is_kept_whatever_becomes_of_the_task(bench: Bench, end: str) -> None:
    script = agent(bench, MADE["committed"])
    if end == "failed":
        with open(script, "a") as file:
            file.write("exit 3\n")
    bench.up(f'/add "Make an app" --run "{script}"', status=1 if end == "failed" else 0)
    bench.up("/cancel 1").said("TASK-001 cancelled")
    (workspace,) = workspaces(bench)
    assert saved(bench)
    bench.up(f"/worktree remove {workspace.parent.name}").said("is kept: ")
    assert saved(bench)


def test_of_work_that_no_gate_shows_the_last_word_tells_it(bench: Bench) -> None:
    path = Path(agent(bench, "true"))
    path.write_text(f"#!/bin/sh\n{MADE['left']}\n")
    bench.configure('[agents.maker]\ndriver = "command"\n'
                    f'options = {{ command = "{path}" }}\n', "config/agents.toml")
    ran = bench.up('/spawn any "Make an app" --agent maker', "/show 1")
    ran.said("TASK-001 done", OWN, "no file was changed", OWN)
    assert saved(bench)


def test_one_in_a_worktree_made_by_hand_is_not_given_up_either(bench: Bench) -> None:
    bench.up("/worktree new --agent shell --title mine")
    folder = bench.data / "worktrees" / "shell-mine"
    subprocess.run(["sh", "-c", MADE["committed"]], cwd=folder, check=True)
    ran = bench.up("/worktree remove shell-mine", "/worktree shell-mine")
    ran.said("shell-mine is kept: commits that were not taken in yet. --force")
    assert saved(bench)


def test_nobody_begins_in_a_worktree_that_holds_one(bench: Bench) -> None:
    bench.up("/worktree new --agent shell --title mine")
    folder = bench.data / "worktrees" / "shell-mine"
    subprocess.run(["sh", "-c", MADE["left"]], cwd=folder, check=True)
    bench.configure('[agents.maker]\ndriver = "command"\n'
                    'options = { command = "true" }\n', "config/agents.toml")
    ran = bench.up('/spawn any "Go on" --agent maker --worktree worktrees/shell-mine')
    ran.said("shell-mine holds a repository of its own in app: take that out of there first.")


def test_a_submodule_that_the_agent_adds_is_merged_and_its_own_commit_told(bench: Bench) -> None:
    (bench.folder / "lib").mkdir()
    subprocess.run(["sh", "-c", FIRST], cwd=bench.folder / "lib", check=True)
    added = f"git -c protocol.file.allow=always submodule --quiet add {bench.folder}/lib lib"
    ran = bench.up(f'/add "A library" --run "{agent(bench, added)}"', "/approve 1")
    ran.said("lib, a submodule", "no part of the result: lib", "G-1", "TASK-001 done")
    assert "160000" in bench.git("ls-tree", "main", "lib")
    assert len(workspaces(bench)) == 1


def test_one_whose_git_folder_is_taken_away_is_work_like_any_other(bench: Bench) -> None:
    """What somebody asks for who sees the card: the files become part of the result."""
    script = agent(bench, f"if test -e app; then rm -rf app/.git; else {MADE['committed']}; fi")
    ran = bench.up(f'/add "Make an app" --run "{script}"', "/reject 1 its files, please")
    ran.said(OWN)
    assert "app is a repository of its own" in bench.prompts()[1]
    ran = bench.up("/gate G-2", "/approve 1")
    assert OWN not in ran.out
    ran.said("TASK-001 done · merged")
    assert bench.file("app/app.py") == "hours of work\n"
    assert workspaces(bench) == []


def test_a_submodule_of_the_users_keeps_no_workspace(bench: Bench) -> None:
    other = bench.folder / "lib"
    other.mkdir()
    subprocess.run(["sh", "-c", FIRST], cwd=other, check=True)
    bench.git("-c", "protocol.file.allow=always", "submodule", "add", "--quiet", str(other), "lib")
    bench.commit({}, "a submodule")
    fetched = "git -c protocol.file.allow=always submodule update --init --quiet"
    ran = bench.up(f'/add "One" --run "{agent(bench, fetched)}"', "/approve 1")
    ran.said("more.txt", "TASK-001 done")
    assert "of its own" not in ran.out
    assert workspaces(bench) == []
    assert "160000" in bench.git("ls-tree", "main", "lib")
