"""Who hears of what: rules, channels, followers, and what is critical."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from core import acts
from core.commands.reply import Reply
from core.house import House
from core.lifecycle import Act, Situation
from core.model import Actor, Event, Role, Severity
from core.notifications import Audience, Notifier, Place, Rule
from core.store import deliveries, people, tasks
from core.store.database import Store, Tx
from tests.fakes.clock import FakeClock
from tests.house_bench import ANN, bring, house

CREW, CRITICAL = ("telegram", "-1"), ("telegram", "-2")
CHANNELS: Mapping[str, Sequence[Place]] = {"crew": (CREW,), "vibe-critical": (CRITICAL,)}
ALL = Rule("crew")


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    store = await Store(tmp_path / "data", FakeClock().now).open()
    yield house(store, tmp_path)
    await store.close()


class Told:
    """What is owed after an act: place → its replies, newest last."""

    def __init__(self, home: House, *rules: Rule,
                 channels: Mapping[str, Sequence[Place]] = CHANNELS,
                 faces: frozenset[str] = frozenset({"telegram", "console"}),
                 admins: Mapping[str, Mapping[str, Role]] | None = None) -> None:
        self._home = home
        home.store.state.before_commit.append(
            Notifier(lambda: Audience(rules or (ALL,), channels, admins or {}), faces))

    async def after(self, act: Callable[[Tx], Any]) -> dict[Place, list[Reply]]:
        await self._home.store.write(_forget)
        await self._home.store.write(act)
        found: dict[Place, list[Reply]] = {}
        for row in await self.owed():
            found.setdefault((row["platform"], row["chat"]), []).append(
                Reply.from_json(row["reply"]))
        return found

    async def owed(self) -> list[Any]:
        return await self._home.store.read(
            "SELECT * FROM deliveries WHERE state = 'owed' ORDER BY seq")


def _forget(tx: Tx) -> None:
    tx.run("DELETE FROM deliveries")


def titles(replies: Sequence[Reply]) -> list[str]:
    return [reply.title for reply in replies]


async def test_a_gate_is_told_with_sound_and_the_live_message_without(home: House) -> None:
    told = Told(home)
    found = await told.after(lambda tx: bring(tx, home, Situation.DECIDING))
    live, gate = found[CREW]
    assert live.key == "task:1" and gate.key == "gate:1" and "ready for you" in gate.title
    rows = {row["key"]: row for row in await told.owed()}
    assert (rows["task:1"]["silent"], rows["gate:1"]["silent"]) == (1, 0)
    assert rows["gate:1"]["urgency"] == deliveries.DECISIONS


async def test_a_task_not_begun_has_no_live_message(home: House) -> None:
    assert await Told(home).after(lambda tx: bring(tx, home, Situation.READY)) == {}


async def test_who_follows_a_task_hears_of_it_where_they_are(home: House) -> None:
    def act(tx: Tx) -> None:
        task = bring(tx, home, Situation.DECIDING)
        tasks.follow(tx, task.id, "telegram", "77", "5")
        tx.emit(Event("task.edited", "x", task_id=task.id))

    told = Told(home, Rule("crew", ("nothing.*",)))
    found = await told.after(act)
    assert set(found) == {("telegram", "77")}
    assert {row["reply_to"] for row in await told.owed()} == {"5"}


@pytest.mark.parametrize(("rule", "hears"), [
    (Rule("crew", ("task.*",)), True), (Rule("crew", ("session.*", "task.failed")), True),
    (Rule("crew", ("run.*",)), False), (Rule("crew", severity=Severity.CRITICAL), True),
    (Rule("crew", ("task.added",)), True), (Rule("crew", ("task.added",), Severity.ERROR), False),
    (Rule("crew", lane="front"), True),
    (Rule("crew", lane="back"), False),
])
async def test_rules_by_type_severity_and_lane(home: House, rule: Rule, hears: bool) -> None:
    def act(tx: Tx) -> None:
        task = bring(tx, home, Situation.WORKING)
        tx.run("UPDATE tasks SET lane = 'front' WHERE id = ?", (task.id,))
        tasks.fail(tx, tasks.get(tx, task.id), "the boom")

    found = await Told(home, rule).after(act)
    assert (CREW in found) is hears


def fails(home: House) -> Callable[[Tx], Any]:
    return lambda tx: tasks.fail(tx, bring(tx, home, Situation.WORKING), "the boom")


async def test_a_failure_always_reaches_the_critical_channel(home: House) -> None:
    told = Told(home, Rule("crew", ("gate.*",)))
    found = await told.after(fails(home))
    assert titles(found[CRITICAL]) == ["❌ TASK-001 failed: the boom"]
    (row,) = await told.owed()
    assert not row["silent"]


async def test_a_failure_is_one_message_a_place(home: House) -> None:
    found = await Told(home, channels={"crew": (CREW,), "vibe-critical": (CREW,)}).after(
        fails(home))
    assert sum("failed: the boom" in title for title in titles(found[CREW])) == 1


async def test_without_a_critical_place_the_admins_are_told(home: House) -> None:
    def act(tx: Tx) -> None:
        people.let_in(tx, ANN, Role.ADMIN, "test")
        people.let_in(tx, Actor("telegram", "8"), Role.ADMIN, "test")
        people.let_in(tx, Actor("telegram", "9"), Role.APPROVER, "test")
        fails(home)(tx)

    admins = {"telegram": {"7": Role.ADMIN, "6": Role.VIEWER}}
    found = await Told(home, Rule("crew", ("no.*",)), admins=admins,
                       channels={"vibe-critical": (("console", "console"),)}).after(act)
    assert {("telegram", "7"), ("telegram", "8")} <= set(found)
    assert not {("telegram", "6"), ("telegram", "9")} & set(found)


async def test_a_place_without_its_face_gets_nothing(home: House) -> None:
    told = Told(home, faces=frozenset({"console"}))
    assert await told.after(fails(home)) == {}


async def test_a_warning_without_a_task_is_told_and_news_is_not(home: House) -> None:
    told = Told(home)
    found = await told.after(lambda tx: [
        tx.emit(Event("queue.resumed", "It goes on")),
        tx.emit(Event("queue.paused", "It is paused", Severity.WARNING))])
    assert titles(found[CREW]) == ["⚠️ It is paused"]


LIMIT = Event("limit.reached", "claude is at its limit until 14:00", Severity.WARNING,
              payload={"key": "limit:claude"})


async def test_news_under_a_key_edits_the_message_that_stands_under_it(home: House) -> None:
    told = Told(home)
    await told.after(lambda tx: tx.emit(LIMIT))
    (row,) = await told.owed()
    await home.store.write(lambda tx: deliveries.sent(tx, row["seq"], "m1"))
    good = replace(LIMIT, type="limit.lifted", text="claude goes on", severity=Severity.INFO)
    found = await told.after(lambda tx: tx.emit(good))
    assert [(card.title, card.key) for card in found[CREW]] == [("claude goes on", "limit:claude")]


async def test_an_edit_goes_where_the_message_stands_whoever_hears_now(home: House) -> None:
    def act(tx: Tx) -> None:
        task = bring(tx, home, Situation.WORKING)
        tasks.follow(tx, task.id, "telegram", "77", None)
        tx.emit(replace(LIMIT, task_id=task.id))

    told = Told(home, Rule("crew", ("limit.*",)))
    await told.after(act)
    await home.store.write(lambda tx: [
        deliveries.sent(tx, row["seq"], f"m{row['seq']}")
        for row in tx.all("SELECT seq FROM deliveries WHERE state = 'owed'")])
    found = await told.after(lambda tx: tx.emit(replace(LIMIT, type="limit.lifted")))
    assert set(found) == {CREW, ("telegram", "77")}


async def test_good_news_under_a_key_that_nobody_has_seen_is_told_nobody(home: House) -> None:
    good = replace(LIMIT, type="limit.lifted", severity=Severity.INFO)
    assert await Told(home).after(lambda tx: tx.emit(good)) == {}


async def test_what_is_critical_reaches_its_channel_without_a_task(home: House) -> None:
    found = await Told(home, Rule("crew", ("no.*",))).after(
        lambda tx: tx.emit(Event("disk.full", "The disk is full", Severity.CRITICAL)))
    assert titles(found[CRITICAL]) == ["⚠️ The disk is full"]


async def test_a_gate_of_no_task_is_told_with_sound_and_edited_without(home: House) -> None:
    def opened(tx: Tx) -> None:
        tx.insert("gates", kind="budget", state="open", scope="day", subject="2026-11-21",
                  title="The day's budget is used up", opened_at=tx.now)
        tx.emit(Event("gate.opened", "a budget", gate_id=1))

    def answered(tx: Tx) -> None:
        tx.run("UPDATE gates SET state = 'answered', answered_at = ?, answered_name = 'Ann'",
               (tx.now,))
        tx.emit(Event("gate.answered", "more", gate_id=1))

    told = Told(home)
    found = await told.after(opened)
    assert [card.key for card in found[CREW]] == ["gate:1"]
    (row,) = await told.owed()
    assert (row["silent"], row["urgency"], row["gate_id"]) == (0, deliveries.DECISIONS, 1)
    found = await told.after(answered)
    assert [card.key for card in found[CREW]] == ["gate:1"]
    assert [row["silent"] for row in await told.owed()] == [1]


async def test_what_is_taken_back_is_owed_to_nobody(home: House) -> None:
    def act(tx: Tx) -> None:
        fails(home)(tx)
        raise KeyError

    told = Told(home)
    with pytest.raises(KeyError):
        await told.after(act)
    assert await told.owed() == []


async def test_a_live_message_that_nobody_saw_is_not_sent_after_the_end(home: House) -> None:
    def act(tx: Tx) -> None:
        task = bring(tx, home, Situation.WORKING)
        tx.emit(Event("task.progress", "at it", task_id=task.id))

    told = Told(home)
    assert [reply.key for reply in (await told.after(act))[CREW]] == ["task:1"]
    await home.store.write(lambda tx: tasks.fail(tx, tasks.get(tx, 1), "the boom"))
    assert {row["key"] for row in await told.owed()} == {None}


async def test_a_live_message_that_stands_is_edited_at_the_end(home: House) -> None:
    def send(tx: Tx) -> None:
        attempt = deliveries.begin(tx, *CREW)
        assert attempt is not None
        deliveries.sent(tx, attempt.seq, "55")

    told = Told(home)
    await told.after(lambda tx: bring(tx, home, Situation.WORKING))
    await home.store.write(send)
    await home.store.write(lambda tx: tasks.fail(tx, tasks.get(tx, 1), "the boom"))
    assert {row["key"] for row in await told.owed()} == {None, "task:1"}


async def test_what_somebody_killed_is_said_by_its_live_message_alone(home: House) -> None:
    told = Told(home)
    await told.after(lambda tx: bring(tx, home, Situation.WORKING))
    await home.store.write(
        lambda tx: acts.end(tx, home, tasks.get(tx, 1), Act.KILL, ANN, "killed"))
    (live,) = await told.owed()
    assert (live["key"], live["silent"]) == ("task:1", 1)
    assert "failed" in Reply.from_json(live["reply"]).title

