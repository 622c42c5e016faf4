"""What an answer has said is not said again beside it."""

from __future__ import annotations

from tests.flows.bench import Bench

AS_SHIPPED = True


def test_that_nobody_can_take_a_new_task_is_said_in_the_answer_only(bench: Bench) -> None:
    ran = bench.up('/add "Paint it" --skill rust --run true', "/events")
    ran.said("TASK-001 · Paint it", "lacks rust", "What happened last",
             "TASK-001 waits: nobody here can take it")
    assert "⚠️" not in ran.out and ran.out.count("nobody here can take it") == 1


def test_pausing_is_said_once_and_twice_is_no_news(bench: Bench) -> None:
    ran = bench.up("/resume", "/pause", "/pause", "/resume")
    ran.said("The queue is not paused", "The queue is paused; what runs goes on",
             "The queue is paused already", "The queue goes on")
    assert "⚠️" not in ran.out
    assert bench.value("SELECT count(*) FROM events WHERE type = 'queue.paused'") == 1


def test_the_check_that_fails_the_task_is_told_with_the_failure_only(bench: Bench) -> None:
    bench.configure(f"[qa]\nmax_send_backs = 1\n[repos.shop]\nsource = '{bench.repo}'\n"
                    "check = 'exit 7'\n")
    ran = bench.up("/add \"Fail\" --run \"sh -c 'date > a.txt'\"", repo=None, status=1)
    ran.said("⚠️ TASK-001: `exit 7` failed", "❌ TASK-001 failed")
    assert ran.out.count("⚠️ TASK-001: `exit 7` failed") == 1


def test_a_draft_has_the_button_that_its_card_speaks_of(bench: Bench) -> None:
    ran = bench.up('/add "Later" --draft', "/task 1")
    ran.said("/ready 1 lets it go.", "/ready 1   /assign 1", "in the inbox", "/ready 1   /assign 1")
