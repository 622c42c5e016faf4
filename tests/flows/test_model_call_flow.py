"""A step that is one call of a model: an artifact in, an artifact out; sent back it knows all."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import pytest

from tests.fakes.model_server import Fail, ModelServer, Say
from tests.flows.bench import ROOT, Bench
from tests.flows.real_bench import ended, need_sandbox

pytestmark = pytest.mark.timeout(120)

PLANNED = """
name = "planned"
[[steps]]
id = "plan"
kind = "agent"
type = "planning"
output = "plan.md"
outcomes = { default = "look" }
[[steps]]
id = "look"
kind = "gate"
artifact = "plan.md"
outcomes = { approved = "check", rejected = "plan" }
[[steps]]
id = "check"
kind = "agent"
type = "checking"
input = "plan.md"
output = "verdict.md"
outcomes = { default = "last" }
[[steps]]
id = "last"
kind = "gate"
artifact = "verdict.md"
outcomes = { approved = "done", rejected = "check" }
"""
TALKED = """
name = "talked"
[[steps]]
id = "plan"
kind = "agent"
type = "planning"
outcomes = { default = "look" }
[[steps]]
id = "look"
kind = "gate"
outcomes = { approved = "done", rejected = "plan" }
"""
CREW = """
[agents.claude]
driver = "claude"
enabled = false
[agents.thinker]
driver = "model"
sandbox = "{sandbox}"
model = "scripted"
types = ["planning", "checking"]
[agents.thinker.options]
base_url = "{url}"
tries = 1
[agents.thinker.environment]
ANTHROPIC_API_KEY = "sk-the-key-of-a-test"
"""
ADD = '/add "Paint the shed" --workflow planned'


@pytest.fixture(params=["host", "bubblewrap"])
def sandbox(request: pytest.FixtureRequest) -> str:
    need_sandbox(request.param)
    return str(request.param)


def hire(bench: Bench, sandbox: str, model: ModelServer) -> None:
    bench.configure(CREW.format(sandbox=sandbox, url=model.url), "config/agents.toml")
    bench.configure(PLANNED, "config/workflows/planned.toml")


async def test_artifact_in_artifact_out_and_sent_back(bench: Bench, sandbox: str) -> None:
    plays = {"The input (plan.md)": [Say("It is sound.")],
             "make it red": [Say("Paint it red.")], "shed": [Say("Paint it blue.")]}
    async with ModelServer(plays) as model:
        hire(bench, sandbox, model)
        async with bench.running() as live:
            await live.say(ADD, "G-1", "Paint it blue.")
            await live.say("/show 1", "TASK-001 · plan.md", "Paint it blue.", "/approve G-1")
            await live.say("/reject 1 make it red", "G-2", "Paint it red.")
            await live.say("/approve G-2", "G-3", "It is sound.")
            await live.say("/approve G-3", "TASK-001 done")
            await ended(live, bench)
        again, check = (request["messages"][0]["content"] for request in model.requests[1:3])
        assert all(words in again for words in ("Paint the shed", "make it red", "Paint it blue."))
        assert "Paint it red." in check
    assert "sk-the-key-of-a-test" not in _everything(bench.data)
    assert bench.value("SELECT sum(tokens_out) FROM sessions") == 15


async def test_without_an_artifact_it_is_told_its_own_earlier_answer(
    bench: Bench, sandbox: str
) -> None:
    plays = {"make it red": [Say("Red, then.")], "shed": [Say("Blue it is.")]}
    async with ModelServer(plays) as model:
        hire(bench, sandbox, model)
        bench.configure(TALKED, "config/workflows/talked.toml")
        async with bench.running() as live:
            await live.say('/add "Paint the shed" --workflow talked', "G-1")
            await live.say("/reject 1 make it red", "G-2")
            await live.say("/approve G-2", "TASK-001 done")
        told = model.requests[1]["messages"][0]["content"]
    parts = [told.find(words) for words in ("Paint the shed", "Blue it is.", "make it red")]
    assert sorted(parts) == parts and parts[0] >= 0, told


async def test_it_outlives_the_bot(bench: Bench, sandbox: str) -> None:
    async with ModelServer({"shed": [Say("Paint it blue.", pause=4.0)]}) as model:
        hire(bench, sandbox, model)
        async with bench.running() as live:
            await live.say(ADD)
            await live.until(lambda: model.requests, "the call")
            live.send(signal.SIGKILL)
        async with bench.running() as live:
            await live.told("Paint it blue.")
        assert len(model.requests) == 1


async def test_a_refusal_fails_the_task_in_the_providers_words(
    bench: Bench, sandbox: str
) -> None:
    refusal = Fail(401, "authentication_error", "invalid x-api-key")
    async with ModelServer({"shed": [refusal]}) as model:
        hire(bench, sandbox, model)
        async with bench.running() as live:
            await live.say(ADD, "TASK-001 failed", "refused (401): invalid x-api-key")


async def test_the_workflow_of_the_docs_serves_it_and_the_packaged_one_does_not(
        bench: Bench) -> None:
    docs = (ROOT / "docs/agents.md").read_text()
    (shown,) = re.findall(r'```toml\n(name = "planned"\n.*?)```', docs, re.DOTALL)
    async with ModelServer({"shed": [Say("A plan.")]}) as model:
        hire(bench, "host", model)
        bench.configure(shown, "config/workflows/planned.toml")
        async with bench.running() as live:
            await live.say('/add "Paint" --agent thinker', "thinker is one call of a model and "
                           "changes no files: name another --agent")
            await live.say('/add "Paint"', "TASK-001", "Ready, but claude is disabled")
            await live.say('/add "Paint the shed" --workflow planned', "TASK-002")
            await live.told("A plan.")
    assert bench.value("SELECT count(*) FROM sessions WHERE task_id = 1") == 0


def _everything(folder: Path) -> str:
    """All that is kept, but for the order of the attempt, which holds its environment."""
    files = [path for path in folder.rglob("*") if path.is_file() and "order" not in path.name]
    return "".join(path.read_bytes().decode(errors="replace") for path in files)
