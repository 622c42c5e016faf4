"""The crew by chat, settings by chat, and files read anew while work goes on."""

from __future__ import annotations

import re
import signal
from typing import get_args

from bot.app import _drivers
from core.model import DriverName, SandboxName
from tests.flows.bench import Bench

MAKES = 'options = { command = "true" }'
WAITS = """
[agents.slow]
driver = "command"
options = { command = "sh -c 'touch ../../../started-{task}; until test -e ../../../go; do sleep 0.05; done; echo made > made.txt'" }
"""  # noqa: E501


def settings(bench: Bench) -> dict[str, str]:
    return {row["key"]: row["value"] for row in bench.rows("SELECT key, value FROM settings")}


def overrides(bench: Bench) -> dict[str, str]:
    return {row["name"]: row["changes"] for row in bench.rows("SELECT name, changes FROM agents")}


# -- agents --------------------------------------------------------------------------------


def test_an_agent_registered_by_chat_works_and_is_there_after_a_restart(bench: Bench) -> None:
    ran = bench.up("/agent add runner --driver command --max 2 --skill make --budget 2usd",
                   "/agents", '/add "Make it" --run "true" --skill make', "/agent runner")
    ran.said("runner is registered: worker, command.", "3 agents", "runner", "idle",
             "Ready. runner takes it", "runner · blocked", "waits for a person",
             "Registered by chat", "skills: make",
             "capacity: 0 of 2 at work: has room", "tasks: 1 (1 review)",
             "today: 0.00 of 2 USD")
    assert bench.value("SELECT agent FROM sessions") == "runner"
    assert bench.value("SELECT agent FROM events WHERE type = 'agent.registered'") == "runner"
    bench.up("/agent runner").said("skills: make")


def test_a_taken_name_is_a_conflict_whoever_has_it(bench: Bench) -> None:
    ran = bench.up("/agent add shell --driver command", "/agent add mine --driver command",
                   "/agent disable mine", "/agent add mine --driver command --max 3")
    ran.said("There is an agent shell already: /agent shell shows it", "mine is registered",
             "mine is disabled", "There is an agent mine already")
    assert overrides(bench) == {"mine": '{"driver": "command", "enabled": false}'}


WRONG = {
    "/agent add x": "How to talk to it? /agent add x --driver claude",
    "/agent add X --driver claude": "a name is made of a-z, 0-9 and -",
    "/agent add set --driver claude": "call it otherwise",
    "/agent add x --driver claud": "--driver: must be 'command', 'claude', 'codex'",
    "/agent add x --driver claude --max 0": "--max: must be greater than 0",
    "/agent add x --driver claude --role steward": "--focus: is missing; a steward has merge",
    "/agent add x --driver claude --focus ops": "--focus: only a steward has one",
    '/agent add x --driver claude --cron "0 * * * *"': "--cron: only a steward has any",
    '/agent add x --driver claude --role steward --focus ops --cron "9 9"':
        "--cron: `9 9` is no cron line",
    "/agent add x --driver claude --on task.completed": "--on: only a steward has any",
    "/agent add x --driver claude --role steward --focus ops --on done": "--on: `done` is no event",
    "/agent add x --driver claude --budget 2eur": "--budget: no budget `2eur`",
    "/agent add x --driver claude --env KEY=1": "write them into config/agents.toml",
    "/agent set claude": "What of it? For instance /agent set claude --max 2",
    "/agent set nobody --max 2": "No agent `nobody`. There are: claude, shell.",
    "/agent set claude --max many": "--max: must be a whole number",
    "/agent set claude --max 100000000000000000000": "--max: must be less than or equal",
    "/agent enable": "One name: /agent enable coder-1",
    "/agent enable claude --max 2": "/agent enable takes only a name",
    "/agent enabel claude": "Did you mean /agent enable claude?",
    "/agent claude --max 2": "To change it: /agent set claude",
    "/agent --max 2": "Whose? For instance /agent set coder-1 --max 2.",
    "/agent remove claude": "claude is of the files: take it out of agents.toml and /reload",
    "/agents --role boss": "--role is director, worker, steward",
    "/set queue.max_concurent 2": "Did you mean queue.max_concurrent?",
    "/set nonsense 2": "There is no setting `nonsense`. /set lists what there is.",
    "/set queue.max_concurrent -1": "queue.max_concurrent: must be greater than or equal to 0",
    "/set queue.max_concurrent many": "queue.max_concurrent: must be a whole number",
    "/set queue.max_concurrent 100000000000000000000": "max_concurrent: must be less than or equal",
    "/set retry.base_seconds 1e300": "retry.base_seconds: must be less than or equal to 86400",
    "/set limits.log_cap_bytes 99999999999999999999": "log_cap_bytes: must be less than or equal",
    "/set limits.wall_seconds inf": "limits.wall_seconds: must be a finite number",
    "/set timezone Mars/Base": "timezone: no timezone `Mars/Base`",
    "/set default_workflow fast": "default_workflow: no workflow `fast`; there are quick",
    "/set queue": "Which of them? queue.paused, queue.stop_on_failure, queue.max_concurrent.",
    "/set queue.paused true yes": "One key and one value: /set queue.max_concurrent 2",
}
"""What is typed, and what the answer holds."""


async def test_each_mistake_gets_one_line_and_changes_nothing(bench: Bench) -> None:
    async with bench.running() as live:
        await live.say("/agents", "2 agents")
        before = bench.counts()
        for line, words in WRONG.items():
            answer = (await live.say(line, words, "\n\n")).strip()
            assert len(answer.splitlines()[0]) < 400, answer
            assert bench.counts() == before, f"{line} changed something:\n{answer}"


def test_a_disabled_agent_starts_nothing_and_says_why(bench: Bench) -> None:
    bench.configure(f'[agents.only]\ndriver = "command"\nskills = ["x"]\n{MAKES}\n',
                    "config/agents.toml")
    ran = bench.up("/agent disable only", '/add "Do it" --skill x', "/agents", "/agent only",
                   "/candidates 1")
    ran.said("only is disabled: it starts nothing new.",
             "Ready, but only is disabled: /agent enable only.", "offline",
             "only · offline", "Changed by hand: enabled", "only can't work here: only is disabled")
    assert bench.states() == {1: "ready"}
    assert bench.value("SELECT count(*) FROM sessions") == 0
    bench.up("/status")
    assert bench.states() == {1: "ready"}, "not after a restart either"
    bench.up("/agent enable only").said("only is enabled.")
    assert bench.states() == {1: "review"}
    assert overrides(bench) == {}, "as in the file again, so nothing is kept"


def test_enabled_it_says_what_its_driver_or_its_sandbox_lacks(bench: Bench) -> None:
    bench.configure(f'[agents.boxed]\ndriver = "command"\nsandbox = "docker"\nenabled = false\n'
                    f'types = ["boxing"]\n{MAKES}\n'
                    '[agents.deaf]\ndriver = "codex"\nsandbox = "host"\nenabled = false\n'
                    'options = { program = "no-such-codex" }\n', "config/agents.toml")
    ran = bench.up("/agent enable boxed", "/agents", '/spawn boxing "Do it"',
                   "/agent enable deaf", "/agents")
    ran.said("boxed is enabled.", "It can't work yet: no image is configured",
             "agent", "boxed", "offline", "deaf", "boxed: no image is configured", "Ready, but",
             "deaf is enabled.", "It can't work yet: Codex is not at no-such-codex",
             "agent", "deaf", "offline", "deaf: Codex is not at no-such-codex")
    assert ".." not in ran.out, ran.out


def test_help_names_every_driver_and_sandbox_and_each_of_them_is_there(bench: Bench) -> None:
    drivers, places = get_args(DriverName), get_args(SandboxName)
    assert set(_drivers()) == set(drivers), "what is built in is named, and the reverse"
    bench.configure('[agents.d-model]\ndriver = "model"\nmodel = "m"\n'
                    'environment = { ANTHROPIC_API_KEY = "of-nobody" }\n', "config/agents.toml")
    told = [name for name in drivers if name != "model"]  # a key is not said in a chat
    ran = bench.up("/help agent", *(f"/agent add d-{name} --driver {name}" for name in told),
                   *(f"/agent add s-{name} --driver command --sandbox {name}" for name in places),
                   "/agents", "/agents --page 2")
    (driver,) = re.findall(r"--driver.* how to talk to it: (.*)", ran.out)
    (place,) = re.findall(r"--sandbox.* where it runs: (.*)", ran.out)
    assert re.split(r", | or ", driver) == list(drivers)
    assert re.split(r", | or ", place) == list(places)
    ran.said(*(f"d-{name} is registered" for name in told),
             *(f"s-{name} is registered" for name in places), "12 agents",
             "d-model")
    assert "not part of this version" not in ran.out


def test_what_is_sent_back_to_a_disabled_agent_says_that_it_waits(bench: Bench) -> None:
    ran = bench.up('/add "Make it" --run "true"', "/agent disable shell", "/reject 1 again")
    ran.said("G-1 sent back to shell.", "It waits: shell is disabled: /agent enable shell.")
    assert bench.states() == {1: "in_flight"}
    bench.up("/agent enable shell")
    assert bench.states() == {1: "review"}
    assert bench.value("SELECT count(*) FROM iterations") == 2


async def test_what_a_disabled_agent_works_on_goes_on(bench: Bench) -> None:
    bench.configure(WAITS, "config/agents.toml")
    async with bench.running() as live:
        await live.say('/add "Wait" --agent slow', "TASK-001")
        await live.until(lambda: list(bench.data.rglob("started-*")), "the agent's start")
        await live.say("/agent disable slow", "starts nothing new. 1 session of it may end.")
        await live.say("/agent remove slow", "slow is of the files")
        await live.say('/add "More" --agent slow', "slow is disabled")
        (bench.data / "go").touch()
        await live.told("TASK-001 is ready for you")
    assert bench.states() == {1: "review", 2: "ready"}


async def test_a_registered_agent_at_work_is_not_removed(bench: Bench) -> None:
    bench.configure(WAITS.replace("slow", "other"), "config/agents.toml")
    async with bench.running() as live:
        await live.say("/agent add mine --driver command --skill x", "mine is registered")
        await live.say('/add "Wait" --skill x --run "sleep 60"', "mine takes it")
        await live.until(lambda: bench.rows("SELECT 1 FROM sessions WHERE state = 'running'"),
                         "its session")
        await live.say("/agent mine", "mine · working", "1 of 1 at work: is full", "TASK-001 Wait")
        await live.say("/agent remove mine", "mine has 1 session not over yet: /agent disable mine")
        await live.say("/kill mine", "TASK-001")
        await live.until(lambda: bench.rows("SELECT 1 FROM sessions WHERE state = 'terminated'"),
                         "its end")
        await live.say("/agent remove mine", "mine is gone.",
                       "/agent add mine --driver command --skill x")
        await live.say("/agent mine", "No agent `mine`")


def test_more_room_for_an_agent_is_used_at_once(bench: Bench) -> None:
    """Two at once, each waiting for the other: with room for one only neither would end."""
    both = "sh -c 'touch ../../../{0}; until test -e ../../../{1}; do sleep 0.05; done'"
    bench.up("/agent set shell --max 1", "/set queue.max_concurrent 2", "/pause",
             f'/add "a" --run "{both.format("a", "b")}"',
             f'/add "b" --run "{both.format("b", "a")}"',
             "/agent set shell --max 2", "/resume")
    assert bench.states() == {1: "review", 2: "review"}


def test_reset_is_the_file_again(bench: Bench) -> None:
    ran = bench.up("/agent set shell --max 1 --model none --lang german", "/agent shell",
                   "/agent reset shell", "/agent shell", "/agent reset shell",
                   "/agent add mine --driver command", "/agent reset mine")
    ran.said("shell is changed: languages, max_concurrent_tasks, model.",
             "Changed by hand: languages, max_concurrent_tasks, model.", "languages: german",
             "0 of 1 at work",
             "shell is as in the file again.", "0 of 4 at work",
             "shell is as in the file already.",
             "mine is in no file, it was registered by chat: /agent remove mine")
    assert overrides(bench) == {"mine": '{"driver": "command"}'}


# -- settings ------------------------------------------------------------------------------


def test_nobody_at_once_then_two_and_it_is_kept(bench: Bench) -> None:
    bench.configure("[queue]\nmax_concurrent = 1\n")
    both = "sh -c 'touch ../../../{0}; until test -e ../../../{1}; do sleep 0.05; done'"
    ran = bench.up("/set queue.max_concurrent 0", f'/add "a" --run "{both.format("a", "b")}"',
                   f'/add "b" --run "{both.format("b", "a")}"', "/set", "/reload")
    ran.said("queue.max_concurrent is 0 now.", "Configured: 1.",
             "Ready, but nothing is started: /set queue.max_concurrent 1 lets one go on.",
             "max_concurrent 0 (file: 1)",
             "queue.max_concurrent is 0, configured 1: /set queue.max_concurrent default")
    bench.up("/status")
    assert bench.states() == {1: "ready", 2: "ready"}, "kept over the restart"
    bench.up("/set max_concurrent 2")
    assert bench.states() == {1: "review", 2: "review"}
    ran = bench.up("/set queue.max_concurrent default", "/set queue.max_concurrent",
                   "/set queue.max_concurrent default", "/set queue.max_concurrent 1000000000000")
    ran.said("as configured again: 1.", "queue.max_concurrent is 1, as configured.",
             "as configured already: 1.", "queue.max_concurrent is 1000000000000 now.")
    assert settings(bench) == {"queue.max_concurrent": "1000000000000"}


def test_paused_by_setting_is_paused(bench: Bench) -> None:
    ran = bench.up("/set queue.paused yes", '/add "a" --run "true"', "/set", "/resume", "/set")
    ran.said("queue.paused is true now.", "the queue is paused: /resume", "paused true",
             "paused false")
    assert bench.states() == {1: "review"}


def test_what_is_set_counts_at_once_everywhere(bench: Bench) -> None:
    bench.up("/set retry.failed 1", "/set retry.base_seconds 0", '/add "a" --run "false"',
             status=1)
    assert bench.value("SELECT attempts FROM tasks") == 1


async def test_a_long_pause_before_the_next_try_is_at_most_a_day(bench: Bench) -> None:
    async with bench.running(BULLPEN_RETRY__FAILED="1000000") as live:
        await live.say("/set retry.base_seconds 86400", "is 86400")
        await live.say('/add "a" --run false', "Tried again in 86400 s")


def test_what_does_not_fit_the_files_any_more_is_left_out_and_said(bench: Bench) -> None:
    bench.configure('[agents.bot]\ndriver = "claude"\nrole = "steward"\nfocus = "ops"\n',
                    "config/agents.toml")
    bench.up('/agent set bot --cron "0 * * * *"')
    bench.configure('[agents.bot]\ndriver = "claude"\n', "config/agents.toml")
    ran = bench.up("/agent bot", "/reload", "/agent reset bot", "/reload")
    ran.said("role: worker", "bot: what was changed by hand doesn't fit",
             "only a steward has any; this is a worker", "/agent reset bot",
             "bot is as in the file again")
    assert "doesn't fit" not in ran.out.rpartition("as in the file again")[2]


# -- reload --------------------------------------------------------------------------------


async def test_a_broken_file_changes_nothing_a_good_one_counts_while_work_goes_on(
    bench: Bench,
) -> None:
    bench.configure(WAITS, "config/agents.toml")
    async with bench.running() as live:
        await live.say('/add "Wait" --agent slow', "TASK-001")
        await live.until(lambda: list(bench.data.rglob("started-*")), "the agent's start")
        bench.configure('[agents.slow]\ndrver = "command"\n[agents.new]\ndriver = "x"\n',
                        "config/agents.toml")
        await live.say("/reload", "Nothing was loaded: 3 faults in the files.",
                       "agents.toml: agents.slow.driver: is missing",
                       "agents.toml: agents.slow.drver: unknown key; did you mean driver?",
                       "agents.toml: agents.new.driver: must be 'command', 'claude', 'codex'")
        await live.say("/agents", "3 agents", "slow", "working")
        bench.configure(f'[agents.new]\ndriver = "command"\n{MAKES}\n', "config/agents.toml")
        bench.configure("[queue]\nmax_concurrent = 2\n[api]\nport = 1\n")
        await live.say("/reload", "Loaded. What runs goes on.",
                       "Agents: new is new, slow is gone.",
                       "Settings: queue.max_concurrent 1 → 2.")
        await live.say('/add "Now" --agent new', "TASK-002")
        await live.until(lambda: bench.states()[2] == "review", "the new agent's work")
        (bench.data / "go").touch()
        await live.until(lambda: bench.states()[1] == "review", "the old agent's end")
        await live.say("/reject 1 once more", "TASK-001")
        await live.until(lambda: bench.states()[1] == "review"
                         and bench.value("SELECT count(*) FROM sessions WHERE task_id = 1") == 2,
                         "another agent's work")
    assert {row["agent"] for row in bench.rows("SELECT agent FROM sessions")} >= {"slow", "new"}


def test_everything_that_can_be_read_anew_is(bench: Bench) -> None:
    ran = bench.up("/reload")
    ran.said("Loaded.", "Nothing in the files is other than before.")


async def test_a_signal_reads_the_files_anew_too(bench: Bench) -> None:
    bench.as_shipped()
    async with bench.running() as live:
        await live.told("Bullpen is up")
        bench.configure('[agents.new]\ndriver = "command"\n', "config/agents.toml")
        live.send(signal.SIGHUP)
        await live.told("Agents: new is new.")
        await live.say("/agents", "3 agents")
        bench.configure("[agents", "config/agents.toml")
        live.send(signal.SIGHUP)
        await live.told("agents.toml: no valid TOML")
        await live.say("/agents", "3 agents")


async def test_a_new_secret_is_never_seen(bench: Bench) -> None:
    async with bench.running() as live:
        await live.told("Bullpen is up")
        bench.configure('[agents.new]\ndriver = "command"\n'
                        'environment = { API_KEY = "zebra-finch-77" }\n'
                        'options = { command = "sh -c \'echo $API_KEY; exit 1\'" }\n',
                        "config/agents.toml")
        await live.say("/reload", "new is new")
        await live.say('/add "Tell it" --agent new', "TASK-001 failed")
        await live.say("/logs 1", "[redacted]")
        assert "zebra-finch-77" not in live.screen
