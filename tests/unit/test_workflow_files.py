"""Workflow files: a graph that leads somewhere, or a line that says where it doesn't."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.load import PACKAGED, load
from config.workflows import load_workflow
from core.model import StepKind, TaskState

GOOD = """
name = "mine"
[[steps]]
id = "work"
kind = "agent"
outcomes = { default = "look" }
[[steps]]
id = "look"
kind = "gate"
outcomes = { approved = "done", rejected = "work" }
"""


def _faults(tmp_path: Path, text: str) -> list[str]:
    file = tmp_path / "mine.toml"
    file.write_text(text, encoding="utf-8")
    faults: list[str] = []
    assert (load_workflow(file, faults) is None) == bool(faults)
    return faults


def test_quick_is_work_review_merge() -> None:
    faults: list[str] = []
    quick = load_workflow(PACKAGED / "workflows" / "quick.toml", faults)
    assert faults == []
    assert quick is not None
    assert [(step.id, step.kind) for step in quick.steps] == [
        ("work", StepKind.AGENT),
        ("review", StepKind.GATE),
        ("merge", StepKind.FORGE),
    ]
    assert quick.step("work").writes_code
    assert quick.step("review").outcomes == {"approved": "merge", "rejected": "work"}
    assert quick.step("review").state is TaskState.REVIEW
    assert quick.step("merge").outcomes == {"pr.merged": "done", "merge.conflict": "work"}


def test_a_good_file_has_no_faults(tmp_path: Path) -> None:
    assert _faults(tmp_path, GOOD) == []


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ('kind = "agent"', 'kind = "agnt"', "steps.0.kind: must be 'agent', 'gate', 'check'"),
        ('id = "work"', 'id = "work"\nwrites = true', "steps.0.writes: unknown key; did you mean"),
        ('default = "look"', 'default = "lok"', "steps.work.outcomes.default: no step `lok`; did"),
        ('default = "look"', 'ready = "look"', "steps.work.outcomes.default: is missing"),
        (', rejected = "work"', "", "steps.look.outcomes.rejected: is missing"),
        ('default = "look"', 'default = "done"', "steps.look: no outcome leads here"),
        ('id = "look"', 'id = "work"', "steps.work: there are several with this id"),
        ('id = "look"', 'id = "done"', "steps.done: done and failed are ends"),
        ('kind = "gate"', 'kind = "forge"\naction = "fly"', "steps.look.action: `fly` is none"),
        ('kind = "gate"', 'kind = "check"', "steps.look.command: is missing"),
        ('kind = "gate"', 'kind = "gate"\nsession = "x"', "steps.look.session: no step `x`"),
        ('name = "mine"', "", "name: is missing"),
        ('name = "mine"', "name = ", "no valid TOML"),
    ],
)
def test_a_fault_names_file_and_key(tmp_path: Path, old: str, new: str, fault: str) -> None:
    faults = _faults(tmp_path, GOOD.replace(old, new))
    assert any(
        f.startswith((f"workflows/mine.toml: {fault}", f"mine.toml: {fault}")) for f in faults
    )


def test_a_users_own_file_replaces_a_packaged_one_by_name(tmp_path: Path) -> None:
    (tmp_path / "config" / "workflows").mkdir(parents=True)
    (tmp_path / "config" / "workflows" / "fast.toml").write_text(
        GOOD.replace("mine", "quick"), encoding="utf-8"
    )
    (quick,) = load(folder=tmp_path, environ={}).workflows
    assert [step.id for step in quick.steps] == ["work", "look"]
