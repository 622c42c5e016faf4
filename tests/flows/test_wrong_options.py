"""What is written wrong of an agent's driver is told when it is read, and not at the first task."""

from __future__ import annotations

import pytest

from tests.flows.bench import Bench

WRONG = {
    "a value": ('driver = "claude"', 'options = { permission_mode = "yolo" }',
                "options.permission_mode: must be one of acceptEdits, auto"),
    "a value nearly": ('driver = "claude"', 'options = { permission_mode = "acceptEdit" }',
                       "options.permission_mode: did you mean acceptEdits?"),
    "a key": ('driver = "claude"', 'options = { permision_mode = "plan" }',
              "options.permision_mode: unknown key; did you mean permission_mode?"),
    "a switch": ('driver = "command"', 'options = { command = "true", shel = true }',
                 "options.shel: unknown key; did you mean shell?"),
    "a word": ('driver = "command"', 'options = { command = "true", shell = "yes" }',
               "options.shell: must be true or false"),
    "a place": ('driver = "command"', 'options = { command = "lint {tusk}" }',
                "options.command: nothing is filled in for {tusk}; did you mean {task}?"),
    "a number": ('driver = "model"', 'options = { maxtokens = 5 }',
                 "options.maxtokens: unknown key; did you mean max_tokens?"),
    "an address": ('driver = "model"', 'options = { base_url = "ftp:/x" }',
                   "options.base_url: no address; for instance https://"),
    "no key": ('driver = "model"', 'model = "m"',
               "environment: has no ANTHROPIC_API_KEY, the key of its calls"),
    "a program": ('driver = "acp"', "options = { command = 7 }",
                  "options.command: must be a command line, or a list of its words"),
    "walls": ('driver = "codex"', 'options = { codex_sandbox = "none" }',
              "options.codex_sandbox: must be one of off, read-only, workspace-write"),
}


@pytest.mark.parametrize("name", WRONG)
def test_it_is_told_at_the_start(bench: Bench, name: str) -> None:
    driver, more, words = WRONG[name]
    bench.configure(f"[agents.one]\n{driver}\n{more}\n", "config/agents.toml")
    ran = bench.up(status=2)
    assert f"agents.toml: agents.one.{words}" in ran.out + ran.err, str(ran)


async def test_a_reload_tells_all_of_it_and_changes_nothing(bench: Bench) -> None:
    async with bench.running() as live:
        await live.say("/agents", "shell")
        both = "".join(f"[agents.{agent}]\n{driver}\n{more}\n" for agent, (driver, more, _) in
                       zip(("one", "two"), (WRONG["a key"], WRONG["a place"]), strict=True))
        bench.configure(both, "config/agents.toml")
        await live.say("/reload", "agents.one.options.permision_mode", "did you mean {task}?")
        await live.say("/agent one", "No agent `one`")


def test_a_change_by_chat_is_judged_by_the_new_driver(bench: Bench) -> None:
    bench.configure('[agents.one]\ndriver = "claude"\noptions = { permission_mode = "plan" }\n',
                    "config/agents.toml")
    bench.up("/agent set one --driver command").said(
        "options.permission_mode: unknown key; there are command, shell")


def test_what_is_right_and_what_is_a_command_of_its_own_is_taken(bench: Bench) -> None:
    bench.configure("""
[agents.one]
driver = "command"
options = { command = "awk '{print} {file}' {workspace}/README.md" }
[agents.two]
driver = "model"
model = "m"
options = { api = "openai", base_url = "http://127.0.0.1:11434/v1", key_variable = "" }
""", "config/agents.toml")
    bench.up("/agents").said("one", "two")
