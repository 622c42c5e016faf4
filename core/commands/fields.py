"""A task's fields as options give them: checked, and as values."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from core import planning
from core.commands import amounts
from core.commands.desk import Desk
from core.commands.grammar import task_id
from core.errors import Unclear
from core.model import Agent

LONGEST_TITLE = 300
_LONGEST_WORD = 200
LABELS = {
    "tag": "tag",
    "skill": "skill",
    "prefer": "preferred",
    "lang": "language",
    "touches": "touches",
}
"""An option, and the kind of label that it gives."""

_COMMA = re.compile(r",(?![^{]*\})")
"""Between two values; not inside of {}."""
_LIST = re.compile(r"\{[^{}]*,")

Criteria = tuple[tuple[str, str | None], ...]


def title(words: Sequence[str]) -> str:
    """The words as one title; raises Unclear where it is too long."""
    text = " ".join(words).strip()
    if len(text) > LONGEST_TITLE:
        raise Unclear(
            f"That title has {len(text)} characters, {LONGEST_TITLE} fit. Put the rest "
            "on the next lines: they are the description."
        )
    return text


def body(text: str) -> tuple[str, Criteria]:
    """The description, and its `- [ ]` lines as acceptance criteria: text and command."""
    boxes, rest = [], []
    for line in text.splitlines():
        box = re.match(r"^\s*[-*]\s*\[[ xX]?\]\s*(.+)$", line)
        if box is None:
            rest.append(line)
            continue
        inside = re.search(r"`([^`]+)`", box[1])
        boxes.append((box[1].strip(), inside[1] if inside else None))
    return "\n".join(rest).strip(), tuple(boxes)


def raw(name: str, text: str) -> bytes:
    """What a task's raw-input.md holds: its words as given."""
    return (f"# {name}\n\n{text}\n" if text else f"# {name}\n").encode()


def labels(many: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """The labels given, by kind, each once, several in one with commas; `none` alone means none
    of that kind. Raises Unclear."""
    found = {}
    for option, kind in LABELS.items():
        if option not in many:
            continue
        said = (one for value in many[option] for one in _COMMA.split(value) if one.strip())
        values = tuple(dict.fromkeys(word(value, f"--{option}") for value in said))
        if not values:
            raise Unclear(f"--{option} needs a value, or none.")
        if kind == "touches" and values != ("none",):
            _can_match(values)
        found[kind] = () if values == ("none",) else values
    return found


def _can_match(globs: Sequence[str]) -> None:
    """Raises Unclear for what no file of a repository can ever match."""
    for glob in globs:
        if why := _why_none(glob):
            raise Unclear(f"--touches `{glob[:60]}` {why}.")


def _why_none(glob: str) -> str | None:
    parts = glob.split("/")
    if glob.startswith(("/", "~")):
        return "begins outside: say it from the repository's root, for instance src/*.py"
    if ".." in parts:
        return "leads out of the repository: say it from its root, for instance src/*.py"
    if any(part.rfind("[") > part.rfind("]") for part in parts):
        return "has a [ that is never closed"
    return "has a list in {}: say each by itself" if _LIST.search(glob) else None


def word(text: str, what: str) -> str:
    """One line that isn't too long; raises Unclear."""
    if len(text) > _LONGEST_WORD or not text.isprintable():
        raise Unclear(f"{what} takes a short word, at most {_LONGEST_WORD} characters.")
    return text.strip()


def budget(said: Sequence[str]) -> tuple[int | None, float | None]:
    """What several `--budget` say together; raises Unclear where two say the same."""
    tokens: int | None = None
    usd: float | None = None
    for one in said:
        more, money = amounts.budget(one)
        if (more and tokens) or (money and usd):
            raise Unclear("--budget was said twice: once for money and once for tokens.")
        tokens, usd = tokens or more, usd or money
    return tokens, usd


def ids(text: str) -> tuple[int, ...]:
    """`12,13` or `12 13`, each once; raises Unclear."""
    return tuple(dict.fromkeys(task_id(part) for part in re.split(r"[,\s]+", text) if part))


def agent_for(desk: Desk, name: str, run: str | None) -> Agent:
    """The agent of that name, if it takes tasks with (or without) a given command."""
    agent = desk.house.agent(name)
    if run is None and planning.runs_only_given_commands(agent):
        raise Unclear(f"{agent.name} only runs commands: say --run COMMAND too.")
    if run is not None and not planning.runs_only_given_commands(agent):
        raise Unclear(f"{agent.name} takes no --run commands: leave --run or --agent away.")
    return agent
