"""Files in an agent's home: its own stay, and no link of its leads us elsewhere."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from core.errors import Broken
from core.ports import Plan
from core.sessions.laying import lay_out

WANTED = {"greeted": True, "projects": {"/w": {"trusted": True}}}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    home.mkdir()
    return home


def settings(home: Path) -> object:
    lay_out(home, Plan((), settings={".tool.json": WANTED}))
    return json.loads((home / ".tool.json").read_text())


def test_files_are_written_anew_in_folders_that_are_made(home: Path) -> None:
    for words in ("one", "two"):
        lay_out(home, Plan((), files={".tool/deep/words.md": words}))
        assert (home / ".tool/deep/words.md").read_text() == words


def test_settings_begin_with_what_is_wanted(home: Path) -> None:
    assert settings(home) == WANTED


def test_what_is_in_the_settings_already_stays(home: Path) -> None:
    (home / ".tool.json").write_text(json.dumps(
        {"greeted": False, "theme": "dark", "projects": {"/v": {"trusted": False}}}))
    assert settings(home) == {"greeted": False, "theme": "dark", "projects": {
        "/v": {"trusted": False}, "/w": {"trusted": True}}}
    before = (home / ".tool.json").stat().st_ino
    settings(home)
    assert (home / ".tool.json").stat().st_ino == before, "nothing was lacking"


@pytest.mark.parametrize("text", ["{", "[]", "", "[" * 100_000, '{"projects": 7, "greeted": 1}'])
def test_settings_of_another_shape_are_left_alone(home: Path, text: str) -> None:
    (home / ".tool.json").write_text(text)
    lay_out(home, Plan((), settings={".tool.json": WANTED}))
    assert (home / ".tool.json").read_text() == text


def test_no_link_is_followed(home: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "theirs.json").write_text("{}")
    (home / ".tool").symlink_to(outside)
    (home / ".tool.json").symlink_to(outside / "theirs.json")
    with pytest.raises(Broken, match="can't be written"):
        lay_out(home, Plan((), files={".tool/words.md": "ours"}))
    lay_out(home, Plan((), settings={".tool.json": WANTED}))
    lay_out(home, Plan((), files={".tool.json": "ours"}))
    assert [path.name for path in outside.iterdir()] == ["theirs.json"]
    assert (outside / "theirs.json").read_text() == "{}"
    assert not (home / ".tool.json").is_symlink()


def test_a_pipe_holds_nothing_up(home: Path) -> None:
    os.mkfifo(home / ".tool.json")
    lay_out(home, Plan((), settings={".tool.json": WANTED}))
