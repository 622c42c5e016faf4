"""The files read anew: whole or not at all, and told what is another than before."""

from __future__ import annotations

import asyncio
import io
import os
import subprocess
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bot.configuring import Sources, read
from bot.hangup import Hangup
from core import crew, reloading
from core.errors import BullpenError
from core.house import Current, House
from core.model import Event
from core.redaction import Redactor
from core.store import settings
from core.store.crew import Override, put
from core.store.database import Store, Tx
from core.worktrees import Repositories
from tests.fakes.clock import FakeClock
from tests.house_bench import house

FLOW = """
name = "{name}"
[[steps]]
id = "work"
kind = "agent"
outcomes = {{ default = "done" }}
"""


@pytest.fixture
async def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    """A House on the files of a folder, which has one repository."""
    monkeypatch.chdir(tmp_path)
    for name in ("shop", "other"):
        subprocess.run(["git", "init", "-q", "-b", "main", name], check=True, timeout=20)
        subprocess.run(["git", "-c", "user.name=U", "-c", "user.email=u@localhost", "commit", "-q",
                        "--allow-empty", "-m", "x"], cwd=tmp_path / name, check=True, timeout=20)
    write("bullpen.toml", '[repos.shop]\nsource = "shop"\n')
    store = await Store(tmp_path / "data", FakeClock().now).open()
    sources = Sources(None, str(tmp_path / "data"), None, Redactor(),
                      Repositories(tmp_path / "data" / "repos"))
    files = await read(sources)
    home = replace(house(store, tmp_path), current=Current(files, files.setup),
                   repositories=sources.repositories)
    crew.follow(home)
    yield home
    await store.close()


def write(name: str, text: str) -> None:
    path = Path(name)
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text(text, encoding="utf-8")


async def test_nothing_is_other_than_before(home: House) -> None:
    found = await reloading.reload(home)
    assert (found.changes, found.restart, found.faults, found.over) == ((), (), (), ())


async def test_each_part_says_what_is_another(home: House) -> None:
    write("bullpen.toml", '[repos.shop]\nsource = "shop"\ncheck = "true"\n'
          '[repos.other]\nsource = "other"\n[queue]\nmax_concurrent = 5\n'
          '[telegram.users]\n7 = "viewer"\n[channels]\nteam = ["console"]\n'
          '[[notify]]\nchannel = "team"\ntypes = ["gate.*"]\n')
    write("config/agents.toml", '[agents.claude]\ndriver = "claude"\nmodel = "opus"\n'
          '[agents.mine]\ndriver = "command"\n')
    write("config/workflows/slow.toml", FLOW.format(name="slow"))
    write("config/prompts/any.md", "Do {{ task.title }}")
    write("config/prices.toml", '[models."m"]\ninput = 1\noutput = 2\nas_of = 2026-11-01\n')
    found = await reloading.reload(home)
    assert list(found.changes) == [
        "Agents: mine is new, claude changed.",
        "Workflows: slow is new.",
        "Repositories: other is new, shop changed.",
        "Prompts: any changed.",
        "Prices: m is new.",
        "Settings: queue.max_concurrent 1 → 5.",
        "Channels: team is new.",
        "People: 7 is new.",
        "Notifications: rule 2 is gone, rule 1 changed.",
    ]
    assert home.agents["claude"].model == "opus"
    assert home.policy.max_concurrent == 5
    assert [rule.channel for rule in home.audience().rules] == ["team"]
    assert "7" in home.people["telegram"]
    assert home.repositories.path(home.repo("other")).is_dir(), "it is there at once"


async def test_what_only_a_restart_changes_is_said_and_left(home: House) -> None:
    write("bullpen.toml", 'tick_seconds = 5\n[repos.shop]\nsource = "shop"\n[api]\nport = 1\n'
          '[telegram]\ntoken = "1:abc"\n')
    found = await reloading.reload(home)
    assert set(found.restart) == {"tick_seconds", "api.port", "telegram.token"}


@pytest.mark.parametrize(("name", "text", "fault"), [
    ("bullpen.toml", "[queue]\nmax_concurent = 1\n", "bullpen.toml: queue.max_concurent"),
    ("bullpen.toml", '[repos.new]\nsource = "nowhere"\n', "nowhere"),
    ("config/agents.toml", "[agents", "agents.toml: no valid TOML"),
    ("config/agents.toml", '[agents.a]\ndriver = "x"\n', "agents.toml: agents.a.driver: must be"),
    ("config/workflows/w.toml", 'name = "w"\nsteps = []\n', "workflows/w.toml: steps: there are"),
    ("config/prompts/any.md", "one\n{{ task.title", "prompts/any.md: line 2: "),
    ("config/prices.toml", '[models."m"]\ninput = -1\n', "prices.toml: models.m.input"),
])
async def test_a_broken_file_changes_nothing(
    home: House, name: str, text: str, fault: str
) -> None:
    before = home.setup
    write("config/agents.toml", '[agents.fine]\ndriver = "command"\n')
    write(name, text)
    with pytest.raises(BullpenError) as caught:
        await reloading.reload(home)
    assert fault in str(caught.value)
    assert home.setup is before


async def test_what_was_changed_by_hand_goes_on_counting_and_is_said(home: House) -> None:
    def act(tx: Tx) -> None:
        put(tx, Override("claude", {"model": "opus"}, False, "console:1"))
        put(tx, Override("mine", {"driver": "command"}, True, "console:1"))
        settings.put(tx, "queue.max_concurrent", 9, "console:1")
        tx.emit(Event("settings.changed", "changed"))

    await home.store.write(act)
    write("bullpen.toml", '[repos.shop]\nsource = "shop"\n[queue]\nmax_concurrent = 2\n')
    found = await reloading.reload(home)
    assert (home.policy.max_concurrent, home.agents["claude"].model) == (9, "opus")
    assert "mine" in home.agents
    assert list(found.over) == [
        "claude (model): /agent reset claude",
        "mine was registered by chat: /agent remove mine",
        "queue.max_concurrent is 9, configured 2: /set queue.max_concurrent default",
    ]


async def test_a_new_secret_is_known_before_it_can_be_said(home: House) -> None:
    configured = home.current.configured
    write("config/agents.toml", '[agents.a]\ndriver = "command"\n'
          'environment = { API_KEY = "zebra-finch" }\n')
    await reloading.reload(home)
    assert configured.sources.redactor.text("it is zebra-finch") == "it is [redacted]"


# -- the signal ------------------------------------------------------------------------------


async def test_a_terminal_that_was_closed_is_a_reason_to_leave(home: House) -> None:
    ours, theirs = os.openpty()
    said: list[str] = []
    stop = asyncio.Event()
    with os.fdopen(theirs) as terminal:
        hangup = Hangup(home, terminal, lambda *lines: said.extend(lines), stop)
        hangup()
        assert not stop.is_set(), "the terminal is there: somebody sent the signal"
        await _until(lambda: said)
        os.close(ours)
        hangup()
    assert stop.is_set()


async def test_without_a_terminal_it_reads_anew_or_says_why_not(home: House) -> None:
    said: list[str] = []
    stop = asyncio.Event()
    hangup = Hangup(home, io.StringIO(), lambda *lines: said.extend(lines), stop)
    write("config/agents.toml", '[agents.new]\ndriver = "command"\n')
    hangup()
    await _until(lambda: "Agents: new is new." in said)
    assert "new" in home.agents
    write("config/agents.toml", "[agents")
    hangup()
    await _until(lambda: "agents.toml: no valid TOML" in " ".join(said))
    assert not stop.is_set()


async def _until(ready: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not ready():
            await asyncio.sleep(0.01)
