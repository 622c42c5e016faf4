"""What messages say: a failure in one line, what waits for whom, what can't be ended."""

from __future__ import annotations

import json
import re
import signal
from typing import Any

import pytest

from tests.flows.bench import Bench


@pytest.fixture(autouse=True)
def claude(bench: Bench) -> None:
    bench.install_claude()


def play(bench: Bench, *acts: dict[str, Any]) -> None:
    script = bench.shown / "play.json"
    script.write_text(json.dumps(acts))
    bench.configure(f'[agents.claude]\ndriver = "claude"\n[agents.claude.environment]\n'
                    f'FAKE_CLAUDE_SCRIPT = "{script}"\n', "config/agents.toml")


TRACE = ('Internal error: Traceback (most recent call last):\n  File "agent.py", line 7, in run\n'
         "    start(model)\nValueError: no such model: nova")


def test_a_traceback_is_told_in_one_line_and_once(bench: Bench) -> None:
    play(bench, {"say": "I begin."}, {"error": TRACE})
    bench.quoted = TRACE.splitlines()[0]
    ran = bench.up('/add "Try"', status=1)
    ran.said("❌ TASK-001 failed: Internal error: ValueError: no such model: nova")
    card = ran.out[ran.out.index("❌ TASK-001 failed"):]
    assert card.count('File "agent.py", line 7') == 1
    assert "I begin." in card


def test_a_long_reason_is_cut_in_the_title_and_stands_whole_below(bench: Bench) -> None:
    names = " ".join(f"model-{number:03d}" for number in range(90))
    play(bench, {"error": f"There are only these: {names}."})
    ran = bench.up('/add "Try"', status=1)
    title = next(line for line in ran.out.splitlines() if "❌ TASK-001 failed" in line)
    assert len(title) < 200 and "…" in title
    ran.said("❌ TASK-001 failed: There are only these: model-000", "model-089")


async def test_what_waits_is_named_by_its_kind(bench: Bench) -> None:
    play(bench, {"ask": "Tea or coffee?"})
    async with bench.running() as live:
        await live.say('/add "Drink"', "Tea or coffee?")
        await live.say("/inbox", "❓ a question: Drink")
        await live.say("/status", "❓ a question: Drink")


def test_what_is_over_is_not_killed_and_no_vain_advice_is_given(bench: Bench) -> None:
    play(bench, {"write": "a.txt", "content": "a"})
    bench.up('/add "Write"')
    ran = bench.up("/done 1", "/kill 1")
    ran.said("TASK-001 is done: nothing of it runs.")
    assert "/cancel 1" not in ran.out


async def test_after_a_crash_the_first_lines_say_what_goes_on(bench: Bench) -> None:
    play(bench, {"say": "I begin."}, {"sleep": 600})
    async with bench.running() as live:
        await live.told("Type first:")
        await live.say('/add "Think"', "claude is on it")
        await live.until(lambda: bench.value("SELECT 1 FROM sessions WHERE state = 'running'"), "")
        live.send(signal.SIGKILL)
        await live._process.wait()
        await live._reading
    async with bench.running() as live:
        await live.told("\n1 session goes on: /status")
        assert "Type first" not in live.screen and "waits for you" not in live.screen


async def test_the_first_lines_say_what_waits_and_of_nothing_nothing(bench: Bench) -> None:
    bench.up('/add "Make it" --run "touch made.txt"', '/add "Make more" --run "touch more.txt"')
    async with bench.running() as live:
        await live.told("\n2 wait for you: /status, /inbox")
    bench.up("/approve 1")
    async with bench.running() as live:
        await live.told("\n1 waits for you: /status, /inbox")
    bench.up("/approve 2")
    async with bench.running() as live:
        await live.told("/help lists the rest")
    assert "\n/status, /inbox" in live.screen
    assert "session" not in live.screen and "wait" not in live.screen, live.screen


def test_a_sessions_page_has_no_row_without_words_and_no_answer_twice(bench: Bench) -> None:
    play(bench, {"write": "a.txt", "content": "a"}, {"use": 500}, {"say": "All is well."})
    bench.up('/add "Write"')
    (page,) = (bench.data / "site" / "sessions").glob("*.html")
    text = page.read_text()
    rows = re.findall(r'<p class="l [^>]*><span>[^<]*</span>(.*?)</p>', text, re.DOTALL)
    assert rows and all(row.strip() for row in rows)
    assert sum("All is well." in row for row in rows) == 1
    assert "1 tool call<" in text
    (style,) = (bench.data / "site").rglob("style*.css")
    rule = re.search(r"\.findings li \{([^}]*)\}", style.read_text())
    assert rule and "color" not in rule[1], "a passed check is as green as its words"
