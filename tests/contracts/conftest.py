"""What the contracts of agents begin with."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """An agent's workspace, with a HOME and a folder for artifacts beside it."""
    for name in ("home", "artifacts", "workspace"):
        (tmp_path / name).mkdir()
    return tmp_path / "workspace"
