"""What a run is told with: one live message, one a wave, an alarm, an end; and its page."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from core import acts, runs, views
from core.audience import Audience, Place, Rule
from core.commands.reply import Reply
from core.house import House
from core.lifecycle import Act
from core.model import GateKind, Severity, TaskState
from core.notifications import Notifier
from core.store import claims, deliveries, gates, run_rows, tasks
from core.store import runs as stored
from core.store.database import Store, Tx
from core.store.tasks import NewTask
from tests.fakes.clock import FakeClock
from tests.house_bench import ANN, house

CREW, CRITICAL, ANNS = ("telegram", "-1"), ("telegram", "-2"), ("telegram", "77")
CHANNELS: Mapping[str, Sequence[Place]] = {"crew": (CREW,), "vibe-critical": (CRITICAL,)}
RULES = (Rule("crew"), Rule("vibe-critical", severity=Severity.CRITICAL))
MIN = 60_000


class Stage:
    """A house whose deliveries are read and then sent, act by act."""

    def __init__(self, home: House, clock: FakeClock) -> None:
        self.home = home
        self.clock = clock
        notifier = Notifier(lambda: Audience(RULES, CHANNELS, {}), frozenset({"telegram"}),
                            lambda tx: 2)
        home.store.state.before_commit.append(notifier)

    async def do(self, act: Callable[[Tx], Any]) -> dict[Place, list[Reply]]:
        """What is owed after an act, by place; then it stands there."""
        await self.home.store.write(act)
        found: dict[Place, list[Reply]] = {}
        for row in await self.home.store.read(
                "SELECT * FROM deliveries WHERE state = 'owed' ORDER BY seq"):
            reply = replace(Reply.from_json(row["reply"]), silent=bool(row["silent"]))
            found.setdefault((row["platform"], row["chat"]), []).append(reply)
        await self.home.store.write(_sent)
        return found

    async def add(self, *after: int, lane: str = "import", **more: Any) -> int:
        new = NewTask("Work", "quick", "work", lane=lane, repo="shop", after=after, **more)
        return (await self.home.store.write(lambda tx: tasks.add(tx, new))).id

    async def go(self, lane: str = "import") -> dict[Place, list[Reply]]:
        def act(tx: Tx) -> None:
            run = runs.begin(tx, runs.plan(tx, self.home, runs.Wanted(lane)), ANN)
            run_rows.follow(tx, run.id, *ANNS, "5")

        return await self.do(act)

    async def begin(self, task_id: int) -> dict[Place, list[Reply]]:
        return await self.do(
            lambda tx: claims.claim(tx, task_id, "coder", TaskState.IN_FLIGHT))

    async def finish(self, task_id: int, minutes: int = 10) -> dict[Place, list[Reply]]:
        await self.begin(task_id)
        self.clock.forward(60 * minutes)
        return await self.do(lambda tx: acts.end(
            tx, self.home, tasks.get(tx, task_id), Act.DONE, ANN, "so"))

    async def fail(self, task_id: int) -> dict[Place, list[Reply]]:
        await self.begin(task_id)
        return await self.do(lambda tx: tasks.fail(tx, tasks.get(tx, task_id), "the boom"))

    async def page(self, run_id: int = 1) -> views.RunPage:
        found = await self.home.store.view(lambda db: views.run_page(db, run_id, 2))
        assert found is not None
        return found


def _sent(tx: Tx) -> None:
    for row in tx.all("SELECT seq, chat, key FROM deliveries WHERE state = 'owed'"):
        deliveries.sent(tx, row["seq"], f"{row['chat']}-{row['key'] or row['seq']}")


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    clock = FakeClock()
    store = await Store(tmp_path / "data", clock.now).open()
    yield Stage(house(store, tmp_path), clock)
    await store.close()


def keyed(replies: Sequence[Reply]) -> Reply:
    (found,) = [reply for reply in replies if reply.key == "run:1"]
    return found


def plain(replies: Sequence[Reply]) -> list[Reply]:
    return [reply for reply in replies if reply.key != "run:1"]


async def test_one_live_message_is_edited_and_done_tasks_have_none(stage: Stage) -> None:
    a, b = await stage.add(), await stage.add()
    c = await stage.add(b)
    found = await stage.go()
    assert set(found) == {CREW}, "who began it has the answer before the eyes"
    assert keyed(found[CREW]).title == "🚦 RUN-001 · lane import · wave 1 of 2"
    assert [b.command for b in keyed(found[CREW]).buttons] == [
        "run 1", "pause RUN-001", "stop 1"]
    found = await stage.begin(a)
    assert set(found) == {CREW, ANNS} and plain(found[CREW]) == []
    assert keyed(found[ANNS]).lines == ("0 of 3 done · 1 in work",)
    assert all(reply.silent for replies in found.values() for reply in replies)
    found = await stage.do(lambda tx: acts.end(
        tx, stage.home, tasks.get(tx, a), Act.DONE, ANN, "so"))
    assert plain(found[CREW]) == []
    assert keyed(found[CREW]).lines == ("1 of 3 done",)
    found = await stage.finish(b)
    (wave,) = plain(found[CREW])
    assert wave.title == "🌊 RUN-001 · wave 1 of 2 is over: 2 done · 10 min" and wave.silent
    found = await stage.finish(c, 20)
    (end,) = plain(found[CREW])
    assert end.title == "🏁 RUN-001 is done · lane import · 3 of 3 done · 30 min"
    assert not end.silent
    assert keyed(found[CREW]).title == "🏁 RUN-001 · lane import · done"
    assert [button.command for button in keyed(found[CREW]).buttons] == ["run 1"]


async def test_a_needed_failure_is_one_message_with_its_ways_out(stage: Stage) -> None:
    a = await stage.add()
    b = await stage.add(a)
    await stage.go()
    found = await stage.fail(a)
    for place, silent in ((CREW, True), (CRITICAL, False)):
        (alarm,) = plain(found[place])
        assert alarm.title == "❌ TASK-001 failed: the boom" and alarm.silent is silent
        assert alarm.lines[-1] == ("RUN-001 is paused: TASK-001 failed, and TASK-002 needs it. "
                                   "/retry 1, /done 1 or /stop RUN-001")
    card = keyed(found[CREW])
    assert card.title == "⏸ RUN-001 · lane import · paused in wave 1 of 2"
    assert card.buttons[0].command == "retry 1", "it can't be resumed before"
    found = await stage.do(lambda tx: acts.retry(tx, stage.home, tasks.get(tx, a), ""))
    assert keyed(found[CREW]).title.endswith("wave 1 of 2")
    await stage.finish(a)
    found = await stage.do(lambda tx: acts.end(
        tx, stage.home, tasks.get(tx, b), Act.CANCEL, ANN, "so"))
    (end,) = plain(found[CREW])
    assert "1 of 2 done · 1 cancelled" in end.title
    assert end.lines == ("TASK-002 cancelled: Work",)


async def test_a_needed_task_that_is_cancelled_or_killed_sounds_the_alarm_too(
    stage: Stage
) -> None:
    a, b = await stage.add(), await stage.add()
    await stage.add(a)
    await stage.add(b)
    await stage.go()
    await stage.begin(b)
    found = await stage.do(lambda tx: acts.end(
        tx, stage.home, tasks.get(tx, a), Act.CANCEL, ANN, "so"))
    (alarm,) = plain(found[CRITICAL])
    assert alarm.title.startswith("⏸ RUN-001 is paused: TASK-001 was cancelled")
    assert not alarm.silent
    assert alarm.buttons[0].command == "reopen 1", "only a failed task is retried"
    assert keyed(found[CREW]).buttons[0].command == "reopen 1", "it can't be resumed before"
    found = await stage.do(lambda tx: tasks.fail(
        tx, tasks.get(tx, b), "killed", {"act": "kill"}))
    (alarm,) = plain(found[CRITICAL])
    assert alarm.title.startswith("⏸ RUN-001 is paused: TASK-002 failed")


async def test_what_waits_for_files_stands_on_the_card(stage: Stage) -> None:
    touches = (("touches", "src/"),)
    a = await stage.add(labels=touches)
    for _ in range(4):
        await stage.add(labels=touches)
    found = await stage.go()
    assert keyed(found[CREW]).lines[1:] == (
        "TASK-002 waits for TASK-001: both touch src/",
        "TASK-003 waits for TASK-001: both touch src/", "2 more tasks waiting for files")
    found = await stage.finish(a)
    assert keyed(found[CREW]).lines[1] == "TASK-003 waits for TASK-002: both touch src/"


async def test_the_estimate_comes_from_the_lane(stage: Stage) -> None:
    for _ in range(3):
        await stage.finish(await stage.add(), 10)
    for _ in range(5):
        await stage.add()
    found = await stage.go()
    assert keyed(found[CREW]).lines == ("0 of 5 done · about 30 min",)
    page = await stage.page()
    assert page.forecast is not None
    assert (page.forecast.low, page.forecast.tasks) == (30 * MIN, 3)


async def test_a_run_of_many_owes_few_messages(stage: Stage) -> None:
    root = await stage.add()
    for _ in range(30):
        await stage.add(root)
    await stage.go()
    found = await stage.finish(root)
    assert {place: len(replies) for place, replies in found.items()} == {CREW: 2, ANNS: 2}


async def test_a_gate_of_the_run_is_told_to_who_follows_it(stage: Stage) -> None:
    await stage.add()
    await stage.go()
    found = await stage.do(lambda tx: gates.open_gate(tx, gates.NewGate(
        GateKind.BUDGET, None, "The run's budget is used up", scope="run", run_id=1,
        subject="1")))
    for place in (CREW, ANNS):
        (gate,) = plain(found[place])
        assert gate.key == "gate:1" and not gate.silent


# -- its page ----------------------------------------------------------------------------------


async def test_the_page_shows_waves_needs_holds_and_the_longest_chain(stage: Stage) -> None:
    a, b = await stage.add(), await stage.add()
    c = await stage.add(a, b)
    d = await stage.add(c)
    await stage.go()
    await stage.begin(a)
    page = await stage.page()
    assert [[task.id for task in part.tasks] for part in page.waves] == [[a, b], [c], [d]]
    assert page.critical == (a, c, d) and page.in_work == (a,)
    by_id = {task.id: task for part in page.waves for task in part.tasks}
    assert by_id[c].needs == (a, b) and by_id[c].critical and not by_id[b].critical
    assert by_id[a].state is TaskState.IN_FLIGHT and by_id[a].assignee == "coder"
    await stage.do(lambda tx: runs.pause(tx, stage.home, stored.get(tx, 1), ANN))
    page = await stage.page()
    assert {task.id: task.held for part in page.waves for task in part.tasks}[b] == "run"
    assert [event.type for event in page.events] == ["run.started", "wave.started", "run.paused"]
    await stage.do(lambda tx: runs.stop(tx, stored.get(tx, 1), ANN))
    page = await stage.page()
    assert [task.outcome for part in page.waves for task in part.tasks] == [
        None, "returned", "returned", "returned"]
    assert page.in_work == () and page.forecast is None


async def test_the_list_has_the_open_ones_first(stage: Stage) -> None:
    for lane in ("one", "two", "three"):
        await stage.add(lane=lane)
        await stage.go(lane)
    await stage.finish(2)
    await stage.finish(3)
    page = await stage.home.store.view(lambda db: views.runs(db, 2))
    assert [row.run.id for row in page.items] == [1, 3] and (page.total, page.more) == (3, 1)
    assert [row.progress for row in page.items] == [0.0, 1.0]
    page = await stage.home.store.view(lambda db: views.runs(db, 2, 2))
    assert [row.run.id for row in page.items] == [2]
    assert await stage.home.store.view(lambda db: views.run_page(db, 9)) is None
