"""A budget: a gate at 80 %, a hard stop at 100 %, and each of the three answers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.flows.bench import Bench, Live

PRICES = '[models."scripted-1"]\ninput = 1000\noutput = 1000\nas_of = 2026-11-21\n'
"""A token costs 0.001 USD."""
START = '/add "Write a note" --budget 2usd'
DONE: list[dict[str, Any]] = [{"write": "NOTES.md", "content": "noted\n"}, {"say": "I went on."}]


@pytest.fixture(autouse=True)
def claude(bench: Bench) -> None:
    bench.install_claude()
    bench.configure(PRICES, "config/prices.toml")


def play(bench: Bench, *prompts: list[dict[str, Any]], agent: str = "", more: str = "") -> None:
    """What the agent does at each prompt of its conversation."""
    script = bench.folder / "play.json"
    script.write_text(json.dumps(prompts))
    bench.configure(f'[agents.claude]\ndriver = "claude"\n{agent}\n'
                    f'[agents.claude.environment]\nFAKE_CLAUDE_SCRIPT = "{script}"\n{more}',
                    "config/agents.toml")


def works(tokens: int) -> list[dict[str, Any]]:
    """Its result, which an interrupt brings, says of the cost what its messages came to."""
    return [{"use": tokens}, {"costs": tokens / 1000}, {"sleep": 600}]


async def stopped(bench: Bench, live: Live) -> None:
    await live.until(lambda: bench.value("SELECT state FROM sessions WHERE task_id = 1")
                     == "suspended", "its process is gone")
    assert bench.states()[1] == "blocked"
    assert bench.value("SELECT reason FROM task_reasons") == "budget"


async def test_at_80_percent_a_gate_opens_and_work_goes_on(bench: Bench) -> None:
    play(bench, [{"use": 1700}, {"sleep": 2}, *DONE])
    async with bench.running() as live:
        await live.say(START, "💰 G-1 · Budget of TASK-001", "1.70 of 2 USD spent (85%)",
                       "Work goes on; when all is spent it stops until you answer.",
                       "/approve G-1 +0.5 USD", "/approve G-1 finish", "/reject G-1")
        await live.say("/inbox", "1 waits for you", "G-1", "💰 Write a note")
        await live.say("/gate G-1", "1.70 of 2 USD spent")
        await live.told("TASK-001 is ready for you")
    assert bench.value("SELECT tokens FROM budgets WHERE scope = 'task'") >= 1700


async def test_from_the_gate_on_to_the_end_the_same_card_tells_it(bench: Bench) -> None:
    seen = bench.folder / "seen"
    play(bench, [{"use": 1700}, {"until": str(seen)}, {"use": 700}, {"costs": 2.4},
                 {"sleep": 600}], DONE)
    async with bench.running() as live:
        await live.say(START, "1.70 of 2 USD spent (85%)")
        seen.touch()
        await live.told("⚠️ Budget of TASK-001 is used up: "
                        "2.40 of 2 USD spent. Work stops until G-1 is answered.")
        await stopped(bench, live)
        await live.say("/gate G-1", "2.40 of 2 USD spent (120%)", "/approve G-1 +2 USD")
        assert bench.value("SELECT count(*) FROM gates") == 1
        await live.say("/approve G-1", "G-1: +2 USD. TASK-001 goes on.")


async def test_at_100_percent_it_stops_and_more_lets_it_go_on(bench: Bench) -> None:
    play(bench, works(2100), DONE)
    async with bench.running() as live:
        await live.say(START, "💰 G-1", "2.10 of 2 USD spent (105%)", "stops until you answer")
        await stopped(bench, live)
        await live.say("/task 1", "Its budget is used up")
        await live.say("/approve G-1 a lot", "Say /approve G-1 +2usd")
        await live.say("/approve G-1 +0.01usd", "is not enough", "/approve G-1 +1 USD")
        await live.say("/approve G-1 +100k", "G-1 counts USD")
        await live.say("/resume 1", "TASK-001 is not paused. Its budget is used up: /approve G-1")
        await stopped(bench, live)
        await live.say("/approve G-1 +2usd", "G-1: +2 USD. TASK-001 goes on.",
                       "TASK-001 is ready for you")
        await live.say("/approve G-1 +2usd", "G-1 was approved by")
    assert bench.value("SELECT count(*) FROM sessions") == 1
    assert bench.value("SELECT count(*) FROM gates WHERE kind = 'budget'") == 1
    (told,) = (bench.data / "sessions").glob("*/prompt-01-again-02.md")
    assert "its budget was used up; that is over" in told.read_text()


async def test_given_back_it_stays_held_by_its_budget_with_the_same_question(bench: Bench) -> None:
    play(bench, works(2100), DONE)
    async with bench.running() as live:
        await live.say(START, "💰 G-1")
        await stopped(bench, live)
        said = await live.say("/release 1", "TASK-001 is given back.",
                              "Its budget is used up: /approve G-1")
        assert "Ready" not in said and "takes it" not in said, said
        assert bench.states()[1] == "blocked"
        assert bench.value("SELECT state FROM gates WHERE id = 1") == "open"
        await live.say("/start 1", "TASK-001 is blocked")
        await live.say("/approve G-1 +5usd", "G-1: +5 USD. TASK-001 goes on.",
                       "TASK-001 · claude is on it")
    assert bench.value("SELECT count(*) FROM gates WHERE kind = 'budget'") == 1
    assert bench.value("SELECT count(*) FROM sessions") == 2


async def test_tried_again_with_nothing_left_it_is_held_until_there_is_more(bench: Bench) -> None:
    play(bench, works(2100), DONE)
    async with bench.running() as live:
        await live.say(START, "💰 G-1")
        await stopped(bench, live)
        await live.say("/reject G-1", "Stopped TASK-001")
        await live.say("/retry 1", "💰 G-2")
        await live.until(lambda: bench.states()[1] == "blocked", "it is held")
        await live.say("/approve G-2 +5usd", "G-2: +5 USD. TASK-001 goes on.",
                       "TASK-001 · claude is on it")


async def test_alone_an_approval_grants_what_the_first_button_says(bench: Bench) -> None:
    play(bench, works(2100), DONE)
    async with bench.running() as live:
        await live.say(START, "💰 G-1")
        await stopped(bench, live)
        await live.say("/approve 1", "G-1: +1 USD. TASK-001 goes on.")
        await live.told("TASK-001 is ready for you")
        assert bench.value("SELECT count(*) FROM gates WHERE kind = 'budget'") == 1
        await live.say("/task 1", "budget: 3.00 USD")


async def test_finish_this_step_goes_on_whatever_it_costs_and_no_further(bench: Bench) -> None:
    play(bench, works(2100), [{"use": 5000}, {"costs": 5}, *DONE], [{"say": "Again."}])
    async with bench.running() as live:
        await live.say(START, "💰 G-1")
        await stopped(bench, live)
        await live.say("/approve G-1 finish", "G-1: This step is finished, then it stops.",
                       "TASK-001 goes on", "TASK-001 is ready for you")
        assert bench.value("SELECT unstoppable FROM sessions") == 0
        review = bench.value("SELECT id FROM gates WHERE kind = 'merge' AND state = 'open'")
        await live.say(f"/reject G-{review} name the author", "💰", "7.1")
        await live.until(lambda: bench.states()[1] == "blocked", "it is held before it begins")
        assert bench.value("SELECT count(*) FROM attempts") == 2


async def test_stop_fails_the_task_and_keeps_its_branch(bench: Bench) -> None:
    play(bench, [{"write": "NOTES.md", "content": "begun\n"}, *works(2100)])
    async with bench.running() as live:
        await live.say(START, "💰 G-1")
        await stopped(bench, live)
        await live.say("/reject G-1", "G-1: Stopped TASK-001; the branch is kept.")
        await live.say('/add "Another" --run "true"', "TASK-002 is ready for you")
    assert bench.states()[1] == "failed"
    assert bench.value("SELECT failure FROM tasks WHERE id = 1") == "budget"
    assert bench.value("SELECT branch FROM tasks WHERE id = 1")
    assert bench.value("SELECT state FROM sessions WHERE task_id = 1") == "terminated"


async def test_a_result_that_came_in_before_the_stop_is_judged_when_there_is_more(
        bench: Bench) -> None:
    play(bench, [*DONE, {"costs": 2.5}])
    async with bench.running() as live:
        await live.say(START, "💰 G-1", "2.50 of 2 USD spent (125%)")
        await stopped(bench, live)
        assert bench.value("SELECT state FROM iterations") == "completed"
        await live.say("/approve G-1 +2usd", "TASK-001 goes on.", "TASK-001 is ready for you")
    assert bench.value("SELECT count(*) FROM attempts") == 1


async def test_an_agents_day_stops_its_sessions_and_its_claims_but_nobody_elses(
        bench: Bench) -> None:
    play(bench, works(1100), DONE, agent='budget = "1usd"',
         more='[agents.shell]\ndriver = "command"\n')
    async with bench.running() as live:
        await live.say('/add "Write a note"', "💰 G-1 · Budget of claude for", "1.10 of 1 USD")
        await stopped(bench, live)
        await live.say('/add "Another"', "TASK-002")
        await live.say('/add "By hand" --run "true"', "TASK-003 is ready for you")
        assert bench.states()[2] == "ready"
        await live.say("/inbox", "Budget of claude")
        await live.say("/approve G-1 +5usd", "TASK-001 goes on.", "TASK-001 is ready for you",
                       "TASK-002 · claude is on it")


async def test_the_day_of_all_stops_everything(bench: Bench) -> None:
    play(bench, works(1100), DONE)
    day = {"BULLPEN_BUDGET__DAY_USD": "1"}
    async with bench.running(**day) as live:
        await live.say('/add "Write a note"', "💰 G-1 · Everybody's budget for", "1.10 of 1 USD")
        await stopped(bench, live)
        await live.say('/add "By hand" --run "true"', "TASK-002")
        await live.say("/approve G-1 +2", "G-1: +2 USD.", "TASK-002 is ready for you")


def test_what_was_spent_is_told_by_day_agent_lane_model_and_run(bench: Bench) -> None:
    play(bench, [*DONE, {"costs": 0.5}], agent='budget = "5usd"')
    ran = bench.up("/cost", '/add "One" --lane api --budget 2usd', '/add "Two" --lane api',
                   "/go api --budget 10usd", "/cost", "/cost today", "/cost --agent claude",
                   "/cost --lane api", "/cost --run 1", "/cost --run 9", "/cost yesterday",
                   "/cost --agent nobody", "/cost --agent claude --lane api",
                   BULLPEN_BUDGET__DAY_USD="8")
    ran.said("today 0.00 USD · 7 days 0.00 USD · in all 0.00 USD",
             "today 1.0", "7 days 1.0", "in all 1.0",
             "By agent (7 days): claude 1.0", "By lane (7 days): api 1.0",
             "By model (7 days): scripted-1 1.0",
             "Budget of everybody today: 1.0", "of 8 USD (13%)",
             "Budget of claude today: 1.0", "of 5 USD (20%)", "Budget of RUN-001",
             "Budget of TASK-001: 0.50 of 2 USD (25%)",
             "By agent (today)", "claude: today 1.0", "Lane api: 1.0", "for 2 tasks",
             "RUN-001: 0.00 USD", "TASK-001 0.50 USD", "No run `9`", "/cost [today|week]",
             "No agent `nobody`", "One at a time")
    for reply in ran.out.split("today ")[1:]:
        assert len(reply.split("\n\n")[0].splitlines()) <= 12, "it fits a phone"


async def test_a_run_stops_at_its_budget_and_goes_on_with_more(bench: Bench) -> None:
    play(bench, works(1100), DONE)
    async with bench.running() as live:
        await live.say("/pause", "The queue is paused")
        await live.say('/add "One" --lane api', "TASK-001")
        await live.say('/add "Two" --lane api', "TASK-002")
        await live.say("/go api --budget 1usd", "RUN-001")
        await live.say("/resume", "💰 G-1 · Budget of RUN-001", "1.10 of 1 USD spent (110%)")
        await stopped(bench, live)
        assert bench.states()[2] == "ready"
        await live.say("/approve G-1 +5usd", "TASK-001 goes on.", "TASK-001 is ready for you")


AGENT = """#!/usr/bin/env python3
import json, signal, sys, time
if "--version" in sys.argv:
    sys.exit(print("2.1.0 (scripted)"))
def tell(**line):
    print(json.dumps(line), flush=True)
def spend(name, tokens):
    tell(type="assistant", message={"id": name, "model": "scripted-1",
         "content": [{"type": "text", "text": "hm"}],
         "usage": {"input_tokens": tokens, "output_tokens": 0}})
def bye(*_):
    %s
    sys.exit(1)
signal.signal(signal.SIGTERM, bye)
signal.signal(signal.SIGINT, bye)
tell(type="system", subtype="init", session_id="s1", model="scripted-1")
%s
while True:
    time.sleep(1)
"""
"""An agent that says something else when it is stopped, or nothing."""


def agent(bench: Bench, begins: str, ends: str) -> None:
    program = bench.folder / "bin" / "claude"
    program.unlink()
    program.write_text(AGENT % (ends, begins))
    program.chmod(0o755)


async def test_a_last_total_that_is_empty_undoes_no_stop(bench: Bench) -> None:
    agent(bench, 'spend("m1", 2100)', 'tell(type="result", subtype="error_during_execution", '
          'is_error=True, result="", errors=["interrupted"])')
    async with bench.running() as live:
        await live.say(START, "💰 G-1", "2.10 of 2 USD spent (105%)")
        await stopped(bench, live)
        await live.say("/gate G-1", "2.10 of 2 USD spent (105%)")
        await live.say('/add "Another" --run "true"', "TASK-002 is ready for you")
        assert bench.states()[1] == "blocked"
    assert bench.value("SELECT count(*) FROM attempts WHERE session_id LIKE '%claude%'") == 1
    assert bench.value("SELECT count(*) FROM gates WHERE kind = 'budget'") == 1
    assert bench.value("SELECT tokens FROM budgets WHERE scope = 'task' AND key = '1'") == 2100


async def test_what_an_agent_spends_while_it_is_stopped_asks_nobody(bench: Bench) -> None:
    agent(bench, 'spend("m0", 10)', 'spend("m1", 1700)')
    async with bench.running() as live:
        await live.say(START, "claude is on it")
        await live.until(lambda: bench.value("SELECT tokens FROM tasks") == 10, "it works")
        await live.say("/done 1", "done")
        await live.until(lambda: bench.value("SELECT tokens FROM tasks") == 1710, "it has ended")
        await live.say("/inbox", "Nothing waits")
    assert bench.value("SELECT count(*) FROM gates") == 0


@pytest.mark.parametrize("scope", ["day", "run", "agent"])
async def test_after_a_stop_the_others_wait_and_nobody_is_asked_again(
        bench: Bench, scope: str) -> None:
    play(bench, works(1700), agent='budget = "1usd"' if scope == "agent" else "")
    more = {"BULLPEN_BUDGET__DAY_USD": "1"} if scope == "day" else {}
    async with bench.running(**more) as live:
        await live.say("/pause", "The queue is paused")
        await live.say('/add "One" --lane api', "TASK-001")
        await live.say('/add "Two" --lane api', "TASK-002")
        if scope == "run":
            await live.say("/go api --budget 1usd", "RUN-001")
        await live.say("/resume", "💰 G-1", "1.70 of 1 USD")
        await stopped(bench, live)
        first = next(task for task, state in bench.states().items() if state == "blocked")
        await live.say("/reject G-1", f"Stopped TASK-00{first}; the branch is kept.", {
            "day": "Nothing more begins that day. For more: /set budget.day_usd",
            "run": "No more of it begins. End it: /stop RUN-1",
            "agent": "claude begins nothing more that day. For more: /agent set claude --budget",
        }[scope])
        await live.until(lambda: not bench.value("SELECT count(*) FROM sessions "
                                                 "WHERE state <> 'terminated'"), "it is gone")
        await live.say('/add "Draft" --draft', "TASK-003")
        await live.say("/inbox", "Nothing waits")
        assert sorted(bench.states().values()) == ["failed", "inbox", "ready"]
        if scope == "day":
            await live.say("/set budget.day_usd 9", "budget.day_usd")
            await live.told(f"TASK-00{3 - first} · claude is on it")
    assert bench.value("SELECT count(*) FROM gates") == 1


async def test_a_model_without_a_price_counts_tokens_and_says_so_once(bench: Bench) -> None:
    bench.configure("", "config/prices.toml")
    result = {"type": "result", "subtype": "success", "is_error": False, "result": "done",
              "modelUsage": {"scripted-1": {"inputTokens": 900, "outputTokens": 100}}}
    play(bench, [*DONE, {"emit": result}, {"sleep": 600}])
    async with bench.running() as live:
        await live.say('/add "Write a note"', "There is no price for scripted-1: its tokens are "
                       "counted, its cost is not. Add it to config/prices.toml")
        await live.told("TASK-001 is ready for you")
        await live.say("/cost", "1k tokens", "without a price")
        live.screen = ""
        await live.say('/add "Again"', "TASK-002 is ready for you")
        assert "There is no price" not in live.screen
