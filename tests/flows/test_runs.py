"""Runs in waves, from the console: begun, watched, paused by a failure, repaired, stopped."""

from __future__ import annotations

import pytest

from tests.flows.bench import Bench

DIRECT = """
name = "direct"
title = "Only the work"
[[steps]]
id = "work"
kind = "agent"
type = "any"
writes_code = true
outcomes = { default = "done" }
"""


@pytest.fixture
def lane(bench: Bench) -> Bench:
    """A bench on which work is done without a person's yes."""
    bench.configure(DIRECT, "config/workflows/direct.toml")
    bench.configure('default_workflow = "direct"\n[queue]\nmax_concurrent = 4\n')
    return bench


def add(bench: Bench, name: str, *more: str) -> str:
    """A task of the lane that writes its name down when it is done."""
    work = f"sh -c 'echo {name} >> {bench.folder}/ledger; echo {name} > {name}.txt'"
    return f'/add "{name}" --lane import --run "{work}" ' + " ".join(more)


def ledger(bench: Bench) -> list[str]:
    path = bench.folder / "ledger"
    return path.read_text().split() if path.is_file() else []


def six(bench: Bench) -> list[str]:
    """Six tasks in three waves: two, three, one."""
    return [add(bench, "a", "--draft"), add(bench, "b", "--draft"),
            add(bench, "c", "--after 1 --draft"), add(bench, "d", "--after 1,2 --draft"),
            add(bench, "e", "--after 2 --draft"), add(bench, "f", "--after 3,4,5 --draft")]


def test_a_lane_goes_wave_by_wave(lane: Bench) -> None:
    ran = lane.up(*six(lane), "/go import --dry", "/list inbox", "/go import", "/runs", "/run 1")
    ran.said("lane import: 6 tasks in 3 waves. Nothing has begun.", "Wave 1: TASK-001, TASK-002",
             "Wave 2: TASK-003, TASK-004, TASK-005", "Wave 3: TASK-006",
             "No estimate yet: fewer than three tasks have ended", "6 tasks",
             "RUN-001 · lane import · 6 tasks in 3 waves",
             "RUN-001 is done · lane import · 6 of 6 done", "completed",
             "RUN-001 · lane import · completed", "Longest chain: TASK-001 → ")
    assert set(lane.states().values()) == {"done"}
    done = ledger(lane)
    assert [sorted(done[:2]), sorted(done[2:5]), done[5:]] == [["a", "b"], ["c", "d", "e"], ["f"]]
    assert "wave 1 of 3 is over: 2 done" in ran.out and "TASK-001 done" not in ran.out


def test_only_looking_changes_nothing(lane: Bench) -> None:
    lane.up(*six(lane))
    before = lane.counts()
    lane.up("/go import --dry", "/go 1,2 --dry", "/go --all --dry")
    assert lane.counts() == before and set(lane.states().values()) == {"inbox"}
    assert lane.value("SELECT count(*) FROM runs") == 0


def test_with_approvals_a_wave_waits_for_them(bench: Bench) -> None:
    ran = bench.up(add(bench, "a", "--draft"), add(bench, "b", "--after 1 --draft"), "/go 1, 2",
                   "/run 1", "/approve 1", "/approve 2")
    ran.said("RUN-001 · TASK-001, TASK-002 · 2 tasks in 2 waves", "TASK-001 is ready for you",
             "0 of 2 done · 1 waits for you",
             "Wave 1 (running): 0 of 1 over · for you TASK-001", "Wave 2: TASK-002",
             "Longest chain left: TASK-001 → TASK-002", "wave 1 of 2 is over: 1 done",
             "TASK-002 is ready for you", "2 of 2 done")
    assert bench.states() == {1: "done", 2: "done"}


def test_a_failure_that_is_needed_pauses_and_alerts_and_a_retry_goes_on(lane: Bench) -> None:
    flag = lane.folder / "mended"
    ran = lane.up(f"/add \"a\" --lane import --run \"sh -c 'test -e {flag}'\"  --draft",
                  add(lane, "b", "--draft"), add(lane, "c", "--after 1 --draft"), "/go import",
                  "/run 1", "/resume RUN-1", "/status", status=1)
    ran.said("TASK-001 failed", "RUN-001 is paused: TASK-001 failed, and TASK-003 needs it. "
             "/retry 1, /done 1 or /stop RUN-001", "RUN-001 · lane import · paused",
             "1 failed", "/retry 1   /stop 1",
             "RUN-001 can't go on: TASK-001 failed, and TASK-003 needs it")
    assert "The queue is paused" not in ran.out, "the rule for tasks outside of runs"
    assert ran.out.count("RUN-001 is paused: TASK-001 failed") == 1
    assert lane.states() == {1: "failed", 2: "done", 3: "blocked"}
    flag.touch()
    ran = lane.up("/retry 1")
    ran.said("TASK-001 will be tried again", "RUN-001 is done · lane import · 3 of 3 done")
    assert lane.states() == {1: "done", 2: "done", 3: "done"}


def test_a_failure_that_nothing_needs_is_told_at_the_end(lane: Bench) -> None:
    ran = lane.up('/add "a" --lane import --run "false" --draft', add(lane, "b", "--draft"),
                  add(lane, "c", "--after 2 --draft"), "/go import", status=1)
    ran.said("TASK-001 failed", "RUN-001 is done · lane import · 2 of 3 done · 1 failed")
    assert lane.states() == {1: "failed", 2: "done", 3: "done"}
    assert lane.value("SELECT state FROM runs") == "completed"
    assert lane.value("SELECT count(*) FROM events WHERE type = 'queue.paused'") == 0


async def test_a_needed_task_that_was_cancelled_is_offered_to_be_reopened(lane: Bench) -> None:
    async with lane.running() as live:
        await live.say("/pause", "The queue is paused")
        await live.say(add(lane, "a", "--draft"), "TASK-001")
        await live.say(add(lane, "b", "--after 1 --draft"), "TASK-002")
        await live.say("/go import", "RUN-001")
        said = await live.say("/cancel 1", "RUN-001 is paused: TASK-001 was cancelled",
                              "/reopen 1   /run 1")
        assert "/retry 1" not in said
        said = await live.say("/run 1", "0 of 2 done · 1 cancelled", "/reopen 1   /stop 1")
        assert "· 1 failed" not in said and "/resume" not in said
        await live.say("/stop 1 yes", "RUN-001 is stopped")
        await live.say("/events", "RUN-001 has failed, stopped by root: 0 of 2 done, 1 cancelled")


async def test_a_run_that_nobody_can_work_on_says_so(lane: Bench) -> None:
    async with lane.running() as live:
        await live.say(add(lane, "a", "--draft --skill rust"), "TASK-001")
        await live.say(add(lane, "b", "--draft --skill rust"), "TASK-002")
        await live.say("/go import", "RUN-001", "nobody here can take it")
        await live.say("/run 1", "TASK-001 and 1 more wait: nobody here can take it.", "rust",
                       "Wave 1 (running): 0 of 2 over · next TASK-001, TASK-002")


def test_the_same_files_are_worked_on_one_after_the_other(lane: Bench) -> None:
    ran = lane.up(add(lane, "a", "--draft --touches src/api/app.py"),
                  add(lane, "b", "--draft --touches 'src/api/*.py'"),
                  add(lane, "c", "--draft --touches docs/"), "/go import --dry", "/go import",
                  "/events")
    ran.said("TASK-002 after TASK-001: both touch src/api/app.py",
             "TASK-002 waits for TASK-001: both touch src/api/app.py", "3 of 3 done")
    done = ledger(lane)
    assert done.index("a") < done.index("b")
    begun = {row["task_id"]: row["at"] for row in lane.rows(
        "SELECT task_id, min(seq) AS at FROM events WHERE type = 'task.started' GROUP BY task_id")}
    ended = lane.value("SELECT seq FROM events WHERE type = 'task.completed' AND task_id = 1")
    assert begun[3] < ended < begun[2]


def test_stop_asks_once_and_returns_what_has_not_begun(bench: Bench) -> None:
    ran = bench.up(add(bench, "a", "--draft"), add(bench, "b", "--after 1 --draft"),
                   "/go import", "/stop RUN-1", "/stop 1 yes", "/stop 1", "/approve 1")
    ran.said("TASK-001 is ready for you", "Stop RUN-001, lane import? 0 of 2 are done",
             "RUN-001 is stopped. 1 task went back to the inbox.", "RUN-001 is cancelled already",
             "TASK-001 done")
    assert bench.states() == {1: "done", 2: "inbox"}


def test_a_person_pauses_and_resumes_it(lane: Bench) -> None:
    ran = lane.up("/pause", add(lane, "a", "--draft"), add(lane, "b", "--after 1 --draft"),
                  "/go import", "/pause RUN-1", "/pause run 1", "/resume", "/runs", "/resume RUN-1")
    ran.said("The queue is paused: nothing begins before /resume",
             "RUN-001 is paused. /resume RUN-001", "RUN-001 is paused already",
             "The queue goes on", "paused", "RUN-001 goes on.", "2 of 2 done")
    assert ledger(lane) == ["a", "b"]


MISTAKES = {
    "/go": "Run what? /go LANE, /go 12,13,14 or /go --all",
    "/go --all import": "One of them: /go LANE",
    "/go nothing": "No open task on the lane `nothing`. Lanes with open tasks: import",
    "/go 2": "TASK-002 needs TASK-001, which is neither done nor in this run: add it (/go 2,1)",
    "/go 99": "No task 99", "/go import --budget lots": "No budget `lots`",
    "/run": "Which run? /run 7", "/run 9": "No run 9. Begin one: /go LANE",
    "/run seven": "`seven` is no run", "/stop": "Which run? /stop 7", "/stop 9": "No run 9",
    "/resume RUN-9": "No RUN-009", "/runs --page 0": "--page takes a number from 1",
}


def test_a_mistake_changes_nothing_and_says_what_to_type(bench: Bench) -> None:
    bench.up(add(bench, "a", "--draft"), add(bench, "b", "--after 1 --draft"))
    before = bench.counts()
    bench.up(*MISTAKES).said(*MISTAKES.values())
    assert bench.counts() == before and bench.value("SELECT count(*) FROM runs") == 0


def test_a_file_that_two_of_them_changed_is_told_once(bench: Bench) -> None:
    same = "--draft --run \"sh -c 'echo $$ > same.txt; echo 1 > other.txt'\" --lane import"
    ran = bench.up(f'/add "a" {same}', f'/add "b" {same}', "/go import", "/reject 1 again")
    ran.said("TASK-001 and TASK-002 both change other.txt, same.txt")
    assert ran.out.count("both change") == 1


def test_agents_at_work_side_by_side_are_looked_at(lane: Bench) -> None:
    """Neither says which files it changes; it is seen while both are still at work."""
    told = f"{lane.data}/bullpen.db"
    wait = lane.folder / "wait.py"
    wait.write_text(
        "import pathlib, sqlite3, time\n"
        "pathlib.Path('same.txt').write_text('1')\n"
        f"db = sqlite3.connect('file:{told}?mode=ro', uri=True, timeout=30)\n"
        "said = \"SELECT 1 FROM events WHERE type = 'task.overlapped'\"\n"
        "end = time.monotonic() + 60\n"
        "while not db.execute(said).fetchone() and time.monotonic() < end:\n"
        "    time.sleep(0.05)\n")
    ran = lane.up(*(f'/add "{name}" --lane import --run "python3 {wait}" --draft'
                    for name in ("a", "b")), "/go import", BULLPEN_TICK_SECONDS="0.3")
    ran.said("TASK-001 and TASK-002 both change same.txt", "RUN-001 is done")
    seen, first = (lane.value(f"SELECT min(seq) FROM events WHERE type = '{kind}'")
                   for kind in ("task.overlapped", "iteration.completed"))
    assert seen < first


def test_what_the_lane_changed_before_is_learnt_and_the_preview_says_so(lane: Bench) -> None:
    log = '--lane import --run "sh -c \'date >> log.txt\'"'
    ran = lane.up(f'/add "a" {log}', f'/add "b" {log} --after 1', f'/add "c" {log} --after 2')
    ran = lane.up(f'/add "d" {log} --draft', f'/add "e" {log} --draft', "/go import --dry",
                  "/go import")
    ran.said("TASK-005 after TASK-004: both touch log.txt (learnt)",
             "from 3 tasks of this lane.", "TASK-005 waits for TASK-004: both touch log.txt",
             "RUN-001 is done")


def test_a_lane_that_is_called_like_a_number(lane: Bench) -> None:
    ran = lane.up("/pause", '/add "a" --run true --lane 12', "/go 12", "/go 1 --lane 12",
                  "/go --lane 12 --dry", "/go --lane 12", "/stop 1 yes")
    ran.said("No task 12", "One of them: /go LANE", "Nothing has begun.", '/go --lane "12"',
             "RUN-001 · ", "RUN-001 is stopped.", '/go --lane "12"')
    assert lane.value("SELECT lane FROM runs") == "12"
