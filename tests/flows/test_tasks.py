"""A task's fields, words and end, as people set, change and look them up."""

from __future__ import annotations

import json
import sqlite3

from tests.flows.bench import Bench

FIELDS = ("--category bug --prefer sql --skill python --skill css --lang German --budget 2usd "
          "--budget 100k --plan 'first this, then that' --not-before 2h --tag speed --tag csv "
          "--complexity complex -p critical --lane import --touches 'src/*.py'")


def ids(screen: str) -> list[int]:
    """The tasks of all lists on the screen, in order."""
    found, listing = [], False
    for line in screen.splitlines():
        listing = line.split() == ["task", "state", "title"] or (listing and bool(line.strip()))
        if listing and line.strip().startswith("TASK-"):
            found.append(int(line.split()[0].removeprefix("TASK-")))
    return found


# -- fields --------------------------------------------------------------------------------


def test_every_field_is_given_and_shown(bench: Bench) -> None:
    ran = bench.up("/pause", '/add "Before" --run "true"',
                   f'/add "Speed up" --run "true" --after 1 {FIELDS}', "/task 2")
    ran.said("TASK-002 · Speed up", "Needs TASK-001 (ready).", "priority: urgent",
             "complexity: l", "category: bug", "lane: import", "tags: csv, speed",
             "skills: css, python", "preferred: sql", "languages: German", "touches: src/*.py",
             "command: true", "plan: first this, then that", "not before: ",
             "budget: 2.00 USD and 100k tokens", "artifacts: raw-input.md@1", "added by: ")
    (row,) = bench.rows("SELECT * FROM tasks WHERE id = 2")
    assert (row["budget_tokens"], row["budget_usd"], row["state"]) == (100_000, 2.0, "blocked")
    assert 7_100_000 < row["not_before"] - row["created_at"] <= 7_200_000
    assert bench.value("SELECT count(*) FROM task_labels WHERE task_id = 2") == 7


def test_commas_part_what_may_be_said_several_times(bench: Bench) -> None:
    bench.up("/pause", "/add T --run true --tag a,b --tag b --skill 'x, y' --prefer p,q "
             "--lang de,en --touches a.txt,src/*.py,{{x}}/y", "/edit 1 --tag c,d",
             "/edit 1 --touches none")
    found = {(row["kind"], row["value"]) for row in bench.rows("SELECT * FROM task_labels")}
    assert found == {("tag", "c"), ("tag", "d"), ("skill", "x"), ("skill", "y"),
                     ("preferred", "p"), ("preferred", "q"), ("language", "de"),
                     ("language", "en")}


def test_what_is_touched_is_said_with_commas(bench: Bench) -> None:
    bench.up("/pause", "/add T --run true --touches a.txt,src/*.py,{{x}}/y")
    found = {row["value"] for row in bench.rows("SELECT * FROM task_labels")}
    assert found == {"a.txt", "src/*.py", "{{x}}/y"}


async def test_a_task_whose_time_has_not_come_is_ready_and_not_claimed(bench: Bench) -> None:
    async with bench.running() as live:
        await live.say('/add "Later" --run "true" --not-before 2h', "Ready, but not before")
        await live.say('/add "Now" --run "true"', "TASK-002 is ready for you")
        await live.say("/queue", "1 ready", "TASK-001", "not before", "Later")
        assert bench.states() == {1: "ready", 2: "review"}
        await live.say("/edit 1 --not-before now", "time changed", "TASK-001 is ready for you")


# -- lists ---------------------------------------------------------------------------------


LISTS = {
    "": [6, 5, 4, 3, 2, 1],
    "ready": [2, 1, 3, 6],
    "blocked": [4],
    "ready,blocked": [6, 4, 3, 2, 1],
    "ready blocked": [6, 4, 3, 2, 1],
    "pending": [6, 5, 4, 3, 2, 1],
    "in_progress": [],
    "closed": [],
    "--lane web": [2, 1],
    "--lane web ready": [2, 1],
    "--tag a": [3, 1],
    "--tag a --lane web": [1],
    "--skill css": [3],
    "-p urgent": [2],
    "-p critical": [2],
    "--priority low": [6],
    "--category bug": [3],
    "--repo shop": [6, 5, 4, 3, 2, 1],
    "--agent shell": [1],
    "--unassigned --lane web": [2],
    "--text FIRST": [1],
    "--text detail": [5],
    "--by nobody": [],
    "--wave 1": [],
    "-n 2": [6, 5],
    "-n 2 --page 2": [4, 3],
    "-n 2 --page 9": [],
    "-n 2 --offset 3": [3, 2],
}


async def test_every_filter_and_every_page(bench: Bench) -> None:
    async with bench.running() as live:
        for line in ("/pause", '/add "The first" --run "true" --lane web --tag a --agent shell',
                     '/add "The second" --run "true" --lane web -p urgent',
                     '/add "The third" --run "true" --tag a --category bug --skill css',
                     '/add "The fourth" --run "true" --after 1',
                     '/add "The fifth" --run "true" --draft\nSome detail.',
                     '/add "The sixth" --run "true" -p low'):
            await live.say(line, "\n\n")
        me = bench.value("SELECT created_by FROM tasks WHERE id = 1")
        for words, expected in {**LISTS, f"--by {me}": LISTS[""]}.items():
            answer = await live.say(f"/list {words}", "task", "\n\n")
            assert ids(answer) == expected, answer
        answer = await live.say("/list -n 2 --lane web --unassigned", "1 task", "\n\n")
        answer = await live.say("/list -n 4", "6 tasks · 1–4 of 6", "--page 2")
        await live.say("/list -n 4 --page 2", "6 tasks · 5–6 of 6")


def test_what_is_ephemeral_is_forgotten_a_day_after_its_end(bench: Bench) -> None:
    ran = bench.up('/add "Passing" --run "true" --ephemeral', '/add "Lasting" --run "true"',
                   "/done 1", "/done 2", "/list", "/list closed")
    assert ids(ran.out) == [2, 1, 2, 1]
    with sqlite3.connect(bench.data / "bullpen.db") as db:  # a day goes by
        db.execute("UPDATE tasks SET ended_at = ended_at - 86400001")
    ran = bench.up("/list", "/list done", "/task 1")
    assert ids(ran.out) == [2, 2]
    ran.said("1 task", "TASK-001 · done")


# -- edit ----------------------------------------------------------------------------------


def test_an_edit_changes_what_it_names_and_nothing_else(bench: Bench) -> None:
    ran = bench.up(
        "/pause", f'/add "Speed up" --run "true" {FIELDS}',
        "/edit 1 Slow down --lane none --tag calm --budget 3usd --complexity xs -p low "
        "--not-before now --category chore --prefer none --touches a --touches b",
        "/task 1", "/edit 1 Slow down --lane none", '/edit 1 --title "Stop" --budget none',
        "/task 1", "/edit 1 --run false --plan none --ephemeral yes --agent shell "
        "--skill none --lang none", "/task 1",
        "/edit 1 --agent none --run none", "/task 1")
    ran.said("TASK-001: ", "changed.", "Slow down", "priority: low", "complexity: xs",
             "category: chore", "tags: calm", "skills: css, python", "touches: a, b",
             "budget: 3.00 USD and 100k tokens", "says that already: nothing was changed",
             "title and budget changed", "Stop", "agent: shell", "command: false",
             "kept: a day after its end", "TASK-001 · ready")
    (row,) = bench.rows("SELECT * FROM tasks")
    empty = ("lane", "not_before", "budget_usd", "budget_tokens", "plan", "assignee",
             "assigned_step", "run_command")
    assert [row[name] for name in empty] == [None] * len(empty)
    assert row["slug"] == "speed-up", "its folder keeps its name"
    assert not bench.rows("SELECT 1 FROM task_labels WHERE kind = 'preferred'")
    edited = bench.rows("SELECT payload FROM events WHERE type = 'task.edited'")
    assert json.loads(edited[1]["payload"])["changed"] == ["title", "budget"]


async def test_new_words_are_a_new_version_of_what_was_asked(bench: Bench) -> None:
    async with bench.running() as live:
        await live.say("/pause", "paused")
        await live.say('/add "Greet" --run "true"\nSay hello.\n- [ ] it is polite', "TASK-001")
        await live.say("/edit 1\nSay good day.\n- [ ] `true`\n- [ ] it is kind",
                       "description and criteria changed")
        await live.say("/task 1", "Say good day.", "☐ `true`", "☐ it is kind")
        await live.say("/show 1 raw-input.md", "Say good day.", "it is kind")
        await live.say("/show 1 raw-input.md@1", "Say hello.", "it is polite")
        await live.say("/show 1 artifacts", "1 artifact", "raw-input.md@1", "raw-input.md@2")
    assert [tuple(row) for row in bench.rows("SELECT text, command, state FROM criteria")] == [
        ("`true`", "true", "open"), ("it is kind", None, "open")]


async def test_an_edit_of_what_is_under_way(bench: Bench) -> None:
    async with bench.running() as live:
        await live.say('/add "Long" --run "sleep 300"', "TASK-001")
        await live.told("shell is on it")
        await live.say("/edit 1 Longer", "title changed",
                       "The agent at work has the old text: /say 1")
        await live.say("/edit 1 --lane web", "lane changed")
        await live.say("/edit 1 --run true", "TASK-001 has begun: its command stays as it is.")
        await live.say("/edit 1 --agent none", "TASK-001 is in work", "/release 1")
        await live.say("/after 1 2", "No task 2")
    (row,) = bench.rows("SELECT title, lane, run_command FROM tasks")
    assert tuple(row) == ("Longer", "web", "sleep 300")


def test_new_criteria_at_an_open_review_keep_the_gate(bench: Bench) -> None:
    ran = bench.up('/add "One" --run "true"', "- [ ] it is polite", "/edit 1",
                   "- [ ] it is kind", "/task 1", "/approve 1", "/task 1")
    ran.said("TASK-001 is ready for you", "criteria changed.", "G-1 stays open",
             "☐ it is kind", "☑ it is kind")


# -- the end -------------------------------------------------------------------------------


def test_a_deleted_task_is_gone_and_its_folder_stays(bench: Bench) -> None:
    ran = bench.up("/pause", '/add "Wrong one" --run "true"', '/add "Next" --run "true" --after 1',
                   "/delete 1", "/after 2 -1", "/delete 1", "/delete 1 yes", "/list", "/task 1",
                   '/add "Another" --run "true"')
    ran.said("TASK-002 needs it: /after 2 -1 first.", "Delete TASK-001, Wrong one?",
             "Its folder is kept.", "/delete 1 yes", "TASK-001 is deleted.",
             "tasks/active/TASK-001--wrong-one", "1 task", "No task 1", "TASK-003 · Another")
    assert bench.states() == {2: "ready", 3: "ready"}
    told = json.loads((bench.task_folder("active") / "task.json").read_text())
    assert (told["state"], told["title"]) == ("deleted", "Wrong one")
    assert (bench.task_folder("active") / "artifacts" / "raw-input.md").is_file()
    (row,) = bench.rows("SELECT * FROM deleted_tasks")
    assert (row["id"], row["title"], row["marked"]) == (1, "Wrong one", 1)
    assert not bench.rows("SELECT 1 FROM task_labels WHERE task_id = 1")


def test_a_task_under_way_is_not_deleted_and_its_workspace_outlives_it(bench: Bench) -> None:
    bench.up("/add 'Work' --run \"sh -c 'echo new > new.txt'\"")
    ran = bench.up("/delete 1", "/cancel 1", "/delete 1 yes")
    ran.said("TASK-001 is waiting for a decision: /cancel 1 first", "TASK-001 is deleted.")
    session = json.loads(bench.value("SELECT sessions FROM deleted_tasks"))
    assert [(bench.data / "sessions" / name).is_dir() for name in session] == [True]
    assert bench.value("SELECT count(*) FROM sessions") == 0
    shown = bench.rows("SELECT reply FROM deliveries WHERE key = 'task:1' ORDER BY seq")
    assert "TASK-001 deleted by" in shown[-1]["reply"]


async def test_what_is_given_back_is_done_again_by_whoever_is_free(bench: Bench) -> None:
    marker = bench.folder / "again"
    command = f"sh -c 'test -e {marker} || {{ touch {marker}; sleep 300; }}'"
    async with bench.running() as live:
        await live.say(f'/add "Long" --run "{command}"', "TASK-001")
        await live.until(marker.exists, "the first try")
        await live.say("/release 1", "TASK-001 is given back.")
        await live.told("TASK-001 is ready for you")
    found = bench.rows("SELECT state, outcome, reason FROM sessions ORDER BY created_at")
    assert tuple(found[0]) == ("terminated", "killed", "released")
    assert found[1]["state"] == "suspended"
    assert bench.value("SELECT attempts FROM tasks") == 0


TWO_STEPS = """
name = "two"
[[steps]]
id = "first"
kind = "agent"
outcomes = { default = "second" }
[[steps]]
id = "second"
kind = "agent"
outcomes = { default = "done" }
"""


def test_what_ended_is_reopened_at_a_step(bench: Bench) -> None:
    bench.configure(TWO_STEPS, "config/workflows/two.toml")
    ran = bench.up("/pause", '/add "One" --run "true" --workflow two', "/cancel 1",
                   "/reopen 1 third", "/reopen 1 second", "/task 1", "/done 1", "/reopen 1",
                   "/queue clear", "/cancel 1", "/queue clear", "/reopen 1", "/queue")
    ran.said("TASK-001 cancelled.", "It can't begin at `third`. It can at first or second.",
             "TASK-001 is open again at second.", "two, at second", "TASK-001 marked done.",
             "TASK-001 is open again.",
             "There was nothing to clear", "The places of 1 ended task are forgotten.",
             "TASK-001 is open again.", "1 ready")
    (row,) = bench.rows("SELECT position, step FROM tasks")
    assert tuple(row) == (1024, "first")


def test_a_circle_is_named(bench: Bench) -> None:
    ran = bench.up("/pause", *(f'/add "Task {n}" --run "true"' for n in range(1, 6)),
                   "/after 5 3", "/after 3 5", "/after 3 3", "/after 3 4,5", "/after 4 +5",
                   "/after 5 none", "/after 3 4,5", "/after 3 -5", "/after 3 -5", "/after 3")
    ran.said("TASK-005 waits for TASK-003.", "That would be a circle: "
             "TASK-003 → TASK-005 → TASK-003", "TASK-003 can't wait for itself",
             "That would be a circle: TASK-003 → TASK-005 → TASK-003",
             "TASK-004 waits for TASK-005.", "TASK-005 waits for no other task.",
             "TASK-003 waits for TASK-004 and TASK-005.", "TASK-003 waits for TASK-004.",
             "TASK-003 doesn't wait for TASK-005", "Which tasks? /after 3 12,13")
    assert bench.states() == {1: "ready", 2: "ready", 3: "blocked", 4: "blocked", 5: "ready"}


def test_what_failed_or_was_dropped_says_who_waits(bench: Bench) -> None:
    ran = bench.up("/pause", '/add "Breaks" --run "false"', '/add "Dropped" --run "true"',
                   '/add "Waits" --run "true" --after 1,2', "/cancel 2", "/after 3 -2", "/resume",
                   "/task 1", "/task 2", status=1)
    ran.said("TASK-002 cancelled.", "TASK-003 waits for it: /after 3 -2 lets it go.",
             "TASK-001 failed", "TASK-003 waits for it", "The queue is paused",
             "TASK-001 · failed", "TASK-003 waits for it", "TASK-002 · cancelled")
    assert bench.states() == {1: "failed", 2: "cancelled", 3: "blocked"}


def test_a_time_that_is_days_away_is_not_waited_for(bench: Bench) -> None:
    ran = bench.up('/add "Later" --run "true" --not-before 2d', '/add "Now" --run "true"', "/queue")
    ran.said("TASK-002 is ready for you", "TASK-001")
    assert bench.states() == {1: "ready", 2: "review"}


def test_times_are_typed_and_told_in_the_configured_zone(bench: Bench) -> None:
    ran = bench.up("/set timezone Asia/Tokyo",
                   '/add "Later" --run "true" --not-before 2031-11-22T09:00', "/task 1")
    ran.said("not before 2031-11-22 09:00", "2031-11-22 09:00")
    assert bench.value("SELECT not_before FROM tasks") == 1953072000000  # midnight in UTC
