"""Pure decisions: values in, values out."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from core.model import Agent, Step, Task


@dataclass(frozen=True, slots=True)
class Needs:
    """What a task asks of an agent."""

    skills: frozenset[str] = frozenset()
    preferred: frozenset[str] = frozenset()
    languages: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Match:
    """How well an agent fits: `score` 0 to 100, and `why_not` when it doesn't fit at all."""

    agent: Agent
    score: int
    why_not: str | None = None


def runs_only_given_commands(agent: Agent) -> bool:
    """A `command` agent without a command of its own: it takes `--run` tasks, no others."""
    return agent.driver == "command" and not agent.options.get("command")


def match(agent: Agent, task: Task, step: Step, needs: Needs, load: int) -> Match:
    """Judge one agent for one step. `load`: how many sessions it holds now."""
    why_not = _obstacle(agent, task, step, needs)
    if why_not is not None:
        return Match(agent, 0, why_not)
    if load >= agent.max_concurrent_tasks:
        return Match(agent, 0, f"{agent.name} is busy")
    wanted = needs.preferred
    skills = len(wanted & agent.skills) / len(wanted) if wanted else 1.0
    free = 1 - load / agent.max_concurrent_tasks
    return Match(agent, max(1, round(60 * skills + 40 * free)))


def _obstacle(agent: Agent, task: Task, step: Step, needs: Needs) -> str | None:
    if not agent.enabled:
        return f"{agent.name} is disabled"
    if not agent.does(step.type):
        return f"{agent.name} does no `{step.type}` steps"
    if runs_only_given_commands(agent) and not task.run_command:
        return f"{agent.name} only runs commands: /add TITLE --run COMMAND"
    if task.run_command and not runs_only_given_commands(agent):
        return f"{agent.name} takes no --run commands"
    if lacking := sorted(needs.skills - agent.skills):
        return f"{agent.name} lacks {', '.join(lacking)}"
    if lacking := sorted(needs.languages - agent.languages):
        return f"{agent.name} doesn't know {', '.join(lacking)}"
    return None


def best(matches: Iterable[Match]) -> Match | None:
    """The best fit, by score, then by name; None when nobody fits."""
    fitting = [found for found in matches if found.why_not is None]
    return min(fitting, key=lambda found: (-found.score, found.agent.name), default=None)


def room(max_concurrent: int, running: Collection[str]) -> int:
    """How many more processes may be started."""
    return max(0, max_concurrent - len(running))
