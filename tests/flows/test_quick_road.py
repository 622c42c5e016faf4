"""The shortest way: a command does the work, a person approves, the change is merged."""

from __future__ import annotations

import json

from tests.flows.bench import Bench

SANDBOXES = ("host", "auto")
GREETING = '/add "Add a greeting" --run "sh -c \'echo hello > greeting.txt\'"'

AS_SHIPPED = True


def test_a_task_from_the_terminal_to_a_merged_change(bench: Bench) -> None:
    ran = bench.up(GREETING, "/show 1", "/approve 1 well done")
    ran.said(
        "TASK-001 · Add a greeting", "Ready. shell takes it",
        "🧾 G-1 · TASK-001 is ready for you", "Add a greeting", "greeting.txt +1 −0",
        "/approve G-1", "/reject G-1 …", "/show 1",
        "+hello",
        "G-1 approved. It is being merged.", "✅ TASK-001 done · merged",
    )
    assert bench.file("greeting.txt") == "hello\n"
    assert bench.git("status", "--porcelain") == ""
    assert "TASK-001: Add a greeting" in bench.git("log", "-1", "--format=%s")
    assert bench.states() == {1: "done"}


def test_its_folder_tells_the_story_and_moves_when_it_is_done(bench: Bench) -> None:
    bench.up(GREETING)
    assert bench.task_folder("active").name == "TASK-001--add-a-greeting"
    bench.up("/approve 1")
    folder = bench.task_folder("completed")
    told = json.loads((folder / "task.json").read_text())
    assert (told["ref"], told["state"]) == ("TASK-001", "done")
    assert told["gates"][0]["state"] == "approved"
    assert (folder / "artifacts" / "raw-input.md").read_text() == "# Add a greeting\n"
    (log,), (run,) = (sorted((folder / name).iterdir()) for name in ("logs", "runs"))
    assert log.stem == run.stem and log.stem.startswith("step-01-work.shell-")
    assert json.loads(run.read_text())["attempts"][0]["exit_status"] == 0
    assert not list((bench.data / "tasks" / "active").iterdir())


def test_the_dashboard_shows_it(bench: Bench) -> None:
    bench.up('/add "Say it" --run "echo spoken words"', "/approve 1")
    site = bench.data / "site"
    assert "Say it" in (site / "index.html").read_text()
    assert "Say it" in (site / "tasks" / "TASK-001.html").read_text()
    (page,) = (site / "sessions").glob("shell-*.html")
    assert "spoken words" in page.read_text()


def test_a_rejection_is_the_next_prompt_in_the_same_session(bench: Bench) -> None:
    ran = bench.up(GREETING, "/reject 1", "/reject 1 say it in German", "/approve 1")
    ran.said("Say what to change: /reject G-1 REASON", "G-1 sent back to shell",
             "G-2 · TASK-001 is ready for you", "done · merged", "2 iterations")
    first, second = bench.prompts()
    assert "Add a greeting" in first and "German" not in first
    assert "say it in German" in second and "sent back" in second
    assert bench.value("SELECT count(*) FROM sessions") == 1
    causes = bench.rows("SELECT cause FROM iterations ORDER BY number")
    assert [row["cause"] for row in causes] == ["first", "rejected"]


def test_an_approval_counts_once(bench: Bench) -> None:
    ran = bench.up(GREETING, "/approve G-1", "/approve G-1", "/approve 1")
    ran.said("G-1 approved", "G-1 was approved by", "already", "TASK-001 is done")
    assert bench.git("rev-list", "--count", "--first-parent", "HEAD") == "2"


def test_two_lines_of_description_with_boxes(bench: Bench) -> None:
    ran = bench.up('/add "Add a greeting" --run "sh -c \'echo hello > greeting.txt\'"',
                   "It has to be warm.", "- [ ] `test -s greeting.txt`", "- [ ] sounds friendly",
                   "# a comment is nobody's business", "", "/task 1", "/approve 1")
    ran.said("G-1 · TASK-001 is ready for you", "Receipt at",
             "test -s greeting.txt → passed", "☐ sounds friendly",
             "It has to be warm.", "done · merged")
    assert bench.value("SELECT description FROM tasks") == "It has to be warm."
    states = bench.rows("SELECT state FROM criteria ORDER BY position")
    assert [row["state"] for row in states] == ["passed", "ticked"]


def test_a_change_of_nothing_is_said_and_can_be_approved(bench: Bench) -> None:
    ran = bench.up('/add "Look around" --run "true"', "/show 1", "/approve 1")
    ran.said("No file was changed.", "no file was changed", "TASK-001 done")
    assert bench.git("rev-list", "--count", "--first-parent", "HEAD") == "1"
