"""Worktrees through the console: made, looked at, worked in, removed; and nothing is lost."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.flows.bench import Bench


def there(bench: Bench) -> list[str]:
    root = bench.data / "worktrees"
    return sorted(path.name for path in root.iterdir()) if root.is_dir() else []


def states(bench: Bench) -> list[str]:
    return [row["state"] for row in bench.rows("SELECT state FROM worktrees ORDER BY id")]


def work_in(bench: Bench, name: str, *, commit: bool) -> Path:
    """Somebody's work, by plain git in the worktree."""
    folder = bench.data / "worktrees" / name
    (folder / "idea.txt").write_text("an idea\n")
    if commit:
        bench.git("add", "--all", repo=folder)
        bench.git("commit", "--quiet", "-m", "An idea", repo=folder)
    return folder


def test_one_is_made_for_a_task_looked_at_and_removed(bench: Bench) -> None:
    ran = bench.up('/add "Speed up the Import!" --draft',
                   "/worktree new --agent shell --task 1",
                   "/worktrees", "/worktree worktrees/shell-speed-up-the-import")
    ran.said("worktrees/shell-speed-up-the-import is being made on "
             "agent/shell/TASK-001-speed-up-the-import, a new branch")
    head = bench.git("rev-parse", "HEAD")
    ran.said("2 worktrees", "main", "your checkout", "agent/shell/TASK-001-speed-up-the-import",
             "active", "TASK-001 · shell")
    ran.said(f"at: {head[:12]}", "state: active", "agent: shell", "task: TASK-001")
    folder = bench.data / "worktrees" / "shell-speed-up-the-import"
    assert (folder / "README.md").read_text() == "# Shop\n"
    assert bench.git("rev-parse", "HEAD", repo=folder) == head

    ran = bench.up("/worktree remove shell-speed-up-the-import --delete-branch", "/worktrees")
    ran.said("is removed, and its branch agent/shell/TASK-001-speed-up-the-import", "1 worktree")
    assert there(bench) == [] and states(bench) == ["gone"]
    bare = bench.data / "repos" / "shop.git"
    assert bench.git("branch", "--list", "agent/*", repo=bare) == ""


def test_a_branch_that_stays_is_gone_on_with(bench: Bench) -> None:
    ran = bench.up("/worktree new --agent shell --branch trial", "/worktree remove shell-trial",
                   "/worktree new --agent shell --branch trial --path other")
    ran.said("shell-trial is being made on trial, a new branch", "Its branch trial stays",
             "other is being made on trial, a branch that was there")
    assert there(bench) == ["other"] and states(bench) == ["gone", "active"]


def test_one_begins_at_another_branch_of_the_source(bench: Bench) -> None:
    bench.git("branch", "older")
    older = bench.git("rev-parse", "older")
    bench.commit({"new.txt": "new\n"})
    bench.git("branch", "theirs")
    ran = bench.up("/worktree new --agent shell --title one --base older",
                   "/worktree new --agent shell --branch theirs",
                   "/worktree new --agent shell --title two --base nowhere",
                   "/worktree new --agent shell --branch theirs --path x --base older")
    ran.said("made on agent/shell/one", "made on theirs, a branch that was there",
             "No branch `nowhere` in shop", "`theirs` is there already: leave --base away")
    assert bench.git("rev-parse", "HEAD", repo=bench.data / "worktrees/shell-one") == older
    assert (bench.data / "worktrees" / "shell-theirs" / "new.txt").exists()


def test_work_is_never_lost_without_a_word(bench: Bench) -> None:
    bench.up("/worktree new --agent shell --title dirty", "/worktree new --agent shell --title new")
    work_in(bench, "shell-dirty", commit=False)
    work_in(bench, "shell-new", commit=True)
    ran = bench.up("/worktree remove shell-dirty", "/worktree remove shell-new",
                   "/worktree shell-dirty", "/worktree remove shell-new --delete-branch")
    ran.said("shell-dirty is kept: uncommitted changes in 1 file. --force gives that up",
             "shell-new is kept: commits that were not taken in yet. --force gives that up",
             "kept: uncommitted changes in 1 file")
    assert there(bench) == ["shell-dirty", "shell-new"] and states(bench) == ["active", "active"]
    ran = bench.up("/worktree remove shell-dirty --force", "/worktree remove shell-new --force",
                   "/worktrees")
    ran.said("shell-dirty is removed", "shell-new is removed", "1 worktree")
    assert there(bench) == []


async def test_the_workspace_of_an_earlier_try_goes_where_it_holds_nothing(bench: Bench) -> None:
    """It stands at the commit where both tries began, and the second is merged onto a later one."""
    wait = bench.shown / "wait"
    wait.touch()
    async with bench.running() as live:
        await live.say(f"/add One --run \"sh -c 'echo at work; while test -e {wait}; do sleep 0.1; "
                       "done; echo 1 > one.txt'\"")
        await live.until(lambda: "at work" in bench.output(), "its first words")
        await live.say("/kill 1", "TASK-001 killed")
        await live.until(lambda: bench.value("SELECT state FROM sessions") == "terminated", "over")
        bench.commit({"meanwhile.txt": "x\n"})
        wait.unlink()
        await live.say("/retry 1", "G-1")
        await live.say("/approve 1", "TASK-001 done")
        await live.until(lambda: not list(bench.data.glob("sessions/*/workspace")), "both are gone")
    assert [row["kept"] for row in bench.rows("SELECT kept FROM sessions")] == [None, None]


@pytest.mark.parametrize("bit", ["--skip-worktree", "--assume-unchanged"])
def test_work_that_git_was_told_to_pass_over_is_not_lost(bench: Bench, bit: str) -> None:
    bench.up("/worktree new --agent shell --branch trial")
    folder = bench.data / "worktrees" / "shell-trial"
    bench.git("update-index", bit, "README.md", repo=folder)
    ran = bench.up("/worktree remove shell-trial", "/worktree new --agent shell --branch trial")
    ran.said("is removed")

    bench.git("update-index", bit, "README.md", repo=folder)
    (folder / "README.md").write_text("a day's work")
    assert bench.git("status", "--porcelain", repo=folder) == ""
    ran = bench.up("/worktree remove shell-trial")
    ran.said("is kept: changes that git was told to pass over in 1 file. --force gives that up.")
    assert (folder / "README.md").read_text() == "a day's work"
    assert sorted(path.name for path in (folder / ".git").glob("bullpen*")) == []


def test_one_whose_folder_somebody_deleted_says_so_and_can_be_taken_off(bench: Bench) -> None:
    bench.up("/worktree new --agent shell --branch trial")
    shutil.rmtree(bench.data / "worktrees" / "shell-trial")
    ran = bench.up("/worktrees", "/worktree shell-trial", "/worktree remove shell-trial")
    ran.said("active, its folder is gone", "its folder: is gone: /worktree remove takes it off",
             "shell-trial is removed")
    assert states(bench) == ["gone"]


def test_a_branch_that_is_not_merged_stays(bench: Bench) -> None:
    bench.git("checkout", "--quiet", "-b", "theirs")
    bench.commit({"new.txt": "new\n"})
    bench.git("checkout", "--quiet", "main")
    ran = bench.up("/worktree new --agent shell --branch theirs",
                   "/worktree remove shell-theirs --delete-branch",
                   "/worktree remove shell-theirs --delete-branch --force")
    ran.said("is kept: its branch theirs is not merged", "is removed, and its branch theirs")
    assert there(bench) == []


def test_the_checkout_is_found_by_the_path_that_is_listed(bench: Bench) -> None:
    bench.data.mkdir()
    inside = bench.data / "demo"
    bench.repo.rename(inside)
    ran = bench.up("/worktrees", "/worktree demo", "/worktree remove demo", repo=str(inside))
    ran.said("1 worktree", "demo", "your checkout", "state: your checkout", f"in full: {inside}",
             "is your own checkout: Bullpen only looks at it.")


@pytest.mark.parametrize(("line", "answer"), [
    ("/worktree", "Which? /worktree PATH"),
    ("/worktree nowhere", "No worktree `nowhere`"),
    ("/worktree ../../etc", "No worktree `../../etc`"),
    ("/worktree new", "For which agent? Say --agent NAME"),
    ("/worktree new --agent nobody --title x", "No agent `nobody`"),
    ("/worktree new --agent shell", "What is it for? Say --task 42"),
    ("/worktree new --agent shell --task 9", "No task 9"),
    ("/worktree new --agent shell --title x --repo other", "No repository `other`"),
    ("/worktree new --agent shell --branch main", "`main` is the branch that work is merged into"),
    ("/worktree new --agent shell --branch main/x", "can't stand beside `main`"),
    ("/worktree new --agent shell --branch bullpen/x", "are those of tasks"),
    ("/worktree new --agent shell --branch a..b", "can't be a branch's name"),
    ("/worktree new --agent shell --branch=-x", "can't begin with a dash"),
    ("/worktree new --agent shell --title x --path ../x", "can't be a worktree's path"),
    ("/worktree new --agent shell --title x --path /etc/x", "can't be a worktree's path"),
    ("/worktree new --agent shell --title x --path a/b", "can't be a worktree's path"),
    ("/worktree new --agent shell --title x --force", "has no option --force"),
    ("/worktree new x --agent shell --title x", "What is `x`?"),
    ("/worktree remove", "Which one?"),
    ("/worktree remove nowhere", "No worktree `nowhere`"),
])
def test_a_mistake_gets_one_line(bench: Bench, line: str, answer: str) -> None:
    bench.up(line).said(answer)
    assert there(bench) == [] and bench.rows("SELECT * FROM worktrees") == []


def test_what_is_taken_is_named(bench: Bench) -> None:
    (bench.data / "worktrees" / "mine").mkdir(parents=True)
    ran = bench.up("/worktree new --agent shell --branch one",
                   "/worktree new --agent shell --branch two --path shell-one",
                   "/worktree new --agent shell --branch one --path two",
                   "/worktree new --agent shell --branch one/more --path two",
                   "/worktree new --agent shell --branch two --path mine",
                   f"/worktree remove {bench.repo}")
    ran.said("shell-one is being made on one", "something at", "shell-one already",
             "The branch one is taken:", "worktrees/shell-one is on it",
             "`one/more` can't stand beside `one`", "worktrees/mine already",
             "is your own checkout: Bullpen only looks at it")
    assert there(bench) == ["mine", "shell-one"]


def test_a_sessions_own_is_listed_and_not_removed_while_it_is_in_use(bench: Bench) -> None:
    ran = bench.up('/add "Greet" --run "sh -c \'echo hello > greeting.txt\'"', "/worktrees")
    session = bench.value("SELECT id FROM sessions")
    ran.said("2 worktrees", f"sessions/{session}/workspace", "bullpen/TASK-001", "suspended")
    ran = bench.up(f"/worktree remove {session} --force", f"/worktree {session}", "/cancel 1",
                   f"/worktree remove {session}", f"/worktree remove {session} --force "
                   "--delete-branch", "/worktrees")
    ran.said(f"{session} rests in", f"/kill {session} first", f"session: {session}",
             "is removed.", "Its branch bullpen/TASK-001 stays")
    assert bench.value("SELECT worktree_state FROM sessions") == "gone"
    assert not (bench.data / "sessions" / session / "workspace").exists()


def test_folders_nested_without_end_are_given_up_like_any_others(bench: Bench) -> None:
    nest = "import os\nfor _ in range(3000):\n os.mkdir('d'); os.chdir('d')\n"
    (bench.folder / "nest.py").write_text(f"open('half.txt', 'w')\n{nest}raise SystemExit(3)\n")
    bench.up(f'/add "Nest" --run "python3 {bench.folder}/nest.py"', status=1)
    session = bench.value("SELECT id FROM sessions")
    ran = bench.up(f"/worktree remove {session}", "/cancel 1",
                   f"/worktree remove {session} --force")
    ran.said("is kept: uncommitted changes in 1 file. --force gives that up", "is removed")
    assert not (bench.data / "sessions" / session / "workspace").exists()


def test_a_failed_sessions_work_is_kept_until_somebody_gives_it_up(bench: Bench) -> None:
    bench.up('/add "Fail" --run "sh -c \'echo half > half.txt; exit 3\'"', status=1)
    session = bench.value("SELECT id FROM sessions")
    workspace = bench.data / "sessions" / session / "workspace"
    ran = bench.up(f"/worktree remove {session}", status=1)
    ran.said("is kept: uncommitted changes in 1 file. --force gives that up")
    assert (workspace / "half.txt").exists()
    bench.up("/cancel 1", f"/worktree remove {session} --force --delete-branch").said(
        "is removed, and its branch bullpen/TASK-001")
    assert not workspace.exists()
    bare = bench.data / "repos" / "shop.git"
    assert bench.git("branch", "--list", "bullpen/*", repo=bare) == ""
