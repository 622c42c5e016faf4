"""The crew: what its file may say, what is changed by hand over it, and how an agent stands."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.load import load
from core import crew
from core.errors import Refused, Unclear
from core.house import House
from core.model import Agent, AgentRole, Event, SessionState, Trigger
from core.planning.status import AgentStatus, agent_status
from core.store import crew as rows
from core.store import settings
from core.store.crew import Override
from core.store.database import Store, Tx
from tests.fakes.clock import FakeClock
from tests.house_bench import house


def _crew(folder: Path, toml: str) -> dict[str, Agent]:
    (folder / "config").mkdir(exist_ok=True)
    (folder / "config" / "agents.toml").write_text(toml, encoding="utf-8")
    return {agent.name: agent for agent in load(environ={}, folder=folder).agents}


# -- the file ------------------------------------------------------------------------------


def test_a_steward_with_all_there_is(tmp_path: Path) -> None:
    (found,) = [agent for name, agent in _crew(tmp_path, """
        [agents.keeper]
        driver = "claude"
        role = "steward"
        focus = "merge"
        triggers = [{ cron = "0 * * * *" }, { event = "task.completed" }]
        budget = "2usd 200k"
        account = "team"
    """).items() if name == "keeper"]
    assert (found.role, found.focus) == (AgentRole.STEWARD, "merge")
    assert found.triggers == (Trigger("cron", "0 * * * *"), Trigger("event", "task.completed"))
    assert (found.budget_usd, found.budget_tokens, found.created_by) == (2.0, 200_000, "system")
    assert found.lane == "team"


@pytest.mark.parametrize(("budget", "usd", "tokens"), [
    ('"2usd"', 2.0, None), ('"200k"', None, 200_000), ("{ usd = 1.5 }", 1.5, None),
    ("{ usd = 1, tokens = 5 }", 1.0, 5)])
def test_a_budget_in_every_form(
    tmp_path: Path, budget: str, usd: float | None, tokens: int | None
) -> None:
    found = _crew(tmp_path, f'[agents.a]\ndriver = "claude"\nbudget = {budget}\n')["a"]
    assert (found.budget_usd, found.budget_tokens) == (usd, tokens)


@pytest.mark.parametrize(("lines", "fault"), [
    ("", "driver: is missing"),
    ('role = "boss"', "role: must be 'director', 'worker' or 'steward'"),
    ('role = "steward"', "focus: is missing; a steward has merge, health, reminder or ops"),
    ('role = "steward"\nfocus = "fun"', "focus: must be 'merge', 'health', 'reminder' or 'ops'"),
    ('focus = "ops"', "focus: only a steward has one; this is a worker"),
    ('role = "director"\nfocus = "ops"', "focus: only a steward has one; this is a director"),
    ('role = "steward"\nfocus = "ops"\ntypes = ["x"]', "types: a steward takes no steps"),
    ('triggers = [{ cron = "0 * * * *" }]', "triggers: only a steward has any"),
    ('triggers = [{ cron = "61 * * * *" }]', "triggers.0.cron: `61 * * * *` is no cron line"),
    ('triggers = [{ event = "done" }]', "triggers.0.event: `done` is no event"),
    ("triggers = [{}]", "triggers.0.event: say either cron or event"),
    ('triggers = [{ cron = "0 * * * *", event = "a.b" }]', "triggers.0.event: say either"),
    ('triggers = [{ on = "a.b" }]', "triggers.0.on: unknown key"),
    ('environment = { "A=B" = "x" }', "environment.A=B: `A=B` is no variable's name"),
    ('environment = { "" = "x" }', "environment.: `` is no variable's name"),
    ('environment = { A = "x\\u0000y" }', "environment.A: holds a NUL"),
    ('network = "of f"', 'network: is "on", "off" or the name of a container network'),
    ('mounts = "x"', "mounts: must be a list"),
    ('options = "x"', "options: must be a table"),
    ('mounts = [{ source = "/etc", target = "/proc/x" }]',
     "mounts.0.target: is the machine's own: nothing is shown there"),
    ('budget = "2eur"', "budget: no budget `2eur`: say money like 2usd"),
    ("budget = { eur = 2 }", "budget.eur: unknown key"),
    ("budget = { usd = 0 }", "budget.usd: must be greater than 0"),
    ('mode = "lazy"', "mode: must be 'ephemeral' or 'persistent'"),
    ("max_concurrent_tasks = 0", "max_concurrent_tasks: must be greater than 0"),
    ("skills = [\"\"]", "skills.0: string should have at least 1 character"),
])
def test_each_fault_names_file_and_key(tmp_path: Path, lines: str, fault: str) -> None:
    driver = "" if "driver" in fault else 'driver = "claude"\n'
    with pytest.raises(Unclear) as caught:
        _crew(tmp_path, f"[agents.a]\n{driver}{lines}\n")
    faults = str(caught.value).splitlines()
    assert any(line.startswith(f"agents.toml: agents.a.{fault}") for line in faults), faults


@pytest.mark.parametrize("name", ["add", "set", "enable", "disable", "reset", "remove"])
def test_no_agent_is_called_like_a_verb(tmp_path: Path, name: str) -> None:
    with pytest.raises(Unclear, match=rf"agents\.toml: agents\.{name}: /agent takes that"):
        _crew(tmp_path, f'[agents.{name}]\ndriver = "claude"\n')


# -- by hand -------------------------------------------------------------------------------


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    store = await Store(tmp_path / "data", FakeClock().now).open()
    home = house(store, tmp_path)
    crew.follow(home)
    yield home
    await store.close()


def _changed(tx: Tx, name: str, own: bool = False, **changes: object) -> None:
    rows.put(tx, Override(name, changes, own, "console:1"))
    tx.emit(Event("settings.changed", "changed"))


async def test_a_commit_is_seen_before_anybody_hears_of_it(home: House) -> None:
    seen: list[int] = []
    home.store.state.listeners.append(
        lambda events: seen.append(home.agents["claude"].max_concurrent_tasks))
    await home.store.write(lambda tx: _changed(tx, "claude", max_concurrent_tasks=3))
    assert seen == [3]
    assert home.agents["claude"].created_by == "system", "a change makes nobody its author"
    await home.store.write(lambda tx: _changed(tx, "mine", own=True, driver="command"))
    assert home.agents["mine"].created_by == "console:1"


async def test_what_is_taken_back_is_never_seen(home: House) -> None:
    def broken(tx: Tx) -> None:
        _changed(tx, "claude", max_concurrent_tasks=3)
        raise Refused("no")

    with pytest.raises(Refused):
        await home.store.write(broken)
    assert home.agents["claude"].max_concurrent_tasks == 1
    await home.store.write(lambda tx: tx.emit(Event("settings.changed", "nothing")))
    assert home.agents["claude"].max_concurrent_tasks == 1


async def test_what_does_not_fit_is_left_out_and_said(home: House) -> None:
    def act(tx: Tx) -> crew.Counted:
        _changed(tx, "claude", focus="ops")
        _changed(tx, "gone", model="opus")
        _changed(tx, "mine", own=True, driver="nope")
        settings.put(tx, "default_workflow", "gone", "console:1")
        settings.put(tx, "queue.max_concurrent", 7, "console:1")
        return crew.counted(tx, home.current.configured)

    found = await home.store.write(act)
    assert found.setup.agents["claude"].focus is None
    assert set(found.setup.agents) == {"claude", "shell"}
    assert found.setup.policy.max_concurrent == 7
    assert found.setup.policy.default_workflow == "quick"
    for words in ("claude: what was changed by hand doesn't fit", "/agent reset claude",
                  "gone is in no file any more", "/agent remove mine",
                  "default_workflow: no workflow `gone`"):
        assert any(words in fault for fault in found.faults), (words, found.faults)


async def test_an_agent_both_registered_and_in_the_file_is_changed_by_hand(home: House) -> None:
    await home.store.write(lambda tx: _changed(tx, "shell", own=True, driver="claude"))
    assert home.agents["shell"].driver == "claude"
    assert home.agents["shell"].max_concurrent_tasks == 4, "what was not said is as in the file"


# -- how it stands -------------------------------------------------------------------------

OPEN = [state for state in SessionState if state is not SessionState.TERMINATED]
SESSIONS = st.lists(st.tuples(st.sampled_from(OPEN), st.booleans()), max_size=5)


@given(SESSIONS)
def test_who_is_not_able_is_offline_whatever_it_does(
    sessions: list[tuple[SessionState, bool]]
) -> None:
    assert agent_status(False, sessions) is AgentStatus.OFFLINE


@given(SESSIONS)
def test_idle_only_with_nothing_at_work_and_nothing_that_waits(
    sessions: list[tuple[SessionState, bool]]
) -> None:
    found = agent_status(True, sessions)
    quiet = all(state is SessionState.SUSPENDED and not waits for state, waits in sessions)
    assert (found is AgentStatus.IDLE) == quiet
    if found is AgentStatus.BLOCKED:
        assert any(waits for _, waits in sessions)


@given(SESSIONS)
def test_a_result_in_review_blocks_nobody_who_works(
    sessions: list[tuple[SessionState, bool]]
) -> None:
    at_work = [*(one for one in sessions if one[0] is SessionState.SUSPENDED),
               (SessionState.RUNNING, False)]
    assert agent_status(True, at_work) is AgentStatus.WORKING
