"""An agent's fields: as options of /agent, as keys of `agents.toml`, and back as words."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, get_args

from core.commands.grammar import Command, Option
from core.errors import Unclear
from core.model import AgentRole, DriverName, SandboxName


def _either(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"


OPTIONS = (
    Option("driver", help=f"how to talk to it: {_either(get_args(DriverName))}"),
    Option("role", help=_either(list(AgentRole))),
    Option("type", many=True, help="a kind of step it takes"),
    Option("mode", help="ephemeral or persistent"),
    Option("model", help="what its driver is told"),
    Option("account", help="whose usage limit it shares"),
    Option("sandbox", help=f"where it runs: {_either(get_args(SandboxName))}"),
    Option("skill", many=True, help="what it can do"),
    Option("lang", many=True, help="a language it knows"),
    Option("tag", many=True, help="a word for your own order"),
    Option("max", help="at most so many tasks at once"),
    Option("focus", help="a steward's: merge, health, reminder or ops"),
    Option("cron", many=True, help="when a steward acts: 0 * * * *"),
    Option("on", many=True, help="an event at which a steward acts: task.completed"),
    Option("budget", many=True, help="what it may spend a day: 2usd, 200k, or both"),
    Option("env", many=True, help="not by chat: it belongs into agents.toml"),
)
_ONE = {
    "driver": "driver",
    "role": "role",
    "mode": "mode",
    "model": "model",
    "account": "account",
    "sandbox": "sandbox",
    "max": "max_concurrent_tasks",
    "focus": "focus",
}
_MANY = {"type": "types", "skill": "skills", "lang": "languages", "tag": "tags"}
_AS_OPTION = {key: option for option, key in {**_ONE, **_MANY}.items()}
_TRIGGER = re.compile(r"triggers\.\d+\.(cron|event)")
_NEVER = (
    "An agent's environment and its secrets are not said in a chat: write them into "
    "config/agents.toml, then /reload."
)


def fields(command: Command) -> dict[str, Any]:
    """What the options say, by the keys of `agents.toml`; `none` empties a field. Raises
    Unclear."""
    if "env" in command.many:
        raise Unclear(_NEVER)
    found: dict[str, Any] = {
        _ONE[name]: None if value == "none" else value
        for name, value in command.options.items()
        if name in _ONE
    }
    for name, key in _MANY.items():
        if name in command.many:
            found[key] = _several(command.many[name])
    triggers = [{"cron": line} for line in _several(command.many.get("cron", ()))]
    triggers += [{"event": name} for name in _several(command.many.get("on", ()))]
    if {"cron", "on"} & set(command.many):
        found["triggers"] = triggers
    budget = _several(command.many.get("budget", ()))
    if "budget" in command.many:
        found["budget"] = " ".join(budget) or None
    return found


def _several(values: tuple[str, ...]) -> list[str]:
    """Each value; lists may also be said with commas, but for cron lines, which have a space."""
    words = [
        word.strip() for value in values for word in ([value] if " " in value else value.split(","))
    ]
    return [] if words == ["none"] else [word for word in words if word]


def by_option(faults: str, changes: Mapping[str, Any]) -> str:
    """Faults that begin with a key, in one line that speaks of options."""
    return "; ".join(_by_option(line, changes) for line in faults.splitlines()) + "."


def _by_option(line: str, changes: Mapping[str, Any]) -> str:
    key, colon, rest = line.partition(": ")
    trigger = _TRIGGER.fullmatch(key)
    if trigger:
        return f"{'--cron' if trigger[1] == 'cron' else '--on'}: {rest}"
    option = _AS_OPTION.get(key.partition(".")[0])
    if key.startswith("triggers"):
        option = "on" if any("event" in one for one in changes["triggers"]) else "cron"
    elif key.startswith("budget"):
        option = "budget"
    return f"--{option}{colon}{rest}" if option else line


def line(name: str, changes: Mapping[str, Any]) -> str:
    """The command that registers an agent with these fields."""
    words = [f"agent add {name}"]
    for key, value in changes.items():
        if key == "triggers":
            words += [
                f'--cron "{one["cron"]}"' if "cron" in one else f"--on {one['event']}"
                for one in value
            ]
        elif isinstance(value, list):
            words += [f"--{_AS_OPTION[key]} {_quoted(one)}" for one in value]
        elif key in _AS_OPTION and value is not None:
            words.append(f"--{_AS_OPTION[key]} {_quoted(str(value))}")
        elif key == "budget" and value:
            words.append(f'--budget "{value}"')
    return " ".join(words)


def _quoted(word: str) -> str:
    return f'"{word}"' if " " in word else word
