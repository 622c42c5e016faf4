"""The bot is killed while it and an agent talk: each is told everything once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bot_bench import ROOT, House, merges
from tests.fakes.git_world import run_git

pytestmark = pytest.mark.faults

COMMANDS = ['/add "Run it"\npermission: echo it ran >> ran.txt', "/approve 1", "/approve 1"]
"""A task whose agent wants to run a command; yes to that; yes to the change."""

POINTS = ("after-log", "in-approval", "after-approval", "after-input", "after-input:2")


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path / "house")
    programs = house.base / "bin"
    programs.mkdir()
    (programs / "claude").symlink_to(ROOT / "tests" / "fakes" / "claude")
    house.settings["PATH"] = f"{programs}:{os.environ['PATH']}"
    yield house
    house.clean()


@pytest.mark.parametrize("point", POINTS)
def test_a_permission_is_asked_and_given_once(house: House, point: str) -> None:
    killed = house.play(*COMMANDS, kill_at=point)
    assert killed.process.returncode == -9, house.picture()
    stored = len(house.values("SELECT id FROM intake"))
    assert house.play(*COMMANDS[stored:]).process.returncode == 0, house.picture()
    assert house.values("SELECT state FROM tasks") == ["done"], house.picture()
    assert [tuple(row) for row in house.rows("SELECT kind, state FROM gates ORDER BY id")] == [
        ("permission", "approved"), ("merge", "approved")]
    assert house.values("SELECT exit_status FROM attempts") == [0], "one process"
    assert house.values("SELECT sent FROM inputs") == [1, 1], "the answer, and the end"
    assert run_git(house.repo, "show", "main:ran.txt") == "it ran"
    assert len(merges(house.repo)) == 1
    house.check()
