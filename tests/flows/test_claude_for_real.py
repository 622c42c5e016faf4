"""The real Claude Code works for the bot: on the host and in bubblewrap."""

from __future__ import annotations

import signal
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from tests.fakes.model_server import Fail, ModelServer, Say, Use
from tests.flows.bench import Bench
from tests.flows.real_bench import crew, ended, left, need_sandbox, program

pytestmark = pytest.mark.timeout(180)

QUESTION = {"questions": [{"question": "Tea or coffee?", "header": "Drink", "multiSelect": False,
                           "options": [{"label": "tea", "description": "warm"},
                                       {"label": "coffee", "description": "hot"}]}]}
SLOW = {"command": "echo began > began.txt; setsid sleep 3600 & sleep 3600",
        "description": "wait"}


class Limits(Sequence[Fail]):
    """Refused each time, until five seconds from then."""

    def __len__(self) -> int:
        return 100

    def __getitem__(self, index: object) -> Any:
        return Fail(429, "rate_limit_error", "This would exceed your limit.", {
            "anthropic-ratelimit-unified-status": "rejected",
            "anthropic-ratelimit-unified-reset": str(int(time.time()) + 5),
            "anthropic-ratelimit-unified-representative-claim": "five_hour"})


@pytest.fixture
async def model() -> AsyncIterator[ModelServer]:
    async with ModelServer({}) as server:
        yield server


@pytest.fixture(params=["host", "bubblewrap"])
def hired(request: pytest.FixtureRequest, bench: Bench, model: ModelServer) -> Bench:
    """A bench whose crew is Claude Code in that sandbox."""
    found = program("claude", "BULLPEN_TEST_CLAUDE", "Claude Code")
    need_sandbox(request.param)
    crew(bench, "claude", request.param, {"program": found}, {
        "ANTHROPIC_BASE_URL": model.url, "ANTHROPIC_API_KEY": "dummy-key",
        "DISABLE_TELEMETRY": "1", "DISABLE_ERROR_REPORTING": "1", "DISABLE_AUTOUPDATER": "1",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "CLAUDE_CODE_MAX_RETRIES": "0"})
    return bench


async def test_a_task_with_a_permission_a_question_and_a_change_sent_back(
    hired: Bench, model: ModelServer
) -> None:
    """And the bot is killed and started again between the two halves of the conversation."""
    model.plays = {
        "sign it": [Use("Bash", {"command": "echo 'by Ann' >> GREETING.md", "description": "x"}),
                    Say("Signed.")],
        "Greet": [Use("Bash", {"command": "echo hello > GREETING.md", "description": "write"}),
                  Use("AskUserQuestion", QUESTION), Say("I greeted.\nWith tea.")],
    }
    async with hired.running() as live:
        await live.say('/add "Greet"', "🔐 G-1", "echo hello > GREETING.md")
        await live.say("/approve G-1", "❓ G-2", "Tea or coffee?")
        await live.say("/answer G-2 tea", "TASK-001 is ready for you", "With tea.")
        live.send(signal.SIGKILL)
    assert "tea" in str(model.requests[-1]["messages"])
    async with hired.running() as live:
        await live.say("/reject 1 sign it", "🔐 G-4", "by Ann")
        await live.say("/approve G-4", "TASK-001 is ready for you", "Signed.")
        await live.say("/approve 1", "done · merged")
        await ended(live, hired)
    assert hired.file("GREETING.md") == "hello\nby Ann\n"
    said = str(model.requests[-1]["messages"])
    assert "Greet" in said and "With tea." in said and "sign it" in said, "one conversation"


async def test_the_bot_is_killed_while_it_waits_for_leave(
    hired: Bench, model: ModelServer
) -> None:
    model.plays = {"Greet": [
        Use("Bash", {"command": "echo hello > GREETING.md", "description": "write"}),
        Say("I greeted.")]}
    async with hired.running() as live:
        await live.say('/add "Greet"', "🔐 G-1")
        live.send(signal.SIGKILL)
    async with hired.running() as live:
        await live.say("/approve G-1", "TASK-001 is ready for you")
        await live.say("/approve 1", "done · merged")
    assert hired.file("GREETING.md") == "hello\n"
    assert hired.value("SELECT count(*) FROM attempts") == 1, "the same process went on"


async def test_killed_in_the_middle_of_a_tool_nothing_of_it_is_left(
    hired: Bench, model: ModelServer
) -> None:
    """Its tools run in sessions of their own: the launcher finds them all the same."""
    model.plays = {"Wait": [Use("Bash", SLOW), Say("Over.", pause=3600)]}
    async with hired.running() as live:
        await live.say('/add "Wait"', "🔐 G-1")
        await live.say("/approve G-1")
        await live.until(lambda: list(hired.data.glob("sessions/*/w*/began.txt")), "its tool runs")
        await live.say("/kill 1", "TASK-001 killed")
        await ended(live, hired)
    assert not left(hired.folder)


async def test_its_account_rests_at_the_usage_limit_and_it_goes_on_by_itself(
    hired: Bench, model: ModelServer
) -> None:
    path = hired.folder / "config" / "agents.toml"
    path.write_text(path.read_text().replace("ANTHROPIC_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN"))
    model.plays = {"You were interrupted": [Say("I went on.")], "Greet": Limits()}
    async with hired.running() as live:
        await live.say('/add "Greet"', "Claude's usage limit is reached (account team)")
        await live.told("The account team works again.")
        await live.told("I went on.")
    assert hired.value("SELECT count(*) FROM sessions") == 1
    assert hired.value("SELECT attempts FROM tasks") == 0, "it is no retry"


def test_what_it_says_before_its_first_line_is_shown(bench: Bench) -> None:
    found = program("claude", "BULLPEN_TEST_CLAUDE", "Claude Code")
    crew(bench, "claude", "host", {"program": found, "args": ["--settings", "nonsense.json"]}, {})
    ran = bench.up('/add "Greet"', "/logs 1", status=1)
    ran.said("TASK-001 failed", "nonsense", "log of claude-", "nonsense")


async def test_a_person_talks_to_it_in_a_terminal(hired: Bench, model: ModelServer) -> None:
    """What it shows is read in the log: it draws what changed alone, so that the words stand on
    its screen, and nowhere in its output. Paused and resumed it is the same conversation."""
    path = hired.folder / "config" / "agents.toml"
    path.write_text(path.read_text().replace("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"))
    model.plays = {"Third": [Say("The third answer.")], "Second": [Say("The second answer.")],
                   "Greet": [Say("The first answer.")]}
    def prompted() -> bool:
        """Whether the second process waits for a line: one that begins takes none."""
        drawn = [path.read_text() for path in hired.data.glob("sessions/*/attempts/02/terminal")]
        return any("❯" in screen for screen in drawn)

    async with hired.running() as live:
        await live.say('/spawn any "Greet" --agent claude --interactive', "TASK-001")
        await live.say("/logs 1 --follow", "What comes follows here")
        await live.told("● The first answer.")
        await live.say("/say 1 Second, please", "● The second answer.")
        live.send(signal.SIGKILL)
    async with hired.running() as live:
        await live.say("/logs 1 --follow", "● The first answer.", "● The second answer.")
        await live.say("/pause 1", "goes on where it was")
        await ended(live, hired)
        await live.say("/resume 1", "TASK-001 goes on")
        await live.until(prompted, "its second process")
        await live.say("/say 1 Third, please", "● The third answer.")
        await live.say("/kill 1", "TASK-001 killed")
        await ended(live, hired)
    said = str(model.requests[-1]["messages"])
    assert "Greet" in said and "The first answer." in said and "Third" in said, "one conversation"
    rows = hired.log_rows("SELECT text FROM lines WHERE text LIKE '%answer.'")
    assert [row[0] for row in rows] == [f"● The {n} answer." for n in ("first", "second", "third")]


async def test_a_talk_that_is_lost_begins_anew(hired: Bench, model: ModelServer) -> None:
    path = hired.folder / "config" / "agents.toml"
    path.write_text(path.read_text().replace("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"))
    model.plays = {"lost": [Say("From the beginning.")], "Greet": [Say("Hello.")]}
    async with hired.running() as live:
        await live.say('/spawn any "Greet" --agent claude --interactive', "TASK-001")
        await live.say("/logs 1 --follow", "What comes follows here")
        await live.told("● Hello.")
        await live.say("/pause 1", "goes on where it was")
        await ended(live, hired)
        for memory in hired.data.glob("sessions/*/home/.claude/projects/*/*.jsonl"):
            memory.unlink()
        await live.say("/resume 1", "claude's conversation is lost: it is told everything again",
                       "● From the beginning.")
        await live.say("/kill 1", "TASK-001 killed")
        await ended(live, hired)
