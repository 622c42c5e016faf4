"""Who is heard, whichever way it speaks: an attempt at work, and no other."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import reports
from core.errors import Refused, Unclear
from core.handed import REFUSED
from core.house import House
from core.lifecycle import Situation
from core.model import (
    Actor,
    AgentEvent,
    AgentEventKind,
    Attempt,
    IterationState,
    Session,
    SessionState,
)
from core.reports.speaking import one_line, visible
from core.sessions.absorb import absorb
from core.store import sessions
from core.store.database import Store, Tx
from tests.api_bench import declare
from tests.fakes.clock import FakeClock
from tests.house_bench import bring, house

SAYING: dict[str, Callable[[Tx, House, Attempt], Any]] = {
    "outcome": lambda tx, home, attempt: reports.outcome(tx, home, attempt, "verify.failed"),
    "progress": lambda tx, home, attempt: reports.progress(tx, home, attempt, "x"),
    "question": lambda tx, home, attempt: reports.question(tx, home, attempt, "x"),
    "permission": lambda tx, home, attempt: reports.permission(tx, home, attempt, "x", {}),
}
WAYS = (*SAYING, "artifact")
SITUATIONS = [one for one in Situation if one not in (
    Situation.INBOX, Situation.READY, Situation.BLOCKED, Situation.CANCELLED)]
HEARD = (Situation.STARTING, Situation.WORKING, Situation.ASKING, Situation.ASKING_LEAVE)


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    store = await Store(tmp_path / "data", FakeClock().now).open()
    home = house(store, tmp_path / "data")
    declare(home)
    yield home
    await store.close()


async def say(home: House, way: str, attempt: Attempt) -> None:
    if way == "artifact":
        await reports.artifact(home, attempt, "a.md", b"x")
        return
    await home.store.write(lambda tx: SAYING[way](tx, home, attempt))


def at_work(tx: Tx, home: House, wanted: Situation) -> tuple[Session, Attempt]:
    task = bring(tx, home, wanted)
    row = tx.one("SELECT id FROM sessions WHERE task_id = ?", (task.id,))
    assert row is not None
    return sessions.get(tx, row["id"]), sessions.get_attempt(tx, row["id"])


@pytest.mark.parametrize("situation", SITUATIONS)
@pytest.mark.parametrize("way", WAYS)
async def test_who_is_heard(home: House, way: str, situation: Situation) -> None:
    _, attempt = await home.store.write(lambda tx: at_work(tx, home, situation))
    if situation in HEARD:
        await say(home, way, attempt)
        return
    before = await home.store.read("SELECT count(*) FROM events")
    with pytest.raises(reports.Over):
        await say(home, way, attempt)
    assert await home.store.read("SELECT count(*) FROM events") == before


@pytest.mark.parametrize("way", WAYS)
async def test_an_older_attempt_is_not_heard(home: House, way: str) -> None:
    """Its session works on with the next one."""
    def renew(tx: Tx) -> Attempt:
        session, old = at_work(tx, home, Situation.WORKING)
        sessions.attempt_ended(tx, old, sessions.Exit(status=0))
        new = sessions.new_attempt(tx, session.id)
        tx.run("UPDATE iterations SET attempt = ?", (new.number,))
        return old

    old = await home.store.write(renew)
    with pytest.raises(reports.Over, match=r"Attempt 1 of .* has ended"):
        await say(home, way, old)


@pytest.mark.parametrize("way", WAYS)
async def test_one_that_is_being_killed_is_not_heard(home: House, way: str) -> None:
    def killed(tx: Tx) -> Attempt:
        session, attempt = at_work(tx, home, Situation.WORKING)
        sessions.move(tx, session, SessionState.TERMINATING)
        return attempt

    attempt = await home.store.write(killed)
    with pytest.raises(reports.Over):
        await say(home, way, attempt)


async def test_what_an_agents_own_output_reports_goes_the_same_way(home: House) -> None:
    session, _ = await home.store.write(lambda tx: at_work(tx, home, Situation.WORKING))
    events = [AgentEvent(AgentEventKind.OUTCOME, data={"name": name})
              for name in ("verify.failed", "pr.merged", "pr.merged")]
    await home.store.write(lambda tx: absorb(tx, home, session.id, events, 10, None))
    found = await home.store.write(lambda tx: sessions.get_iteration(tx, session.id))
    assert found.outcome == "verify.failed"
    told = await home.store.read("SELECT text FROM events WHERE type = ?", (REFUSED,))
    assert len(told) == 1 and "`pr.merged` is no outcome of the step" in told[0]["text"]


async def test_an_old_outcome_file_is_no_word_on_the_next_iteration(home: House) -> None:
    session, _ = await home.store.write(lambda tx: at_work(tx, home, Situation.JUDGING))
    file = home.session_folder(session.id) / "artifacts" / "outcome.json"
    file.parent.mkdir(parents=True)
    file.write_text('{"outcome": "verify.failed"}')
    await reports.take_file(home, session)
    assert not file.exists()
    await reports.take_file(home, session)
    found = await home.store.write(lambda tx: sessions.get_iteration(tx, session.id))
    assert found.outcome == "verify.failed"
    await home.store.write(lambda tx: sessions.new_iteration(
        tx, session.id, "qa", "Again.", IterationState.WAITING))
    file.write_text('{"outcome": "verify.passed"}')
    await reports.take_file(home, session)  # judged late: that iteration has begun already
    found = await home.store.write(lambda tx: sessions.get_iteration(tx, session.id))
    assert found.outcome is None


async def test_too_many_words_are_refused(home: House) -> None:
    _, attempt = await home.store.write(lambda tx: at_work(tx, home, Situation.WORKING))
    asked: list[Callable[[Tx], Any]] = [
        lambda tx: reports.question(tx, home, attempt, "x" * 20_001),
        lambda tx: reports.question(tx, home, attempt, " "),
        lambda tx: reports.question(tx, home, attempt, "x", ["y"] * 11),
        lambda tx: reports.question(tx, home, attempt, "x", ["\n"]),
        lambda tx: reports.question(tx, home, attempt, "x", [], "k" * 201),
        lambda tx: reports.permission(tx, home, attempt, " ", {}),
        lambda tx: reports.permission(tx, home, attempt, "x", {"a": "y" * (64 << 10)}),
    ]
    for ask in asked:
        with pytest.raises(Unclear):
            await home.store.write(ask)
    assert await home.store.read("SELECT 1 FROM gates") == []


@given(st.text(), st.integers(2, 50))
def test_one_line_is_one_line(text: str, most: int) -> None:
    line = one_line(text, most)
    assert len(line) <= most and (line.isprintable() or not line) and "\n" not in line


@given(st.text())
def test_nothing_unseen_stands_on_a_gate(text: str) -> None:
    assert visible(text).replace("\n", "").isprintable()


async def test_what_is_kept_lies_on_the_disk_before_the_one_writer_is_held(home: House) -> None:
    """Then two renames are all that others have to wait for."""
    session, attempt = await home.store.write(lambda tx: at_work(tx, home, Situation.WORKING))
    (home.session_folder(session.id) / "artifacts").mkdir(parents=True)
    staged = home.artifacts.stage(b"large")
    numbers = {path.stat().st_ino for path in staged.files}
    task = session.task_id
    author = Actor("agent", "claude", "claude")
    await home.store.write(lambda tx: home.artifacts.keep(tx, task, "a.md", staged, author))
    folder = next(home.artifacts.root.glob("active/*/artifacts"))
    kept = {path.stat().st_ino for path in (folder / "a.md", folder / ".versions" / "a.md.v1")}
    assert kept == numbers
    assert await reports.artifact(home, attempt, "a.md", b"large") == 1, "it says the same"
    assert await reports.artifact(home, attempt, "a.md", b"more") == 2
    with pytest.raises(Refused):
        await reports.artifact(home, attempt, "raw-input.md", b"other")
    assert (home.session_folder(session.id) / "artifacts/a.md").read_bytes() == b"more"
    assert not list((home.artifacts.root / ".incoming").iterdir())
