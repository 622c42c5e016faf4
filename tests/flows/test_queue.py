"""Who works on what, and when: dependencies, priorities, limits, agents."""

from __future__ import annotations

from pathlib import Path

from tests.flows.bench import Bench


def _logs(ledger: Path, name: str) -> str:
    return f"--run \"sh -c 'echo {name} >> {ledger}'\""


def test_what_depends_waits_and_is_released(bench: Bench) -> None:
    ran = bench.up('/add "First" --run "true"', '/add "Second" --run "true" --after 1',
                   '/add "Third" --run "true" --after 1,TASK-002', "/task 2", "/approve 1",
                   "/approve 2", "/approve 3")
    ran.said("Waits for the tasks that come before it.", "Waits for TASK-001",
             "TASK-001 done", "TASK-002 is ready for you", "TASK-002 done", "TASK-003 done")
    assert bench.states() == {1: "done", 2: "done", 3: "done"}


def test_what_waits_for_something_cancelled_goes_on_waiting(bench: Bench) -> None:
    bench.up('/add "First" --run "true"', '/add "Second" --run "true" --after 1', "/cancel 1")
    assert bench.states() == {1: "cancelled", 2: "blocked"}
    bench.up("/reopen 1", "/approve 1")
    assert bench.states() == {1: "done", 2: "review"}


def test_the_most_urgent_goes_first_then_the_oldest(bench: Bench) -> None:
    ledger = bench.folder / "ledger"
    bench.up("/pause", f'/add "a" -p low {_logs(ledger, "low")}',
             f'/add "b" {_logs(ledger, "medium-1")}', f'/add "c" {_logs(ledger, "medium-2")}',
             f'/add "d" --priority=urgent {_logs(ledger, "urgent")}',
             f'/add "e" -p high {_logs(ledger, "high")}',
             f'/add "f" {_logs(ledger, "started")}', "/start 6", "/resume")
    assert ledger.read_text().split() == [
        "urgent", "started", "high", "medium-1", "medium-2", "low"]


def test_never_more_at_once_than_allowed_and_as_many_as_allowed(bench: Bench) -> None:
    ledger = bench.folder / "ledger"
    work = bench.folder / "work.sh"
    # The first two wait for each other, so both must run at the same time.
    work.write_text(f"echo begin >> {ledger}\ntouch {bench.folder}/here-$1\n"
                    f"[ $1 -gt 2 ] || while [ ! -e {bench.folder}/here-$((3 - $1)) ]; do "
                    f"sleep 0.05; done\necho end >> {ledger}\n")
    bench.up("/pause", *(f'/add "Task {n}" --run "sh {work} {n}"' for n in range(1, 6)),
             "/resume", BULLPEN_QUEUE__MAX_CONCURRENT="2")
    running, most = 0, 0
    for word in ledger.read_text().split():
        running += 1 if word == "begin" else -1
        most = max(most, running)
    assert (most, running) == (2, 0), ledger.read_text()
    assert set(bench.states().values()) == {"review"}


def test_an_agent_by_name_and_one_assigned_with_the_reason(bench: Bench) -> None:
    bench.configure('[agents.painter]\ndriver = "command"\nskills = ["paint"]\n'
                    "options = { command = \"sh -c 'echo {title} > painted.txt'\" }\n"
                    '[agents.writer]\ndriver = "command"\n'
                    "options = { command = \"sh -c 'echo {title} > written.txt'\" }\n",
                    "config/agents.toml")
    ran = bench.up('/add "Wall" --agent painter', "/pause", '/add "Door" --skill paint',
                   '/add "Letter"', "/assign 2 writer", "/assign 2", "/assign 3 writer",
                   "/assign 3 nobody", "/assign 1", "/resume", "/show 3", "/approve 1")
    ran.said("painter takes it", "It can't go to writer: writer lacks paint",
             "TASK-002 is for painter.", "Fits", "Others: writer lacks paint",
             "TASK-003 is for writer.", "No agent `nobody`", "TASK-001 is waiting for a decision",
             "written.txt", "done · merged")
    agents = bench.rows("SELECT agent FROM sessions ORDER BY task_id")
    assert [row["agent"] for row in agents] == ["painter", "painter", "writer"]


def test_words_alone_without_an_agent_say_what_to_install(bench: Bench) -> None:
    ran = bench.up('/add "Write a poem"', "/agents", "/assign 1")
    ran.said("install Claude Code", "--run", "claude", "offline", "install Claude Code")
    assert bench.states() == {1: "ready"}


def test_a_draft_waits_in_the_inbox(bench: Bench) -> None:
    ran = bench.up('/add "Later" --run "true" --draft', "/list inbox", "/ready 1", "/ready 1",
                   "/approve 1")
    ran.said("In the inbox. /ready 1", "TASK-001", "TASK-001 is ready.",
             "TASK-001 is not in the inbox", "TASK-001 done")


def test_the_queue_is_put_in_order_by_hand(bench: Bench) -> None:
    ledger = bench.folder / "ledger"
    ran = bench.up("/pause", *(f'/add "Task {n}" {_logs(ledger, n)}' for n in "abcdef"),
                   "/move 6 top", "/move 1 bottom", "/move 2 down", "/move 5 up",
                   "/move 3 before 5", "/move 4 after 1", "/move 4 after 1", "/queue",
                   "/priority 4 high", "/move 1 before 4", "/priority 1 high", "/priority 1 high",
                   "/move 4 top", "/move 4 top", "/resume", "/move 1 top")
    ran.said("TASK-006 moved to the top, among what is medium.", "TASK-001 moved to the bottom",
             "TASK-002 moved down", "TASK-005 moved up", "TASK-003 moved before TASK-005",
             "TASK-004 moved after TASK-001", "6 ready",
             "Paused: /resume lets it go on; at most 1 at once, 0 running; a failure pauses it.",
             "1      TASK-006", "2      TASK-002", "3      TASK-003", "4      TASK-005",
             "5      TASK-001", "6      TASK-004", "TASK-004 is high now.",
             "TASK-004 is high and TASK-001 is medium: /priority 1 high first.",
             "TASK-001 is high already.", "TASK-004 moved to the top, among what is high.",
             "TASK-004 stands there already.", "TASK-001 is under review: only what waits")
    assert ledger.read_text().split() == list("dafbce")


def test_into_the_queue_and_out_of_it(bench: Bench) -> None:
    ran = bench.up("/queue pause", '/add "One" --run "true" --draft', '/add "Two" --run "true"',
                   '/add "Three" --run "true" --after 2', "/queue add 1", "/queue add 1", "/queue",
                   "/queue remove 3", "/queue remove 3", "/queue remove 1", "/ready 3",
                   "/queue add 1", "/queue clear", "/queue resume", "/queue remove 1", "/done 2",
                   "/queue clear", "/queue -n 1")
    ran.said("The queue is paused", "TASK-001 is in the queue.", "TASK-001 is in the queue already",
             "2 ready", "1      TASK-002", "2      TASK-001", "TASK-003 is in the inbox.",
             "TASK-003 is in the inbox: it isn't in the queue.", "TASK-001 is in the inbox.",
             "TASK-003 is out of the inbox.", "Waits for the tasks that come before it.",
             "There was nothing to clear", "The queue goes on.", "TASK-002 is ready for you",
             "TASK-001 has begun: it isn't in the queue.", "1 ended task are forgotten")


def test_the_queue_fits_a_phone(bench: Bench) -> None:
    ran = bench.up("/pause", *(f'/add "Task {n}" --run "true"' for n in range(12)), "/queue",
                   "/queue --page 2")
    ran.said("12 ready · 1–10 of 12", "10     TASK-010", "/queue --page 2",
             "12 ready · 11–12 of 12", "12     TASK-012")


def test_an_urgent_task_goes_before_a_paused_queue_is_resumed_only_then(bench: Bench) -> None:
    ran = bench.up("/pause", '/add "Now" --run "true" -p urgent', "/status", "/resume")
    ran.said("The queue is paused", "Ready, but the queue is paused", "1 queued",
             "The queue goes on.", "TASK-001 is ready for you")


async def test_how_many_at_once_is_changed_while_they_run_and_kept(bench: Bench) -> None:
    def running() -> int:
        return int(bench.value(
            "SELECT count(*) FROM sessions WHERE state IN ('starting', 'running')"))

    async with bench.running() as live:
        await live.say("/set queue.max_concurrent 0", "queue.max_concurrent")
        for name in "abc":
            await live.say(f'/add "{name}" --run "sleep 300"', "TASK-00")
        await live.say("/queue", "3 ready", "at most 0 at once, 0 running")
        assert running() == 0
        await live.say("/set queue.max_concurrent 2", "queue.max_concurrent")
        await live.until(lambda: running() == 2, "two of them")
        await live.say("/queue", "1 ready", "at most 2 at once, 2 running")
        await live.say("/set queue.max_concurrent 1000000", "queue.max_concurrent")
        await live.until(lambda: running() == 3, "all of them")
        await live.say("/set queue.max_concurrent 1", "queue.max_concurrent")
        await live.say("/set queue.stop_on_failure false", "queue.stop_on_failure")
        await live.say("/queue pause", "paused")
        assert running() == 3, "what runs goes on"
        for task in (1, 2, 3):
            await live.say(f"/cancel {task}", f"TASK-00{task} cancelled")
        await live.until(lambda: running() == 0, "all of them have ended")
    ran = bench.up("/queue")
    ran.said("Paused: /resume lets it go on; at most 1 at once", "a failure does not pause it")


async def test_a_failure_pauses_the_queue_only_where_it_should(bench: Bench) -> None:
    async with bench.running() as live:
        await live.say("/set queue.stop_on_failure false", "queue.stop_on_failure")
        await live.say('/add "Breaks" --run "false"', "TASK-001 failed")
        await live.say('/add "Works" --run "true"', "TASK-002 is ready for you")
        await live.say("/set queue.stop_on_failure true", "queue.stop_on_failure")
        await live.say('/add "Breaks too" --run "false"', "TASK-003 failed",
                       "The queue is paused because TASK-003 failed")
        await live.say('/add "Waits" --run "true"', "the queue is paused")
        await live.say("/delete 3 yes", "TASK-003 is deleted.", "TASK-004 is ready for you")


def test_a_second_failure_keeps_the_queue_paused(bench: Bench) -> None:
    work = bench.folder / "both.sh"
    # The two wait for each other, so that both are at work when the first one fails.
    work.write_text(f"touch {bench.folder}/at-$1\n"
                    f"while [ ! -e {bench.folder}/at-$((3 - $1)) ]; do sleep 0.02; done\n"
                    f"[ -e {bench.folder}/mended-$1 ]\n")
    bench.up("/pause", f'/add "A" --run "sh {work} 1"', f'/add "B" --run "sh {work} 2"', "/resume",
             status=1, BULLPEN_QUEUE__MAX_CONCURRENT="2")
    assert bench.states() == {1: "failed", 2: "failed"}
    first, second = bench.rows("SELECT task_id FROM events WHERE type = 'task.failed' ORDER BY seq")
    for task in (1, 2):
        (bench.folder / f"mended-{task}").touch()
    ran = bench.up(f"/retry {first[0]}", status=1)
    ran.said(f"The queue is paused because TASK-{second[0]:03d} failed")
    assert bench.states() == {first[0]: "ready", second[0]: "failed"}
    bench.up(f"/cancel {second[0]}")
    assert bench.states() == {first[0]: "review", second[0]: "cancelled"}
