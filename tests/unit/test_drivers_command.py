"""The command driver: how a line becomes arguments, and what a value can never do to it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.drivers.command import CommandDriver, split_command
from core.errors import Unclear
from core.ports import Brief
from tests.agent_bench import brief, play

DRIVER = CommandDriver()
ENV = {"PATH": os.defpath}
WORKSPACE = Path("/w/workspace")


def titled(title: str, workspace: Path = WORKSPACE, **more: Any) -> Brief:
    told = brief(workspace, **more)
    fields = {name: getattr(told, name) for name in told.__slots__}
    return Brief(**{**fields, "title": title})


def test_a_line_is_split_as_a_shell_would_quote_it() -> None:
    line = """sh -c 'echo hello > greeting.txt' "two words" back\\ slash"""
    assert split_command(line) == (
        "sh",
        "-c",
        "echo hello > greeting.txt",
        "two words",
        "back slash",
    )


@pytest.mark.parametrize("line", ["echo 'oops", 'say "no', "trailing\\", "", "   "])
def test_a_line_that_cannot_be_split_says_what_to_do(line: str) -> None:
    with pytest.raises(Unclear) as caught:
        split_command(line)
    assert "\n" not in str(caught.value)
    assert "Close the quote" in str(caught.value) or "--run" in str(caught.value)


def test_the_tasks_own_command_goes_before_the_agents() -> None:
    options = {"command": "make agent"}
    assert DRIVER.plan(brief(WORKSPACE, command="make task", options=options)).argv[1] == "task"
    assert DRIVER.plan(brief(WORKSPACE, options=options)).argv[1] == "agent"


def test_no_command_at_all_says_where_to_put_one() -> None:
    with pytest.raises(Unclear, match="--run"):
        DRIVER.plan(brief(WORKSPACE))


@pytest.mark.parametrize("command", [["make", 3], {"a": "b"}, 7])
def test_a_command_of_another_kind_is_refused(command: object) -> None:
    with pytest.raises(Unclear, match=r"options\.command"):
        DRIVER.plan(brief(WORKSPACE, options={"command": command}))


def test_places_are_filled_in() -> None:
    command = "agent {task} --in={prompt_file} {workspace} {artifacts} {unknown} {} '{title}!'"
    plan = DRIVER.plan(titled("A title", command=command))
    assert plan.argv == (
        "agent",
        "TASK-001",
        "--in=/w/prompt.md",
        "/w/workspace",
        "/w/artifacts",
        "{unknown}",
        "{}",
        "A title!",
    )


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_a_value_is_always_one_argument(title: str) -> None:
    line = DRIVER.plan(titled(title, command="echo {title} end"))
    words = DRIVER.plan(titled(title, options={"command": ["echo", "{title}", "end"]}))
    assert line.argv == words.argv == ("echo", title, "end")


@pytest.mark.parametrize("place", ["{title}", '"{title}"', '"a {title} b"', "'{title}'"])
async def test_a_value_is_never_run_by_the_shell(place: str, tmp_path: Path) -> None:
    title = """x'; touch one; "; touch two; $(touch three) `touch four` & touch five #"""
    told = titled(title, tmp_path, command=f"echo {place}; echo end", options={"shell": True})
    played = await play(DRIVER, told, ENV)
    assert played.verdict.ok, played.errors
    assert played.lines[-1].text == "end"
    assert list(tmp_path.iterdir()) == []
    assert place == "'{title}'" or "touch three" in played.lines[0].text


async def test_without_a_shell_nothing_is_expanded(tmp_path: Path) -> None:
    played = await play(DRIVER, brief(tmp_path, command="echo $HOME * ; touch x"), ENV)
    assert [line.text for line in played.lines] == ["$HOME * ; touch x"]


async def test_a_command_finds_its_task_in_the_environment(tmp_path: Path) -> None:
    line = "echo $BULLPEN_TASK $BULLPEN_PROMPT_FILE $BULLPEN_ARTIFACTS; cat"
    played = await play(DRIVER, brief(tmp_path, options={"command": line, "shell": True}), ENV)
    parent = tmp_path.parent
    assert [event.text for event in played.events] == [
        f"TASK-001 {parent}/prompt.md {parent}/artifacts"
    ]


@pytest.mark.parametrize(
    ("script", "ok", "reason"),
    [
        ("exit 0", True, None),
        ("exit 3", False, "exit status 3"),
        ("kill -9 $$", False, "ended by signal 9 (SIGKILL)"),
    ],
)
async def test_the_exit_is_the_verdict(
    script: str, ok: bool, reason: str | None, tmp_path: Path
) -> None:
    played = await play(DRIVER, brief(tmp_path, command=f"sh -c '{script}'"), ENV)
    assert (played.verdict.ok, played.verdict.reason) == (ok, reason)


def test_what_is_missing_is_looked_up_for_the_agents_own_command() -> None:
    assert DRIVER.missing({}) is None
    assert DRIVER.missing({"command": "sh -c true"}) is None
    assert DRIVER.missing({"command": "no-such-program | x", "shell": True}) is None
    assert "no-such-program" in str(DRIVER.missing({"command": "no-such-program x"}))
    assert "Close the quote" in str(DRIVER.missing({"command": "'oops"}))
