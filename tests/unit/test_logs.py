"""The log: whole JSON lines, with ids, without secrets."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bot import logs
from core.redaction import Redactor

SECRET = "correct-horse-battery"


@pytest.fixture
def people(data_dir: Path) -> Iterator[io.StringIO]:
    screen = io.StringIO()
    logs.configure(data_dir, Redactor([SECRET]), people=screen)
    yield screen
    root = logging.getLogger()
    for handler in [h for h in root.handlers if getattr(h, "of_bullpen", False)]:
        root.removeHandler(handler)
        handler.close()


def _lines(data_dir: Path) -> list[dict[str, Any]]:
    text = (data_dir / "logs" / "bullpen.log").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def test_a_line_carries_the_ids_bound_around_it(data_dir: Path, people: io.StringIO) -> None:
    with logs.bound(task="TASK-042"):
        logs.get("bot.app").info("claimed", agent="shell")
    logs.get("bot.app").info("later")
    first, second = _lines(data_dir)
    assert (first["event"], first["task"], first["agent"]) == ("claimed", "TASK-042", "shell")
    assert first["level"] == "info"
    assert first["logger"] == "bot.app"
    assert "task" not in second
    assert people.getvalue() == ""


def test_no_secret_is_written_anywhere(data_dir: Path, people: io.StringIO) -> None:
    log = logs.get("bot.app")
    log.warning(f"got {SECRET}", env={"key": [SECRET]}, path=Path(f"/x/{SECRET}"))
    try:
        raise ValueError(f"with {SECRET}")
    except ValueError:
        log.exception("failed")
    logging.getLogger("some.library").warning("sent %s", SECRET)
    written = (data_dir / "logs" / "bullpen.log").read_text(encoding="utf-8")
    assert SECRET not in written + people.getvalue()
    assert "ValueError" in _lines(data_dir)[1]["exception"]
    assert _lines(data_dir)[2]["event"] == "sent [redacted]"


def test_people_get_one_line_without_a_traceback(people: io.StringIO) -> None:
    try:
        raise ValueError("no")
    except ValueError:
        logs.get("bot.app").error("the disk\nis full", exc_info=True, task="TASK-001")
    assert people.getvalue() == "bullpen: error: the disk is full (task=TASK-001)\n"


def test_the_file_is_turned_over(data_dir: Path, people: io.StringIO) -> None:
    logs.configure(data_dir, Redactor(), people=people, file_bytes=1000)
    for number in range(50):
        logs.get("bot.app").info("line", number=number)
    names = sorted(path.name for path in (data_dir / "logs").iterdir())
    assert names == ["bullpen.log", *(f"bullpen.log.{n}" for n in range(1, logs.FILES_KEPT + 1))]
