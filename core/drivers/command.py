"""Any command line as an agent: what it prints is its log, its exit status the verdict."""

from __future__ import annotations

import difflib
import re
import shlex
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from core.drivers import known
from core.drivers.common import Deaf
from core.drivers.ending import ending
from core.errors import Unclear
from core.model import AgentEvent, AgentEventKind
from core.ports import Brief, Exit, Line, Plan, Verdict

_PLACES = ("task", "title", "prompt_file", "workspace", "artifacts")
_PLACE = re.compile(rf"\{{({'|'.join(_PLACES)})\}}")
_BRACES = re.compile(r"(?<!\$)\{([a-z_]+)\}")


def split_command(text: str) -> tuple[str, ...]:
    """A command line as its arguments, by the shell's rules of quoting but without a shell.

    Raises Unclear for a quote that is never closed, and for a line without a word.
    """
    try:
        words = tuple(shlex.split(text))
    except ValueError as error:
        raise Unclear(
            f"That command can't be read ({str(error).lower()}): {text.strip()[:200]} "
            "Close the quote, or put a backslash before it."
        ) from error
    if not words:
        raise Unclear('That command is empty. Give one, for instance --run "make test".')
    return words


_OPTIONS = {"command": known.command, "shell": known.flag}


class CommandDriver(Deaf):
    """Runs the task's own command (`--run`), or `options["command"]` (a line or a list).

    `{task}` `{title}` `{prompt_file}` `{workspace}` `{artifacts}` are filled in after the
    line was split, so that a value is always one argument. With `options["shell"] = true`
    the line goes to `/bin/sh`, and gets its values from the environment.
    """

    name = "command"
    can_resume = False
    reports_tools = False
    structured = False

    def faults(self, options: Mapping[str, Any], given: Collection[str]) -> Sequence[str]:
        return (*known.faults(options, _OPTIONS), *_misspelt(options.get("command")))

    def missing(self, options: Mapping[str, Any], here: bool = True) -> str | None:
        """One line when the configured program isn't on the PATH; a task's own is tried."""
        command = options.get("command")
        if not command:
            return None
        try:
            program = "/bin/sh" if options.get("shell") else _words(command)[0]
        except Unclear as error:
            return str(error)
        if not here or "{" in program or shutil.which(program):
            return None
        return f"{program} is not installed, or not on the PATH: install it or give its full path"

    def plan(self, brief: Brief) -> Plan:
        """Raises Unclear when there is no command, or it can't be split."""
        command = brief.command or brief.options.get("command")
        if not command:
            raise Unclear(
                f"{brief.task} has no command to run. Give the task one with --run, "
                "or the agent one with options.command in agents.toml."
            )
        argv = _shell(command) if brief.options.get("shell") else _filled(command, brief)
        env = {f"BULLPEN_{name.upper()}": value for name, value in _values(brief).items()}
        typed = brief.interactive
        return Plan(argv=argv, env=env, input_open=typed, pty=typed)

    def parse(self, line: Line) -> Sequence[AgentEvent]:
        return (AgentEvent(AgentEventKind.TEXT, line.text),)

    def verdict(self, last: AgentEvent | None, end: Exit | None) -> Verdict:
        """By the exit alone: a command says no more than that."""
        if end is None:
            return Verdict(False, "it has not ended yet")
        reason = ending(end)
        return Verdict(reason is None, reason)


def _misspelt(command: object) -> Iterator[str]:
    """Places that are none, but nearly; braces with other words in them are the command's."""
    for word in dict.fromkeys(_BRACES.findall(str(command))):
        near = difflib.get_close_matches(word, _PLACES, 1, 0.7)
        if near and word not in _PLACES:
            meant = f"did you mean {{{near[0]}}}?"
            yield f"options.command: nothing is filled in for {{{word}}}; {meant}"


def _words(command: object) -> tuple[str, ...]:
    if isinstance(command, str):
        return split_command(command)
    if isinstance(command, Sequence) and command and all(isinstance(w, str) for w in command):
        return tuple(command)
    raise Unclear("options.command must be a command line, or a list of its words.")


def _filled(command: object, brief: Brief) -> tuple[str, ...]:
    values = _values(brief)
    return tuple(_PLACE.sub(lambda m: values[m[1]], word) for word in _words(command))


def _shell(command: object) -> tuple[str, ...]:
    if not isinstance(command, str):
        raise Unclear("options.command must be one line of text where options.shell is true.")
    # A value spliced into a shell line could be run; an expanded variable never is.
    line = _PLACE.sub(lambda m: f'"${{BULLPEN_{m[1].upper()}}}"', command)
    return ("/bin/sh", "-c", line)


def _values(brief: Brief) -> dict[str, str]:
    """What a command may ask for. A NUL can be in no argument and no variable."""
    values = {
        "task": brief.task,
        "title": brief.title,
        "prompt_file": str(brief.prompt_file),
        "workspace": str(brief.workspace),
        "artifacts": str(brief.artifacts),
    }
    return {name: value.replace("\0", "") for name, value in values.items()}
