"""The house keeps its walls, its measures and its style."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("bot", "core", "site_gen", "config")
BIN = Path(sys.executable).parent
MOST_LINES, LONGEST_FUNCTION = 300, 50
# One file each, so that they can be taken alone to where Bullpen isn't installed.
LARGER = {"core/sandboxes/launcher.py": 1000, "core/sandboxes/carrier.py": 510}


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "command",
    [
        [sys.executable, "-m", "ruff", "check", "--quiet", "."],
        [sys.executable, "-m", "ruff", "format", "--check", "--quiet", *ROOMS],
        [sys.executable, "-m", "mypy", "--no-error-summary"],
        [str(BIN / "lint-imports"), "--no-logo"],
    ],
    ids=["style", "format", "types", "walls"],
)
def test_checked_by_its_tool(command: list[str]) -> None:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"\n{done.stdout}{done.stderr}"


def test_no_room_is_too_large() -> None:
    large = [
        f"{path.relative_to(ROOT)}: {lines} lines"
        for path in _modules()
        if (lines := len(path.read_text(encoding="utf-8").splitlines()))
        > LARGER.get(str(path.relative_to(ROOT)), MOST_LINES)
    ]
    assert not large, "split these: " + ", ".join(large)


def test_no_function_is_too_long() -> None:
    long = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        for path in _modules()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno >= LONGEST_FUNCTION
    ]
    assert not long, "shorten these: " + ", ".join(long)


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("core/planning_x.py", "import bot"),
        ("core/planning_x.py", "from core.drivers import claude"),
        ("core/drivers/other_x.py", "from core.store import database"),
        ("core/drivers/other_x.py", "import core.sandboxes"),
        ("core/commands/verb_x.py", "import aiogram"),
        ("site_gen/page_x.py", "from core.store import database"),
        ("bot/outbox_x.py", "from config.load import load"),
        ("bot/outbox_x.py", "import bot.telegram"),
    ],
)
def test_a_hole_in_a_wall_is_seen(tmp_path: Path, file: str, line: str) -> None:
    for room in ROOMS:
        _copy_sources(room, tmp_path)
    _copy_sources("tests", tmp_path, only="walls.py")
    (tmp_path / "pyproject.toml").write_bytes((ROOT / "pyproject.toml").read_bytes())
    (tmp_path / file).write_text(f"{line}\n", encoding="utf-8")
    done = subprocess.run(
        [str(BIN / "lint-imports"), "--no-logo", "--no-cache"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    module = file.removesuffix(".py").replace("/", ".")
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"{module} (line 1) may not import" in done.stdout


def _copy_sources(room: str, target: Path, only: str | None = None) -> None:
    for path in sorted((ROOT / room).rglob(only or "*.py")):
        copy = target / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    (target / room / "__init__.py").touch()


def _modules() -> Iterator[Path]:
    for room in ROOMS:
        yield from sorted((ROOT / room).rglob("*.py"))
