"""An agent that asks, tells and reports over its socket, or by a file; the bot dies meanwhile."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api_bench import short_folder
from tests.flows.bench import Bench
from tests.flows.real_bench import need_sandbox
from tests.needs import need

AGENT = (Path(__file__).parents[1] / "fakes" / "speaking_agent.py").read_text()
CHOOSING = """
name = "choosing"
[[steps]]
id = "check"
kind = "agent"
outcomes = { default = "look", "verify.failed" = "mend" }
[[steps]]
id = "mend"
kind = "agent"
outcomes = { default = "look" }
[[steps]]
id = "look"
kind = "gate"
outcomes = { approved = "done", rejected = "check" }
"""


@pytest.fixture
def bench() -> Iterator[Bench]:
    """With paths short enough for sockets."""
    with short_folder() as folder:
        bench = Bench(folder)
        bench.configure(CHOOSING, "config/workflows/choosing.toml")
        bench.commit({"agent.py": AGENT})
        yield bench


def add(run: str) -> str:
    return f'/add "Choose" --workflow choosing --run "{run}"'


def steps(bench: Bench) -> list[tuple[str, str | None]]:
    return [tuple(row) for row in bench.rows(
        "SELECT sessions.step, iterations.outcome FROM iterations "
        "JOIN sessions ON sessions.id = session_id ORDER BY iterations.started_at, session_id")]


@pytest.mark.parametrize("sandbox", ["host", "bubblewrap"])
def test_it_asks_and_its_outcome_routes(bench: Bench, sandbox: str) -> None:
    """In bubblewrap without any network: the socket is enough."""
    if sandbox == "bubblewrap":
        need_sandbox(sandbox)
    bench.configure(f"""
[agents.shell]
driver = "command"
sandbox = "{sandbox}"
network = "{"off" if sandbox == "bubblewrap" else "on"}"
""", "config/agents.toml")
    ran = bench.up(add("python3 agent.py verify.failed"), "/answer 1 blue", "/show 1 colour.md",
                   "/approve 1")
    ran.said("❓ G-1", "Red or blue?", "G-1 answered", "blue", "TASK-001 done")
    assert steps(bench) == [("check", "verify.failed"), ("mend", None)]
    assert bench.value("SELECT summary FROM iterations WHERE outcome IS NOT NULL") == (
        "It is to be blue.")
    assert bench.value("SELECT answer FROM gates WHERE kind = 'question'") == "blue"
    assert bench.value("SELECT DISTINCT sandbox FROM sessions") == sandbox
    author = "agent:" + bench.value("SELECT agent FROM sessions")
    assert [tuple(row) for row in bench.rows(
        "SELECT version, author FROM artifacts WHERE name = 'colour.md'")] == [(1, author)]
    assert bench.value("SELECT count(*) FROM events WHERE text = 'Thinking about colours'") == 1


def test_an_outcome_that_is_not_declared_goes_by_default(bench: Bench) -> None:
    ran = bench.up(add("python3 agent.py pr.merged"), "/answer 1 red", "/approve 1")
    ran.said("TASK-001 done")
    assert steps(bench) == [("check", None)]


async def test_the_bot_dies_while_it_waits(bench: Bench) -> None:
    """Asked once; the answer to the next bot reaches the agent that outlived the first."""
    async with bench.running("--repo", str(bench.repo)) as live:
        await live.say(add("python3 agent.py verify.failed"), "G-1")
        live.send(signal.SIGKILL)
    async with bench.running("--repo", str(bench.repo)) as live:
        await live.say("/answer 1 blue", "G-1 answered")
        await live.told("TASK-001 is ready for you")
        await live.say("/approve 1", "TASK-001 done")
    assert steps(bench) == [("check", "verify.failed"), ("mend", None)]
    assert bench.value("SELECT count(*) FROM gates WHERE kind = 'question'") == 1
    assert bench.value("SELECT count(*) FROM attempts") == 2


FILED = """
echo '{"outcome": "verify.failed", "summary": "Not yet."}' > $BULLPEN_ARTIFACTS/outcome.json
"""


def test_outcome_json_is_read_at_the_end(bench: Bench) -> None:
    """Of each step's own session: the second step says it too, and hasn't declared it."""
    bench.commit({"file.sh": FILED})
    ran = bench.up(add("sh file.sh"), "/approve 1")
    ran.said("TASK-001 done")
    assert steps(bench) == [("check", "verify.failed"), ("mend", None)]
    assert bench.value("SELECT summary FROM iterations WHERE outcome IS NOT NULL") == "Not yet."


@pytest.mark.parametrize(("script", "told"), [
    ("echo nonsense > $BULLPEN_ARTIFACTS/outcome.json", "can't be read"),
    ("ln -s /etc/passwd $BULLPEN_ARTIFACTS/outcome.json", "outcome.json is a link"),
    ("mkfifo $BULLPEN_ARTIFACTS/outcome.json", "outcome.json is a pipe"),
    ("mkdir $BULLPEN_ARTIFACTS/outcome.json", "outcome.json is a folder"),
    ("head -c 70000 /dev/zero > $BULLPEN_ARTIFACTS/outcome.json", "larger than 64 KiB"),
    ("""printf '{\\"outcome\\": \\"merged\\"}' > $BULLPEN_ARTIFACTS/outcome.json""",
     "Say one of: default, verify.failed"),
], ids=["nonsense", "link", "pipe", "folder", "large", "undeclared"])
def test_an_outcome_json_of_no_use_is_told_and_breaks_nothing(
        bench: Bench, script: str, told: str) -> None:
    bench.commit({"file.sh": script.replace('\\"', '"')})
    ran = bench.up(add("sh file.sh"), "/approve 1")
    ran.said("the outcome is not taken", told, "TASK-001 done")
    assert steps(bench) == [("check", None)]


def test_a_shell_speaks_with_curl(bench: Bench) -> None:
    """As docs/agents-api.md shows it."""
    need("curl", shutil.which("curl") is not None, "apt install curl")
    page = (Path(__file__).parents[2] / "docs" / "agents-api.md").read_text("utf-8")
    script = page.split("```sh\n# ask.sh")[1].split("```")[0]
    bench.commit({"ask.sh": "# ask.sh" + script})
    ran = bench.up(add("sh ask.sh"), "/answer 1 blue", "/show 1 colour.md", "/approve 1")
    ran.said("Red or blue?", "G-1 answered", "blue", "TASK-001 done")
    assert steps(bench)[0] == ("check", "verify.failed")
