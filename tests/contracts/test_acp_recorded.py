"""What the bridge said of real agents, played again. Recorded against the scripted models of
tests/acp_kits.py, paths replaced."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.drivers.acp import AcpDriver
from core.model import AgentEvent, AgentEventKind
from core.ports import Exit, Line
from tests.agent_bench import FIXTURES, recorded
from tests.damaged import JSON_VALUES, replaced

ACP = FIXTURES / "acp"
K = AgentEventKind
NAMES = sorted(path.stem for path in ACP.glob("*.jsonl"))
SCENES: dict[str, tuple[set[str], bool]] = {
    "write": ({"started", "tool_call", "permission_request", "tool_result", "file_change",
               "text", "finished"}, True),
    "denied": ({"started", "tool_call", "permission_request", "text", "finished"}, True),
    "limit": ({"started", "limit", "finished"}, False),
    "interrupt": ({"started", "tool_call", "permission_request", "finished"}, False),
}
"""What must be told of each scene, and whether it ended well."""


def told(name: str) -> list[AgentEvent]:
    rows = [row for row in recorded(name, ACP) if row["stream"] == "out"]
    lines = [Line("out", 0, row["text"], at) for at, row in enumerate(rows, 1)]
    return [event for line in lines for event in AcpDriver().parse(line)]


def test_there_is_a_recording_of_every_agent() -> None:
    agents = {name.rpartition("-")[0] for name in NAMES}
    assert agents == {"claude-agent-acp", "opencode", "gemini", "codex-acp"}


@pytest.mark.parametrize("name", NAMES)
def test_a_recording_gives_the_events_that_a_person_would_tell(name: str) -> None:
    kinds, ok = SCENES[name.rpartition("-")[2]]
    events = told(name)
    assert kinds <= {event.kind.value for event in events}
    assert not any(event.text.startswith('{"acp"') for event in events), "a line was not read"
    finished = [event for event in events if event.kind is K.FINISHED]
    verdict = AcpDriver().verdict(finished[-1], Exit(status=recorded(name, ACP)[-1]["status"]))
    assert len(finished) == 1 and verdict.ok is ok
    assert "interrupt" not in name or verdict.reason == "interrupted"


@pytest.mark.parametrize("name", [name for name in NAMES if name.endswith("write")])
def test_a_change_is_told_with_its_lines(name: str) -> None:
    (change,) = [event for event in told(name) if event.kind is K.FILE_CHANGE]
    assert change.data == {"path": "/bench/workspace/greeting.txt", "added": 1, "removed": 0}
    (asked,) = [event for event in told(name) if event.kind is K.PERMISSION_REQUEST]
    assert "hello" in asked.text and "greeting.txt" in asked.text


@given(
    row=st.sampled_from([row["text"] for name in NAMES for row in recorded(name, ACP)
                         if row["stream"] == "out"]),
    where=st.randoms(use_true_random=False), value=JSON_VALUES)
def test_a_damaged_line_never_breaks_the_parser(row: str, where: Any, value: Any) -> None:
    damaged = json.dumps(replaced(json.loads(row), where, value), separators=(",", ":"))
    for event in AcpDriver().parse(Line("out", 0, damaged, 1)):
        assert isinstance(event.text, str)
        json.dumps(dict(event.data))


@pytest.mark.parametrize(("words", "at"), [
    ("usage limit reached|1795300000", 1_795_300_000_000),
    ('429 {"resets_at": 1795300000}', 1_795_300_000_000),
    ("rate limit, resets at 2026-11-21T15:00:00Z", 1_795_273_200_000),
    ("quota exceeded, retry after 90 seconds", 1_000_090_000),
    ("quota exceeded: try again in 1h2m3s.", 1_003_723_000),
    ("too many requests", None), (f"429 retry after {'9' * 400}", None),
    ("429 resets at 2026-99-99T15:00:00Z", None)])
def test_when_a_limit_is_over_is_read_in_its_words(words: str, at: int | None) -> None:
    failure = {"code": -32603, "message": words, "data": None}
    line = json.dumps({"acp": "finished", "stop": None, "text": "", "failure": failure},
                      separators=(",", ":"))
    limit, finished = AcpDriver().parse(Line("out", 1_000_000_000, line, 1))
    assert (limit.kind, limit.data) == (K.LIMIT, {"reset_at": at})
    assert finished.data == {"ok": False, "error": words}
