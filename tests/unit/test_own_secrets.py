"""Which of an agent's own variables nobody may see, and which people must be able to read."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.agents import changed_agent
from config.credentials import secrets_of
from core.model import Agent


@pytest.mark.parametrize("name, value, hidden", [
    ("ANTHROPIC_API_KEY", "sk-1", True),
    ("DB_PASSWORD", "12345678", True),
    ("MY_TOKEN", "32000", True),
    ("CLAUDE_CODE_MAX_OUTPUT_TOKENS", "32000", False),
    ("MAX_THINKING_TOKENS", "8000", False),
    ("TOKEN_TIMEOUT_MS", "600000", False),
    ("MAX_THINKING_TOKENS", "sk-ant-1", True),
    ("USE_AUTH", "true", False),
    ("GIT_AUTHOR_NAME", "Ann", False),
    ("EDITOR", "vi", False),
])
def test_a_name_that_sounds_secret_hides_what_may_be_one(
        name: str, value: str, hidden: bool) -> None:
    agent = Agent("a", driver="claude", sandbox="host", environment={name: value})
    assert list(secrets_of(agent)) == ([value] if hidden else [])


def test_what_was_read_from_elsewhere_is_secret_whatever_its_name() -> None:
    agent = Agent("a", driver="claude", sandbox="host", environment={"DEBUG": "true"},
                  credentials=frozenset({"DEBUG"}))
    assert list(secrets_of(agent)) == ["true"]


def test_what_was_read_from_elsewhere_stays_so_where_something_else_is_changed(
        tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("a-word-of-theirs\n")
    base = changed_agent("a", None, {"driver": "command", "environment": {
        "PLAIN": f"file:{key}"}}, "una")
    assert base.files == {key}
    changed = changed_agent("a", base, {"model": "large"}, "una")
    assert (changed.files, list(secrets_of(changed))) == (
        frozenset({key}), ["a-word-of-theirs"])
    other = changed_agent("a", base, {"environment": {"PLAIN": "open"}}, "una")
    assert (other.files, list(secrets_of(other))) == (frozenset(), [])
