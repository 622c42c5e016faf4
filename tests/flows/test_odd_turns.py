"""Turns that a road can take: what a careless agent, a changed configuration or a late word
must not lead to."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.flows.bench import Bench


def inside_a_repository(bench: Bench) -> Path:
    """The data folder lies in a clone of the user's, as it does by default."""
    bench.git("init", "--quiet", "--initial-branch=main", repo=bench.folder)
    (bench.folder / ".gitignore").write_text("*\n!mine.txt\n")
    (bench.folder / "mine.txt").write_text("half done\n")
    bench.git("add", "mine.txt", repo=bench.folder)
    bench.git("commit", "--quiet", "-m", "Mine", repo=bench.folder)
    (bench.folder / "mine.txt").write_text("not to be committed\n")
    (bench.folder / ".git" / "foo.lock").touch()
    return bench.folder


def test_an_agent_that_removes_its_git_folder_touches_no_other(bench: Bench) -> None:
    around = inside_a_repository(bench)
    head = bench.git("rev-parse", "HEAD", repo=around)
    ran = bench.up('/add "Careless" --run "rm -rf .git"', status=1)
    ran.said("TASK-001 failed", "its .git is gone")
    assert bench.git("rev-parse", "HEAD", repo=around) == head
    assert (around / ".git" / "foo.lock").exists()


def test_git_in_an_agent_s_hands_finds_no_repository_around(bench: Bench) -> None:
    around = inside_a_repository(bench)
    ran = bench.up("/add \"Careless\" --run \"sh -c 'rm -rf .git; git log; exit 3'\"", status=1)
    ran.said("not a git repository")
    assert bench.git("rev-parse", "HEAD", repo=around)


def test_a_task_of_a_repository_that_is_gone_holds_up_no_other(bench: Bench) -> None:
    other = bench.folder / "other"
    subprocess.run(["git", "clone", "--quiet", str(bench.repo), str(other)], check=True)
    bench.up("/pause", '/add "one" --run true')
    ran = bench.up("/resume", '/add "two" --run true', repo=str(other))
    ran.said("TASK-001 waits: nobody here can take it. The repository `shop` is not configured",
             "TASK-002 is ready for you")
    assert ran.out.count("TASK-001 waits") == 1
    bench.up("/status").said("TASK-001 is ready for you")
    assert bench.states() == {1: "review", 2: "review"}


def test_a_retry_after_a_kill_at_the_gate_begins_the_work_again(bench: Bench) -> None:
    ran = bench.up("/add \"g\" --run \"sh -c 'date +%N >> x.txt'\"", "/kill 1", "/retry 1",
                   "/approve 1")
    ran.said("G-1", "TASK-001 killed", "G-2 · TASK-001 is ready for you", "done · merged")
    assert [row["step"] for row in bench.rows("SELECT step FROM sessions")] == ["work", "work"]


def test_where_the_agent_is_gone_another_goes_on(bench: Bench) -> None:
    crew = '[agents.builder]\ndriver = "command"\n'
    bench.configure(crew + "[agents.shell]\ndriver = \"command\"\nenabled = false\n",
                    "config/agents.toml")
    bench.up("/add \"g\" --run \"sh -c 'date +%N >> x.txt'\"")
    bench.configure("", "config/agents.toml")
    ran = bench.up("/reject 1 do it again")
    ran.said("builder is no longer configured", "shell is on it", "G-2")
    (prompt,) = [row["prompt"] for row in bench.rows(
        "SELECT prompt FROM iterations JOIN sessions ON id = session_id WHERE agent = 'shell'")]
    assert "do it again" in prompt


def test_what_is_reopened_still_waits_for_what_it_needs(bench: Bench) -> None:
    bench.up('/add "A" --draft --run true', '/add "B" --after 1 --run true', "/cancel 2",
             "/reopen 2")
    assert bench.states() == {1: "inbox", 2: "blocked"}


def test_what_nobody_can_take_starves_nobody(bench: Bench) -> None:
    wishes = [f'/add "Needs claude {number}"' for number in range(205)]
    bench.up(*wishes, '/add "Can run" --run true').said("TASK-206 is ready for you")


def test_killing_an_agent_s_work_leaves_what_waits_at_gates(bench: Bench) -> None:
    ran = bench.up('/add "waits" --run true', "/kill shell", status=0)
    ran.said("G-1", "Nothing of shell runs")
    assert bench.states() == {1: "review"}
