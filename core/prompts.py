"""What an agent is told: templates, filled with one task's own words and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jinja2 import Environment, StrictUndefined, Template, TemplateError, TemplateSyntaxError

from core.errors import Broken, Unclear
from core.model import Change, Repo, Step, Task


@dataclass(frozen=True, slots=True)
class Place:
    """Where an agent works, hands over what it writes, and keeps what it wants to remember."""

    workspace: str
    artifacts: str
    memory: str | None = None


def apart(change: Change | None) -> list[str]:
    """A finding for each folder of the workspace that is no part of the work."""
    return [
        f"{name} is a repository of its own, so nothing in it is part of your work. If it is "
        f"to be, remove {name}/.git; else put it outside of this folder."
        for name in (change.apart if change is not None else ())
    ]


class Prompts:
    """Templates by name: a step's type, `any` for every other, `again` for a send-back, and
    `instructions` for what stands in AGENTS.md. Raises Unclear, a line for each that can't be
    read."""

    def __init__(self, templates: Mapping[str, str]) -> None:
        # Prompts are plain text for an agent, never HTML: nothing is to be escaped here.
        self._environment = Environment(
            undefined=StrictUndefined,
            autoescape=False,  # noqa: S701
            trim_blocks=True,
            lstrip_blocks=True,
        )
        faults: list[str] = []
        self._templates = {name: self._read(name, text, faults) for name, text in templates.items()}
        if faults:
            raise Unclear("\n".join(faults))

    def _read(self, name: str, text: str, faults: list[str]) -> Template:
        try:
            return self._environment.from_string(text)
        except TemplateSyntaxError as error:
            faults.append(f"prompts/{name}.md: line {error.lineno}: {error.message}")
            return self._environment.from_string("")

    def first(self, kind: str, task: Task, repo: Repo, criteria: Sequence[str]) -> str:
        """The first prompt of a step. Raises Broken when the template can't be filled."""
        return self._fill(
            kind if kind in self._templates else "any",
            task=task,
            repo=repo,
            criteria=list(criteria),
        )

    def again(self, who: str, reason: str, findings: Sequence[str] = ()) -> str:
        """What sends work back: who wants what."""
        return self._fill("again", who=who, reason=reason, findings=list(findings))

    def instructions(self, task: Task, step: Step, criteria: Sequence[str], place: Place) -> str:
        """The scoped words about one task and one step of it."""
        return self._fill(
            "instructions", task=task, step=step, criteria=list(criteria), place=place
        )

    def _fill(self, name: str, **values: object) -> str:
        try:
            return self._templates[name].render(**values).strip() + "\n"
        except TemplateError as error:
            raise Broken(f"The prompt `{name}` can't be filled: {error}.") from error
