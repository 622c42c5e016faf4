"""The pages of agents and of money, and what the bot tells that the database doesn't know."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.model import Event, task_ref
from core.store.database import Store, Tx
from site_gen.build import Builder
from site_gen.crew import Crew, Member, crew_of
from site_gen.render import Settings
from tests.fakes.filled import Filled, change, fill
from tests.fakes.filled_run import FilledRun, add_run
from tests.site_bench import assert_sound, builder_of, contents, files, page, replaced

CREW = Crew(
    members=(Member("coder-1", capacity=3, driver="claude", model="opus", lane="team",
                    skills=("python",), budget_usd=4.0),
             Member("resting-1", missing="resting-1 is disabled.")),
    slots=4, day_usd=20.0)


@pytest.fixture
async def filled(tmp_path: Path) -> Filled:
    return await fill(tmp_path / "data")


@pytest.fixture
async def run(filled: Filled) -> FilledRun:
    return await add_run(filled)


@pytest.fixture
def site(filled: Filled, run: FilledRun) -> Iterator[Builder]:
    builder = builder_of(filled, crew=CREW)
    builder.tick()
    yield builder
    builder.close()


def text_of(markup: str) -> str:
    return re.sub(r"[ \n]+", " ", re.sub(r"<[^>]+>", " ", markup))


async def act(filled: Filled, change: object) -> None:
    store = await Store(filled.folder, filled.clock.now).open()
    try:
        await store.write(change)  # type: ignore[arg-type]
    finally:
        await store.close()


def test_an_agents_page_tells_capacity_work_record_and_cost(site: Builder,
                                                            filled: Filled) -> None:
    text = text_of(page(filled, "agents/coder-1.html"))
    assert re.search(r"Capacity \d of 3 at work, (has room|is full)", text)
    assert "claude, opus" in text and "Skills python" in text
    assert re.search(r"▶ in flight \d", text)
    assert re.search(r"[1-9]\d* sessions? went well(, \d+ failed)?\.", text)
    assert re.search(r"Lane Went well Failed billing [1-9]\d* \d+", text)
    assert re.search(r"coder-1 today: [1-9]\.\d\d of 4\.00 USD \d+ %", text)
    assert re.search(r"TASK-\d{3} .* work · terminated, completed · log", text)


def test_one_that_cannot_work_or_is_gone_says_so(site: Builder, filled: Filled) -> None:
    assert "– offline" in text_of(page(filled, "agents/resting-1.html"))
    assert "resting-1 is disabled." in page(filled, "agents/resting-1.html")
    assert "It is no longer on the crew." in page(filled, "agents/reviewer.html")


async def test_an_account_at_its_limit_is_told_with_the_time(filled: Filled) -> None:
    await act(filled, lambda tx: tx.insert(
        "limits", account="team", until=tx.now + 3_600_000, known=1, words="", since=tx.now))
    builder = builder_of(filled, crew=CREW)
    builder.tick()
    builder.close()
    assert "its account team is at its usage limit" in text_of(page(filled, "agents/coder-1.html"))
    assert "rests until" in text_of(page(filled, "index.html"))


def test_the_money_page_adds_up_and_shows_budgets(site: Builder, filled: Filled) -> None:
    text = text_of(page(filled, "cost.html"))
    assert re.search(r"Today (\d+\.\d\d) USD .*7 days \1 USD .*In all \1 USD", text)
    assert re.search(r"everybody today: \d+\.\d\d of 20\.00 USD \d+ %", text)
    assert re.search(r"RUN-001 : \d+\.\d\d of 25\.00 USD \d+ %", text)
    for title, name in (("agent", "coder-2"), ("lane", "billing"), ("model", "opus")):
        assert f"{name} · " in text.split(f"By {title}, 7 days")[1]


def test_the_overview_leads_to_the_crew(site: Builder, filled: Filled) -> None:
    markup = page(filled, "index.html")
    assert 'href="agents/coder-1.html"' in markup and 'href="agents/resting-1.html"' in markup
    assert "– offline" in text_of(markup)
    assert_sound(filled.folder / "site")


async def test_what_is_spent_writes_the_money_page_alone_and_once(site: Builder,
                                                                  filled: Filled) -> None:
    before = files(filled)
    await change(filled, [3])
    site.tick()
    assert "cost.html" not in replaced(before, files(filled))
    await act(filled, lambda tx: tx.run("UPDATE budgets SET cost_usd = cost_usd + 9"))
    site.tick()
    assert "cost.html" in replaced(before, files(filled))
    before = files(filled)
    filled.clock.go(30)
    assert site.tick().written == 0
    assert replaced(before, files(filled)) == {"heartbeat.js"}


async def test_a_session_writes_its_agents_page(site: Builder, filled: Filled) -> None:
    task = filled.tasks["ready"][0]

    def begin(tx: Tx) -> None:
        tx.insert("sessions", id="work-new", task_id=task, step="work", agent="coder-9",
                  driver="claude", sandbox="host", state="running", worktree="w",
                  worktree_state="active", created_at=tx.now)
        tx.emit(Event("session.started", f"coder-9 is on {task_ref(task)}", task_id=task,
                      session_id="work-new"))

    await act(filled, begin)
    site.tick()
    assert task_ref(task) in page(filled, "agents/coder-9.html")
    assert_sound(filled.folder / "site")


async def test_another_crew_is_told_after_a_restart(site: Builder, filled: Filled,
                                                    tmp_path: Path) -> None:
    other = Crew(members=(Member("coder-1", capacity=7), Member("new-1")), slots=2)
    builder = builder_of(filled, crew=other)
    builder.tick()
    builder.close()
    assert "of 7 at work" in page(filled, "agents/coder-1.html")
    fresh = Builder(filled.folder, tmp_path / "fresh", Settings(crew=other), filled.clock.now)
    fresh.tick()
    fresh.close()
    assert contents(filled.folder / "site") == contents(tmp_path / "fresh")


def test_names_are_text_and_files_of_ids_only(filled: Filled) -> None:
    evil = "../<b>x"
    builder = builder_of(filled, crew=Crew(members=(Member(evil, missing="<i>no</i>"),)))
    builder.tick()
    builder.close()
    markup = page(filled, "index.html")
    assert "<b>x" not in markup and "&lt;b&gt;x" in markup
    assert len(list((filled.folder / "site" / "agents").glob("x*.html"))) == 1
    assert_sound(filled.folder / "site")


def test_the_crew_is_read_from_the_settings() -> None:
    said = Settings.from_json('{"slots": 3, "day_usd": 5, "agents": ["a", {"name": "b", '
                              '"capacity": 2, "skills": ["sql"], "later": 1}], "other": 1}')
    assert said.crew == Crew((Member("a"), Member("b", capacity=2, skills=("sql",))), 3,
                             day_usd=5.0)
    assert said.crew.mark != Crew().mark
    with pytest.raises(ValueError, match="capacity"):
        crew_of({"agents": [{"name": "b", "capacity": "many"}]})
