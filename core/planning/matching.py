"""Who fits a step, and how well."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from core.model import Agent, Step

PREFERRED, LANGUAGES, RECORD, LOAD = 40, 15, 25, 20
"""What makes up a score of 100 (model.md, rule 3)."""


@dataclass(frozen=True, slots=True)
class Needs:
    """What a step of a task asks of an agent. `command`: it is a command to be run, and needs
    an agent that runs commands. `terminal`: a person is to type to it (whether one can, its
    driver knows)."""

    skills: frozenset[str] = frozenset()
    preferred: frozenset[str] = frozenset()
    languages: frozenset[str] = frozenset()
    command: bool = False
    terminal: bool = False

    @property
    def words(self) -> str:
        """The requirements, for people: `python, sql`; empty when there are none."""
        return ", ".join([*sorted(self.skills), *sorted(self.languages)])


@dataclass(frozen=True, slots=True)
class Record:
    """How an agent has done on a lane: sessions that brought a result, and that didn't."""

    completed: int = 0
    failed: int = 0

    @property
    def share(self) -> float:
        """The share that went well, drawn to one half while little is known."""
        return (self.completed + 1) / (self.completed + self.failed + 2)


@dataclass(frozen=True, slots=True)
class Match:
    """How well an agent fits: `score` is 0 for one that isn't `eligible`, else 1 to 100.

    `why_not` says why it can't take the step now: for want of something (not eligible), or
    because it has no room (`free` is False). `because` explains the score.
    """

    agent: Agent
    score: int
    why_not: str | None = None
    eligible: bool = True
    free: bool = True
    because: str = ""
    matched: tuple[str, ...] = ()
    preferred: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    missing_languages: tuple[str, ...] = ()


def runs_only_given_commands(agent: Agent) -> bool:
    """A `command` agent without a command of its own: it takes `--run` tasks, no others."""
    return agent.driver == "command" and not agent.options.get("command")


def only_thinks(agent: Agent, step: Step) -> bool:
    """A `model` agent before a step that is to change files: it has no tools for that."""
    return agent.driver == "model" and step.writes_code and step.checked


def match(agent: Agent, step: Step, needs: Needs, load: int, record: Record | None = None) -> Match:
    """Judge one agent for one step. `load`: how many sessions it holds now; `record`: how it
    has done on the task's lane."""
    missing = tuple(sorted(needs.skills - agent.skills))
    unknown = tuple(sorted(needs.languages - agent.languages))
    details = (
        tuple(sorted(needs.skills & agent.skills)),
        tuple(sorted(needs.preferred & agent.skills)),
        tuple(sorted(needs.languages & agent.languages)),
        missing,
        unknown,
    )
    why_not = _obstacle(agent, step, needs, missing, unknown)
    if why_not is not None:
        return Match(agent, 0, why_not, False, load < agent.max_concurrent_tasks, "", *details)
    score, because = _score(agent, needs, load, record or Record())
    free = load < agent.max_concurrent_tasks
    busy = None if free else f"{agent.name} is busy"
    return Match(agent, score, busy, True, free, because, *details)


def _score(agent: Agent, needs: Needs, load: int, record: Record) -> tuple[int, str]:
    preferred = needs.preferred & agent.skills
    share = len(preferred) / len(needs.preferred) if needs.preferred else 1.0
    # Of two that know the language the one who knows little else goes first.
    special = len(needs.languages) / len(agent.languages) if needs.languages else 1.0
    room = max(0.0, 1 - load / agent.max_concurrent_tasks)
    score = PREFERRED * share + LANGUAGES * special + RECORD * record.share + LOAD * room
    words = [", ".join(sorted((needs.skills | needs.languages) & (agent.skills | agent.languages)))]
    if needs.preferred:
        words.append(f"{len(preferred)} of {len(needs.preferred)} preferred")
    if tried := record.completed + record.failed:
        words.append(f"{record.completed} of {tried} went well on this lane")
    words.append(f"{load} of {agent.max_concurrent_tasks} places taken" if load else "free")
    return max(1, min(100, round(score))), ", ".join(word for word in words if word)


def _obstacle(
    agent: Agent, step: Step, needs: Needs, missing: tuple[str, ...], unknown: tuple[str, ...]
) -> str | None:
    if not agent.enabled:
        return f"{agent.name} is disabled"
    if not agent.does(step.type):
        return f"{agent.name} does no `{step.type}` steps"
    if only_thinks(agent, step):
        return f"{agent.name} is one call of a model and changes no files"
    if runs_only_given_commands(agent) and not needs.command:
        return f"{agent.name} only runs commands: /add TITLE --run COMMAND"
    if needs.command and not runs_only_given_commands(agent):
        return f"{agent.name} takes no --run commands"
    lacks = [f"lacks {', '.join(missing)}"] if missing else []
    lacks += [f"doesn't know {', '.join(unknown)}"] if unknown else []
    return f"{agent.name} {' and '.join(lacks)}" if lacks else None


def best(matches: Iterable[Match]) -> Match | None:
    """The best fit with room, by score, then by name; None when nobody fits."""
    fitting = [found for found in matches if found.why_not is None]
    return min(fitting, key=lambda found: (-found.score, found.agent.name), default=None)


def ranked(matches: Iterable[Match]) -> list[Match]:
    """Those that fit first, by score and name; then the others by name."""
    return sorted(matches, key=lambda found: (-found.score, found.agent.name))


def lacking(matches: Iterable[Match], needs: Needs) -> str | None:
    """Why nobody at all fits, for people; None when somebody does (though busy perhaps)."""
    found = list(matches)
    if any(one.eligible for one in found):
        return None
    asked = f"it asks for {needs.words}" if needs.words else ""
    # An agent for commands is beside the point where no command was given, and the reverse.
    reasons = [one.why_not for one in found if one.why_not and "commands" not in one.why_not] or [
        "no agent here takes such a step"
    ]
    return "; ".join(filter(None, (asked, *reasons[:3])))
