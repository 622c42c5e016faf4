"""What a test needs of the machine: skipped by name where it is missing, with how to get it."""

from __future__ import annotations

import os

import pytest

missing: dict[str, str] = {}


def need(name: str, present: bool, how: str) -> None:
    """Go on only where `present`: else the test is skipped by name, with `how` to get it.

    With BULLPEN_REQUIRE_ALL=1 (as in CI) what is missing fails the test instead.
    """
    if present:
        return
    missing[name] = how
    if os.environ.get("BULLPEN_REQUIRE_ALL") == "1":
        pytest.fail(f"{name} is missing: {how}", pytrace=False)
    pytest.skip(f"{name} is missing: {how}")
