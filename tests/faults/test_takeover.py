"""kill -9 of the bot with twenty sessions at work, some of which end while it is dead: the next
start takes them all over, with every line once, and leaves nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bot_bench import House, numbered

pytestmark = pytest.mark.faults

AGENTS = 20
LINES = 40
ENDS_DEAD = range(0, AGENTS, 3)
"""Those that end while no bot runs; the others go on until after the next start."""


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path / "house", {"BULLPEN_QUEUE__MAX_CONCURRENT": str(AGENTS)})
    crew = house.base / "config" / "agents.toml"
    crew.write_text(crew.read_text().replace("max_concurrent_tasks = 16",
                                             f"max_concurrent_tasks = {AGENTS}"))
    yield house
    house.clean()


def name(agent: int) -> str:
    return f"agent-{agent}"


def go(house: House, agent: int) -> Path:
    return house.base / ("dead" if agent in ENDS_DEAD else "alive")


def exits(house: House) -> int:
    return len(list(house.data.glob("sessions/*/attempts/*/exit.json")))


def test_twenty_sessions_are_taken_over(house: House) -> None:
    bot = house.start()
    bot.says(*(house.command(name(agent), LINES, 0.01, until=go(house, agent))
               for agent in range(AGENTS)))
    house.until(lambda: len(house.ledger()) == AGENTS, "all have begun")
    house.until(lambda: house.values("SELECT count(*) FROM sessions WHERE state = 'running'")
                == [AGENTS], "all are noted as running")
    bot.kill()
    (house.base / "dead").touch()
    house.until(lambda: exits(house) == len(ENDS_DEAD), "some end while the bot is dead")
    assert house.values("SELECT count(*) FROM attempts WHERE state = 'ended'") == [0]
    house.start()
    house.until(lambda: house.values("SELECT count(*) FROM attempts WHERE state = 'ended'")
                == [len(ENDS_DEAD)], "those are found out")
    (house.base / "alive").touch()
    house.until(lambda: house.values("SELECT count(*) FROM gates WHERE state = 'open'")
                == [AGENTS], "all have their review")
    for one in house.bots:
        one.kill()
    assert house.play("/killall yes").process.returncode in (0, 1)
    judge(house)


def judge(house: House) -> None:
    """Each began once and ended as it did, and what it said is in the log, every line once."""
    assert Counter(who for who, _ in house.ledger()) == {name(n): 1 for n in range(AGENTS)}
    rows = house.rows("SELECT sessions.id, tasks.title FROM sessions "
                      "JOIN tasks ON tasks.id = task_id")
    assert sorted(row["title"] for row in rows) == sorted(map(name, range(AGENTS)))
    ends = house.rows("SELECT number, exit_status, exit_signal, exit_reason FROM attempts")
    assert [tuple(end) for end in ends] == [(1, 0, None, None)] * AGENTS, house.picture()
    for row in rows:
        for stream in ("out", "err"):
            logged = house.values("SELECT text FROM lines WHERE session_id = ? AND stream = ? "
                                  "ORDER BY seq", row["id"], stream, file="logs.db")
            said = [text for where, text in numbered(row["title"], LINES) if where == stream]
            assert logged == said
    house.check()
