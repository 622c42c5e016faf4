"""The documentation says what is so: generated pages are current, names and keys exist."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr

from config.agents import AgentTable
from config.settings import NotifyRule, RepoTable, Settings

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


@pytest.mark.parametrize("name", ["lifecycle", "commands"])
def test_a_generated_page_is_current(name: str) -> None:
    made = subprocess.run([sys.executable, f"scripts/{name}_page.py", "-"], cwd=ROOT,
                          capture_output=True, text=True, check=True, timeout=60).stdout
    assert (DOCS / f"{name}.md").read_text("utf-8") == made, f"run scripts/{name}_page.py"


# -- configuration ---------------------------------------------------------------------------

ROW = re.compile(r"^\| `([\w.]+)` \| (none|required|secret|`[^|]*`) \|", re.MULTILINE)


def test_every_key_stands_there_with_its_default() -> None:
    text = (DOCS / "configuration.md").read_text("utf-8")
    keys, crew = text.split("## The crew")
    assert dict(ROW.findall(keys)) == dict(_keys(Settings))
    assert dict(ROW.findall(crew)) == dict(_keys(AgentTable))


def _keys(model: type[BaseModel], before: str = "") -> Iterator[tuple[str, str]]:
    """Every key below a section, with its default as the page writes it."""
    for name, field in model.model_fields.items():
        kind, key = field.annotation, f"{before}{name}"
        if name == "notify":
            yield from _keys(NotifyRule, "notify.")
        elif isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _keys(kind, f"{key}.")
        else:
            default = field.get_default(call_default_factory=True)
            yield key, "required" if field.is_required() else _written(default)
    if before == "repos.":
        yield from _keys(RepoTable, "repos.NAME.")


def _written(value: Any) -> str:
    if value is None or isinstance(value, SecretStr):
        return "none" if value is None else "secret"
    if isinstance(value, frozenset):
        value = sorted(value)
    return f"`{json.dumps(value, default=str, ensure_ascii=False)}`"


# -- invariants ------------------------------------------------------------------------------


def test_every_guard_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", (DOCS / "invariants.md").read_text("utf-8")))
    assert len(named) > 30
    assert named - _tests() == set()


def test_every_promise_names_its_guard() -> None:
    kept, _ = (DOCS / "invariants.md").read_text("utf-8").split("## Promised, not kept yet")
    promises = re.split(r"^- ", kept, flags=re.MULTILINE)[1:]
    assert promises
    assert [promise for promise in promises if "`test_" not in promise] == []


def _tests() -> set[str]:
    return {node.name for file in (ROOT / "tests").rglob("test_*.py")
            for node in ast.walk(ast.parse(file.read_text("utf-8")))
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


# -- links -----------------------------------------------------------------------------------

PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")] + sorted(
    DOCS.glob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_to_a_file(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)[^)]*\)|src=\"([^\"]+)\"", page.read_text("utf-8"))
    for link in (one or other for one, other in links):
        assert link.startswith("https://") or (page.parent / link).is_file(), link


def test_the_readme_names_every_make_target_it_uses() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z]+)", (ROOT / "README.md").read_text("utf-8"))) <= targets
