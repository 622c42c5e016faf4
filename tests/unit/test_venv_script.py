"""What `make run` installs holds all that agents are promised without asking for it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PIP = '#!/bin/sh\n[ "$2" = pip ] || exit 0\necho "$@" >>asked\n'


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone with a stand-in for an interpreter that only writes down what is asked of pip."""
    for name in ("scripts/venv.sh", "pyproject.toml", "constraints.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text((ROOT / name).read_text("utf-8"), "utf-8")
    folder = tmp_path / ".venv/bin"
    folder.mkdir(parents=True)
    (folder / "python").write_text(PIP)
    (folder / "pip").write_text(f"#!/bin/sh\n# {folder}/python\n")
    for path in folder.iterdir():
        path.chmod(0o755)
    return tmp_path


def install(clone: Path, kind: str) -> list[str]:
    """The parts that pip was asked for so far."""
    python = clone / ".venv/bin/python"
    subprocess.run(["/bin/sh", str(clone / "scripts/venv.sh"), kind],
                   env=os.environ | {"PYTHON": str(python)}, check=True, timeout=60,
                   capture_output=True)
    asked = clone / "asked"
    return [line.split()[-1] for line in asked.read_text().splitlines()] if asked.exists() else []


def test_a_plain_start_brings_the_tools_of_agents(clone: Path) -> None:
    assert install(clone, "run") == [".[mcp]"]
    assert install(clone, "run") == [".[mcp]"], "once"


def test_what_was_installed_without_them_gets_them(clone: Path) -> None:
    install(clone, "run")
    stamp = clone / ".venv/.bullpen-run"
    stamp.write_text(stamp.read_text().removesuffix(" mcp"))
    assert install(clone, "run") == [".[mcp]", ".[mcp]"]


def test_a_developers_is_enough_for_a_start(clone: Path) -> None:
    assert install(clone, "dev") == install(clone, "run") == [".[dev,mcp]"]
