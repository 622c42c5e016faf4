"""Workflows from TOML: read, checked as a graph, and handed on as values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from config.faults import explain, nearest
from config.settings import Section
from config.sources import Layers, read_toml
from core.model import Step, StepKind, TaskState, Workflow

ENDS = ("done", "failed")
ACTIONS = ("merge",)


class StepTable(Section):
    """One `[[steps]]`."""

    id: str
    kind: StepKind
    outcomes: dict[str, str]
    name: str = ""
    type: str = "any"
    state: Literal["planning", "in_flight", "review"] | None = None
    prompt: str | None = None
    session: str | None = None
    fresh: bool = False
    writes_code: bool = False
    input: str | None = None
    output: str | None = None
    artifact: str | None = None
    command: str | None = None
    action: str | None = None

    def step(self) -> Step:
        fields = {key: getattr(self, key) for key in StepTable.model_fields}
        return Step(**(fields | {"state": TaskState(self.state or _STATES[self.kind])}))


_STATES = {
    StepKind.AGENT: "in_flight",
    StepKind.CHECK: "in_flight",
    StepKind.GATE: "review",
    StepKind.FORGE: "in_flight",
}


class WorkflowTable(Section):
    name: str
    title: str = ""
    steps: tuple[StepTable, ...]


def load_workflows(folders: Iterable[Path], faults: list[str]) -> tuple[Workflow, ...]:
    """`workflows/*.toml` of each folder in turn, later ones over earlier ones by name."""
    found: dict[str, Workflow] = {}
    for folder in folders:
        for file in sorted((folder / "workflows").glob("*.toml")):
            workflow = load_workflow(file, faults)
            if workflow is not None:
                found[workflow.name] = workflow
    return tuple(found.values())


def load_workflow(file: Path, faults: list[str]) -> Workflow | None:
    """One workflow; None, and its faults told, when it isn't whole."""
    before, content = len(faults), read_toml(file, faults)
    if len(faults) > before:
        return None
    where = f"workflows/{file.name}"
    table = _table(where, content, faults)
    if table is None:
        return None
    workflow = Workflow(table.name, table.title, tuple(step.step() for step in table.steps))
    found = [f"{where}: {fault}" for fault in _faults(workflow)]
    faults += found
    return None if found else workflow


def _table(where: str, content: dict[str, Any], faults: list[str]) -> WorkflowTable | None:
    layers = Layers()
    layers.lay((), content, where)
    try:
        return WorkflowTable.model_validate(content)
    except ValidationError as error:
        faults += explain(error, layers, WorkflowTable)
        return None


def _faults(workflow: Workflow) -> Iterator[str]:
    ids = [step.id for step in workflow.steps]
    if not ids:
        yield "steps: there are none; a workflow has at least one"
    for step_id in sorted({i for i in ids if ids.count(i) > 1}):
        yield f"steps.{step_id}: there are several with this id"
    for step in workflow.steps:
        if step.id in ENDS:
            yield f"steps.{step.id}: done and failed are ends, no steps"
        yield from (f"steps.{step.id}.{fault}" for fault in _step_faults(step, ids))
    reached = _reached(workflow)
    for step in workflow.steps:
        if step.id not in reached:
            yield f"steps.{step.id}: no outcome leads here from the first step"


def _step_faults(step: Step, ids: list[str]) -> Iterator[str]:
    for outcome, goal in step.outcomes.items():
        if goal not in ids and goal not in ENDS:
            near = nearest(goal, [*ids, *ENDS])
            hint = f"; did you mean {near}?" if near else ""
            yield f"outcomes.{outcome}: no step `{goal}`{hint}"
    if step.session is not None and step.session not in ids:
        yield f"session: no step `{step.session}`"
    for needed in _NEEDED[step.kind]:
        if needed not in step.outcomes:
            yield f"outcomes.{needed}: is missing; say which step follows"
    if step.kind is StepKind.CHECK and not step.command:
        yield "command: is missing; say what to run"
    if step.kind is StepKind.FORGE and step.action not in ACTIONS:
        yield f"action: `{step.action}` is none; there is {', '.join(ACTIONS)}"


_NEEDED: dict[StepKind, tuple[str, ...]] = {
    StepKind.AGENT: ("default",),
    StepKind.GATE: ("approved", "rejected"),
    StepKind.CHECK: ("check.passed", "check.failed"),
    StepKind.FORGE: ("pr.merged", "merge.conflict"),
}


def _reached(workflow: Workflow) -> set[str]:
    routes = {step.id: set(step.outcomes.values()) for step in workflow.steps}
    open_, reached = list(routes)[:1], set[str]()
    while open_:
        step_id = open_.pop()
        if step_id not in reached:
            reached.add(step_id)
            open_ += routes.get(step_id, ())
    return reached
