"""Sessions by chat: spawned, looked at, typed to, ended."""

from __future__ import annotations

from tests.flows.bench import Bench

TALKER = """
[agents.talker]
driver = "command"
sandbox = "host"
types = ["talk"]
options = { command = "sh -c 'test -t 0 && echo at a terminal; read word; echo heard $word; read word; echo over'" }
[agents.maker]
driver = "command"
sandbox = "host"
types = ["make"]
options = { command = "sh -c 'cat {prompt_file} > made.txt'" }
[agents.mule]
driver = "command"
sandbox = "host"
types = ["wait"]
options = { command = "sh -c 'trap \\"\\" TERM; echo begun; while :; do sleep 0.1; done'" }
"""  # noqa: E501


def crew(bench: Bench) -> None:
    bench.configure(TALKER, "config/agents.toml")


def test_a_spawned_session_is_an_ephemeral_task_of_one_step(bench: Bench) -> None:
    crew(bench)
    ran = bench.up('/spawn make "Write this down" --agent maker', "/sessions", "/sessions --all",
                   "/sessions --agent maker --all", "/sessions --agent talker --all")
    ran.said("TASK-001 · Write this down", "Ready. maker takes it", "TASK-001 done",
             "Nothing runs now.", "Sessions", "completed", "completed",
             "There is no session of talker yet.")
    (task,) = bench.rows("SELECT * FROM tasks")
    assert (task["state"], task["ephemeral"], task["workflow"]) == ("done", 1, "spawn.make")
    assert bench.file("made.txt") is None, "nothing of it is merged"
    kept = bench.git("show", f"{task['branch']}:made.txt",
                     repo=next((bench.data / "repos").glob("*.git")))
    assert kept.startswith("Write this down")


def test_what_came_of_a_spawn_stands_on_its_card(bench: Bench) -> None:
    bench.configure(TALKER + """
[agents.thinker]
driver = "command"
sandbox = "host"
types = ["think"]
options = { command = "sh -c 'echo The shed should be green.'" }
""", "config/agents.toml")
    ran = bench.up('/spawn make "Write this down"')
    ran.said("TASK-001 done", "Write this down", "📝 made.txt +", "It is on the branch bullpen/",
             "merged nowhere: /show 1")
    bench.up('/spawn think "Which colour?"').said("TASK-002 done", "“The shed should be green.”")


def test_who_takes_no_line_at_a_terminal_says_so_at_once(bench: Bench) -> None:
    bench.configure(TALKER + """
[agents.shell]
driver = "command"
sandbox = "host"
[agents.codex]
driver = "codex"
sandbox = "host"
[agents.thinker]
driver = "model"
sandbox = "host"
model = "scripted"
[agents.thinker.environment]
ANTHROPIC_API_KEY = "sk-the-key-of-a-test"
""", "config/agents.toml")
    ran = bench.up("/spawn talk --interactive --agent codex",
                   "/spawn talk --interactive --agent thinker",
                   "/spawn talk --interactive --agent shell")
    ran.said("Codex has no talk at a terminal here", "A model call has no talk at a terminal",
             "shell has no program of its own to type to", "options.command")
    assert bench.states() == {}


CODEX = '''
[agents.codex]
driver = "codex"
sandbox = "host"
'''


async def test_at_a_terminal_goes_only_who_can_be_typed_to(bench: Bench) -> None:
    """The other one would fit better: it takes any step, and has nothing to do."""
    (bench.folder / "bin" / "codex").symlink_to("/bin/true")
    bench.configure(CODEX + 'skills = ["x"]\n' + TALKER.replace('"talk"', '"walk", "talk"'),
                    "config/agents.toml")
    async with bench.running() as live:
        await live.say("/spawn talk --interactive", "talker takes it", "talker is on it")
        await live.say("/spawn talk --interactive", "Whoever fits is busy: talker is busy")
        await live.say("/candidates 2", "codex doesn't fit: codex can't be typed to at a terminal")
        await live.say("/assign 2 codex", "It can't go to codex: codex can't be typed to")


def test_where_nobody_can_be_typed_to_nothing_is_begun(bench: Bench) -> None:
    (bench.folder / "bin" / "codex").symlink_to("/bin/true")
    bench.configure(CODEX + '[agents.claude]\ndriver = "claude"\nsandbox = "host"\n'
                    'options = { program = "no-such-claude" }\n', "config/agents.toml")
    bench.up("/spawn talk --interactive").said(
        "Nobody here can be typed to at a terminal: Claude Code is not at no-such-claude")
    deaf = CODEX + CODEX.replace("codex]", "claude]")
    bench.configure(deaf, "config/agents.toml")
    bench.up("/spawn talk --interactive").said(
        "Nobody here can be typed to at a terminal: claude can't be typed to at a terminal; "
        "codex can't be typed to at a terminal; shell only runs commands: ")
    bench.configure(deaf + TALKER, "config/agents.toml")
    bench.up("/agent disable talker", "/spawn talk --interactive").said(
        "Nobody here can be typed to at a terminal: talker is disabled: /agent enable talker.")
    assert bench.states() == {}


def test_a_type_that_nobody_names_is_told(bench: Bench) -> None:
    crew(bench)
    bench.up("/pause", '/spawn nosuchtype "Look around"', '/spawn make "Write"').said(
        "TASK-001 · Look around", "names the type `nosuchtype` (they name ", "make, talk, wait")
    ran = bench.up('/spawn make "Write"')
    assert "names the type" not in ran.out


def test_who_could_do_it_and_is_not_installed_is_named(bench: Bench) -> None:
    """The shipped crew on a machine without its program; nobody names the types that it does."""
    ran = bench.up("/pause", '/spawn research "Look around"', "/resume", "/task 1")
    ran.said("names the type `research` (they name ", "TASK-001 waits: ", "Claude Code is not")
    assert "takes such a step" not in ran.out


def test_one_session_with_all_there_is_to_know(bench: Bench) -> None:
    crew(bench)
    bench.up('/spawn make "Write this down"')
    name = bench.value("SELECT id FROM sessions")
    ran = bench.up(f"/session {name}", "/session", "/session nobody", "/session 1", "/session 2",
                   '/add "Wait" --draft', "/session 2")
    ran.said(f"{name} · completed", "TASK-001 Write this down", "agent: maker, command",
             "sandbox: host", "attempts: 1: status 0", "Which?", "No session `nobody`",
             f"{name} · completed", "No task 2.", "TASK-002 · Wait",
             "TASK-002 has no session yet: nobody has begun it.")


def test_each_mistake_of_a_spawn_is_one_line_and_starts_nothing(bench: Bench) -> None:
    crew(bench)
    before = bench.up("/status") and bench.counts()
    said = bench.up("/spawn", "/spawn make", "/spawn Make! x", "/spawn make x --agent nobody",
                    "/spawn talk x --agent maker", "/spawn make x --worktree nowhere")
    said.said("Start whom? /spawn TYPE", "What is it to do?", "`Make!` is no type of step",
              "No agent `nobody`", "It can't go to maker", "No worktree `nowhere`")
    assert bench.counts() | {"events": 0} == before | {"events": 0}


async def test_at_a_terminal_a_line_is_typed_and_it_ends_by_itself(bench: Bench) -> None:
    crew(bench)
    async with bench.running() as live:
        await live.say("/spawn talk --interactive --agent talker", "talker is on it")
        await live.until(lambda: "at a terminal" in bench.output(), "its first words")
        await live.say("/say 1 apples", "Told talker")
        await live.until(lambda: "heard apples" in bench.output(), "its answer")
        await live.say("/session " + bench.value("SELECT id FROM sessions"), "at a terminal")
        await live.say("/say 1 enough", "TASK-001 done")
    assert bench.states() == {1: "done"}
    assert bench.value("SELECT outcome FROM sessions") == "completed"


async def test_what_is_typed_to_ends_with_the_task(bench: Bench) -> None:
    crew(bench)
    async with bench.running() as live:
        await live.say("/spawn talk --interactive", "talker is on it")
        await live.until(lambda: "at a terminal" in bench.output(), "its first words")
        await live.say("/done 1", "marked done")
        await live.until(lambda: bench.value("SELECT state FROM sessions") == "terminated", "over")
    assert bench.states() == {1: "done"}


async def test_sure_waits_for_nobody(bench: Bench) -> None:
    crew(bench)
    async with bench.running(BULLPEN_LIMITS__GRACE_SECONDS="3600") as live:
        await live.say('/spawn wait "Stand there"', "mule is on it")
        await live.until(lambda: "begun" in bench.output(), "its first words")
        await live.say("/kill 1 --sure", "TASK-001 killed.")
        await live.until(lambda: bench.value("SELECT state FROM sessions") == "terminated", "over")
    assert bench.value("SELECT exit_signal FROM attempts") == 9


async def test_what_goes_on_is_told_what_else_waits_for_its_agent(bench: Bench) -> None:
    crew(bench)
    async with bench.running() as live:
        await live.say('/spawn wait "Stand there"', "mule is on it")
        await live.until(lambda: "begun" in bench.output(), "its first words")
        await live.say('/spawn wait "Stand here" --agent mule', "TASK-002")
        await live.say("/pause 1", "TASK-001 is paused")
        await live.say("/pause", "The queue is paused")
        await live.say("/resume 1", "TASK-001 goes on", "Ready for mule, too: TASK-002")


async def test_what_goes_on_only_later_is_told_what_its_agent_does_first(bench: Bench) -> None:
    crew(bench)
    async with bench.running() as live:
        await live.say('/spawn wait "Stand there"', "mule is on it")
        await live.until(lambda: "begun" in bench.output(), "its first words")
        await live.say("/pause 1", "TASK-001 is paused")
        await live.say('/spawn wait "Stand here" --agent mule', "TASK-002", "mule is on it")
        await live.say("/resume 1", "TASK-001 goes on", "mule is busy with TASK-002")


async def test_an_agent_that_can_be_interrupted_is_asked_before_it_is_told_to_go(
    bench: Bench,
) -> None:
    script = bench.folder / "script.json"
    script.write_text('[{"say": "I begin"}, {"sleep": 600}]')
    bench.install_claude()
    bench.configure('[agents.claude]\ndriver = "claude"\n'
                    f'environment = {{ FAKE_CLAUDE_SCRIPT = "{script}" }}\n', "config/agents.toml")
    async with bench.running(BULLPEN_LIMITS__GRACE_SECONDS="3600",
                             BULLPEN_LIMITS__INTERRUPT_SECONDS="3600") as live:
        await live.say('/add "Write" --agent claude', "claude is on it")
        await live.until(lambda: "I begin" in bench.output(), "its first words")
        await live.say("/kill 1", "TASK-001 killed.")
        await live.until(lambda: bench.value("SELECT state FROM sessions") == "terminated", "over")
    (end,) = bench.rows("SELECT exit_status, exit_signal, exit_reason FROM attempts")
    assert tuple(end) == (1, None, None), "it ended by itself"
    assert "interrupted" in bench.output()
