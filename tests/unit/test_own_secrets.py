"""Which of an agent's own variables nobody may see, and which people must be able to read."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.agents import changed_agent
from config.credentials import secrets_of
from config.secretfiles import parts
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
    ("MY_PASS", "zebra-99", True),
    ("SMTP_PWD", "zebra-99", True),
    ("GIT_PAT", "zebra-99", True),
    ("SENTRY_DSN", "zebra-99", True),
    ("SSH_PASSPHRASE", "zebra-99", True),
    ("PWD", "/work", False),
    ("PASSENGER_APP", "shop", False),
    ("PATH_INFO", "/a", False),
    ("COMPASS_HOME", "/opt", False),
])
def test_a_name_that_sounds_secret_hides_what_may_be_one(
        name: str, value: str, hidden: bool) -> None:
    agent = Agent("a", driver="claude", sandbox="host", environment={name: value})
    assert list(secrets_of(agent)) == ([value] if hidden else [])


@pytest.mark.parametrize("value, hidden", [
    ("postgres://una:Zebra99@db/shop", ["Zebra99"]),
    ("http://u:p%40ss-word@proxy:3128", ["p%40ss-word", "p@ss-word"]),
    ("https://example.test/a:b@c", []), ("git@github.test:shop.git", []),
])
def test_of_an_address_the_password_is_hidden(value: str, hidden: list[str]) -> None:
    agent = Agent("a", driver="claude", sandbox="host", environment={"DATABASE_URL": value})
    assert sorted(secrets_of(agent)) == sorted(hidden)


@pytest.mark.parametrize("value, within", [
    ('{"client_secret": "GOCSPX-abcdefgh1234", "x": 1}', ["GOCSPX-abcdefgh1234"]),
    ("user=una\npass=line2-ijklmnop\n", ["line2-ijklmnop"]),
    ("one-word-of-a-key", []),
])
def test_of_a_whole_file_given_as_a_value_each_part_is_hidden(
        value: str, within: list[str]) -> None:
    assert parts(value) == within


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
