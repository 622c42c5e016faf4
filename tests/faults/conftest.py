"""A house for each fault."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bot_bench import House


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """Nothing of it is left."""
    house = House(tmp_path / "house")
    yield house
    house.clean()
