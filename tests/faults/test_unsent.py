"""An agent that can't be told anything: that is said once, and holds nothing else up."""

from __future__ import annotations

import pytest

from tests.bot_bench import Bot, House

pytestmark = pytest.mark.faults

AGENT = """#!/bin/sh
read line
mv ../attempts/01/input ../attempts/01/moved; ln -s moved ../attempts/01/input
echo '{{"type":"system","subtype":"init","session_id":"s1","model":"m"}}'
until test -e {base}/go; do sleep 0.05; done
echo x > made-$$.txt
echo '{{"type":"result","subtype":"success","is_error":false,"result":"Ready","num_turns":1}}'
{then}
"""
"""The folder that its input comes from is a link: nothing is written through one."""


def begun(house: House, then: str) -> Bot:
    agent = house.base / "claude"
    agent.write_text(AGENT.format(base=house.base, then=then))
    agent.chmod(0o755)
    (house.base / "config" / "agents.toml").write_text(
        f'[agents.claude]\ndriver = "claude"\nsandbox = "host"\n'
        f'options = {{ program = "{agent}" }}\n')
    bot = house.start()
    bot.says('/add "Write" --agent claude')
    house.until(lambda: house.values("SELECT 1 FROM sessions WHERE driver_session IS NOT NULL"),
                "it has begun")
    return bot


@pytest.mark.parametrize("then", ["cat > /dev/null", "exit 0"])
def test_its_end_and_its_result_are_seen_all_the_same(house: House, then: str) -> None:
    bot = begun(house, then)
    (house.base / "go").touch()
    house.until(lambda: house.values("SELECT 1 FROM gates WHERE state = 'open'"), "its review")
    assert house.values("SELECT state FROM attempts") == ["ended"], house.picture()
    bot.kill()


def test_a_person_hears_once_that_the_words_did_not_arrive(house: House) -> None:
    bot = begun(house, "exit 0")
    bot.says("/say 1 the other one", "/say 1 and quickly")
    house.until(lambda: "can't be told what is said to it" in bot.text(), "that it is deaf")
    house.until(lambda: house.values("SELECT 1 FROM lines WHERE text LIKE 'it can''t be told%'",
                                     file="logs.db"), "in its log")
    bot.says("/kill 1")
    house.until(lambda: house.values("SELECT 1 FROM sessions WHERE state = 'terminated'"),
                "its end")
    assert bot.text().count("can't be told") == 1, bot.text()
    bot.kill()
    house.until(lambda: not house.processes(), "nothing runs")
