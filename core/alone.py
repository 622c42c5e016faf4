"""A step that stands alone: the workflow of what is spawned (model.md, rule 16)."""

from __future__ import annotations

import re

from core.model import Step, StepKind, Workflow

PREFIX = "spawn."
_KIND = re.compile(r"[a-z][a-z0-9-]{0,39}")


def is_kind(word: str) -> bool:
    """Whether it can be a step's type."""
    return _KIND.fullmatch(word) is not None


def one_step(name: str) -> Workflow | None:
    """The workflow `spawn.TYPE`: one step of that type; then it is done. What an agent changes is
    on the task's branch, judged by nobody and merged by nobody."""
    kind = name.removeprefix(PREFIX)
    if kind == name or not is_kind(kind):
        return None
    step = Step(
        id="work",
        kind=StepKind.AGENT,
        outcomes={"default": "done"},
        type=kind,
        prompt="alone",
        writes_code=True,
        checked=False,
    )
    return Workflow(name, f"{kind}, alone", (step,))
