"""A session that works in a worktree made by hand, and gives it back."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.flows.bench import Bench

SANDBOXES = ("host", "auto")
CREW = """
[agents.maker]
driver = "command"
types = ["make"]
options = { command = "sh -c 'cat idea.txt {prompt_file} > made.txt'" }
[agents.mule]
driver = "command"
types = ["wait"]
options = { command = "sh -c 'echo begun > begun.txt; while [ ! -e go ]; do sleep 0.1; done; rm go'" }
"""  # noqa: E501


@pytest.fixture(autouse=True)
def idea(bench: Bench) -> Path:
    """A worktree with a commit of somebody's in it."""
    bench.configure(CREW, "config/agents.toml")
    bench.up("/worktree new --agent shell --branch idea")
    folder = bench.data / "worktrees" / "shell-idea"
    (folder / "idea.txt").write_text("an idea\n")
    bench.git("add", "--all", repo=folder)
    bench.git("commit", "--quiet", "-m", "An idea", repo=folder)
    return folder


def states(bench: Bench) -> list[str]:
    return [row["state"] for row in bench.rows("SELECT state FROM worktrees")]


def test_it_works_there_and_gives_it_back(bench: Bench, idea: Path) -> None:
    ran = bench.up('/spawn make "Write it down" --worktree shell-idea', "/worktrees")
    ran.said("maker takes it", "TASK-001 done")
    assert (idea / "made.txt").read_text().startswith("an idea\nWrite it down")
    assert bench.value("SELECT worktree FROM sessions") == str(idea)
    assert not list(bench.data.glob("sessions/*/workspace")), "it has none of its own"
    assert bench.git("status", "--porcelain", repo=idea) == "", "what it made is committed"
    assert bench.git("log", "--format=%s", "-1", "HEAD~1", repo=idea) == "An idea"
    assert states(bench) == ["active"]
    ran = bench.up('/spawn make "Write more" --worktree worktrees/shell-idea')
    ran.said("TASK-002 done")
    assert "Write more" in (idea / "made.txt").read_text()
    assert states(bench) == ["active"]


async def test_who_waits_for_one_that_is_removed_is_named_with_the_way_out(
        bench: Bench, idea: Path) -> None:
    async with bench.running() as live:
        await live.say("/pause", "paused")
        await live.say('/spawn make "Write it down" --worktree shell-idea', "TASK-001")
        await live.say("/worktree remove shell-idea --force", "is removed",
                       "TASK-001 was to be done in it: /cancel 1 ends it.")
        await live.say("/resume", "/cancel 1 ends the task")
        await live.say("/cancel 1", "cancelled")


def test_one_with_unsaved_work_is_refused(bench: Bench, idea: Path) -> None:
    (idea / "idea.txt").write_text("a better idea\n")
    ran = bench.up('/spawn make "Write it down" --worktree shell-idea')
    ran.said(f"{idea} has work that is not committed: commit it there first.")
    assert bench.rows("SELECT * FROM tasks") == [] and states(bench) == ["active"]
    assert (idea / "idea.txt").read_text() == "a better idea\n"


async def test_a_busy_one_is_refused_and_free_again_when_it_is_killed(
    bench: Bench, idea: Path
) -> None:
    async with bench.running() as live:
        await live.say('/spawn wait "Wait" --worktree shell-idea', "mule is on it")
        await live.until(lambda: (idea / "begun.txt").exists(), "it has begun")
        name = bench.value("SELECT id FROM sessions")
        await live.say('/spawn make "Write" --worktree shell-idea', f"{name} works in {idea}")
        await live.say("/pause 1", "TASK-001 is paused")
        await live.until(lambda: states(bench) == ["suspended"], "it rests")
        await live.say('/spawn make "Write" --worktree shell-idea', "shell-idea")
        await live.say("/kill 1", "TASK-001 killed")
        await live.until(lambda: states(bench) == ["active"], "given back")
        await live.say('/spawn make "Write" --worktree shell-idea', "not committed")
    assert bench.value("SELECT count(*) FROM tasks") == 1


AFAR = CREW + """
[agents.podder]
driver = "command"
sandbox = "kubernetes"
types = ["far"]
container = { image = "bench" }
options = { command = "true" }
"""


def test_it_is_lent_to_nobody_elsewhere(bench: Bench, idea: Path) -> None:
    """Its work would be brought home by our git, where an agent may have said what git runs."""
    mark = bench.folder / "ran"
    with open(idea / ".git/config", "a") as config:
        config.write(f'[filter "x"]\n\tsmudge = "touch {mark}; cat"\n')
    bench.configure(AFAR, "config/agents.toml")
    bench.configure('[api]\nagents_url = "http://127.0.0.1:1"\n')
    (bench.folder / "kubeconfig").write_text("{}")
    bench.environment["KUBECONFIG"] = str(bench.folder / "kubeconfig")
    why = "podder works in kubernetes, elsewhere: a worktree made by hand can't be lent to it."
    ran = bench.up('/spawn far "Go" --worktree shell-idea --agent podder')
    ran.said(why)
    assert bench.rows("SELECT * FROM tasks") == []
    ran = bench.up('/spawn far "Go" --worktree shell-idea')
    ran.said(why)
    assert bench.rows("SELECT * FROM sessions") == [] and states(bench) == ["active"]
    assert not mark.exists()
