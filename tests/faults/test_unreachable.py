"""An engine that gives no answer: not lost, asked again, nobody else delayed; then lost, but
gone only on proof, or on a person's word."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from core import acts
from core.errors import Refused
from core.lifecycle import Act
from core.model import Task
from core.orchestrator import Orchestrator
from core.sandboxes.host import HostSandbox
from core.store import tasks
from core.store.database import Store
from core.store.tasks import NewTask
from tests.fakes.git_world import new_repository
from tests.fakes.sandbox import CutOff
from tests.house_bench import ANN, house

PATIENCE = 60.0
pytestmark = pytest.mark.faults


@dataclass
class Crew:
    """A bot's inside, with one agent whose engine can be cut off and one on the plain host."""

    store: Store
    home: Any
    far: CutOff
    folder: Path

    async def add(self, agent: str, script: str) -> Task:
        new = NewTask("Wait", "quick", "work", repo="shop", run_command=f"sh -c '{script}'",
                      assignee=agent, created_by=ANN.key)
        return await self.store.write(lambda tx: tasks.add(tx, new))

    async def until(self, ready: Callable[[], Any], what: str) -> Any:
        deadline = time.monotonic() + PATIENCE
        while not (found := await ready()):
            assert time.monotonic() < deadline, f"waited in vain: {what}; {await self.picture()}"
            await asyncio.sleep(0.02)
        return found

    async def picture(self) -> list[Any]:
        found = await self.store.read("SELECT * FROM sessions")
        return [dict(row) for row in found] + await self.told()

    async def session(self, task: Task) -> Any:
        found = await self.store.read(
            "SELECT * FROM sessions WHERE task_id = ? ORDER BY created_at DESC", (task.id,))
        return found[0] if found else None

    async def is_(self, task: Task, state: str) -> bool:
        row = await self.session(task)
        return row is not None and row["state"] == state

    async def told(self) -> list[str]:
        found = await self.store.read("SELECT type FROM events WHERE type LIKE 'session.%able'")
        return [row["type"] for row in found]

    async def task(self, task: Task) -> Task:
        return await self.store.write(lambda tx: tasks.get(tx, task.id))


@pytest.fixture
async def crew(tmp_path: Path) -> AsyncIterator[Crew]:
    new_repository(tmp_path / "shop")
    async with contextlib.AsyncExitStack() as stack:
        store = await Store(tmp_path, lambda: time.time_ns() // 1_000_000).open()
        stack.push_async_callback(store.close)
        far = CutOff("docker")
        home = house(store, tmp_path)
        policy = replace(home.policy, max_concurrent=4, retries={"lost": 1}, grace=0.5,
                         retry_base=0.0, lost_after=3600.0)
        shell = home.agents["shell"]
        both = {"far": replace(shell, name="far", sandbox="docker"),
                "near": replace(shell, name="near", sandbox="host")}
        setup = replace(home.setup, policy=policy, agents=both)
        home.current.adopt(home.current.configured, setup)
        home = replace(home, sandboxes={**home.sandboxes, "docker": far})
        working = asyncio.create_task(Orchestrator(home, 0.2).run())
        yield Crew(store, home, far, tmp_path)
        far.mend()
        far.clings = ""
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        for row in await store.read("SELECT session_id, number, handle FROM attempts "
                                    "WHERE handle IS NOT NULL"):
            folder = home.attempt_folder(row["session_id"], row["number"])
            await far.stop(folder, row["handle"], force=True)


def waits(folder: Path) -> str:
    return f"until test -e {folder}/go; do sleep 0.05; done; echo over > over.txt"


async def cut_off(crew: Crew, script: str | None = None) -> Task:
    """A task at work far away, whose engine has just stopped answering."""
    task = await crew.add("far", script or waits(crew.folder))
    await crew.until(lambda: crew.is_(task, "running"), "it runs")
    crew.far.cut()

    async def noted() -> bool:
        return (await crew.session(task))["unreachable_since"] is not None

    await crew.until(noted, "that it can't be reached is noted")
    return task


async def test_it_goes_on_running_and_is_told_once_and_when_it_is_back(crew: Crew) -> None:
    task = await cut_off(crew)
    asked = crew.far.asked

    async def again() -> bool:
        return crew.far.asked > asked + 1

    await crew.until(again, "it is asked again")
    assert (await crew.session(task))["state"] == "running"
    assert await crew.told() == ["session.unreachable"]
    (crew.folder / "go").touch()
    crew.far.mend()
    await crew.until(lambda: crew.is_(task, "suspended"), "its result")
    assert await crew.told() == ["session.unreachable", "session.reachable"]
    row = await crew.session(task)
    assert (row["unreachable_since"], row["outcome"]) == (None, None)
    assert len(await crew.store.read("SELECT 1 FROM attempts")) == 1


async def test_a_clock_that_is_set_makes_nobody_lost(crew: Crew) -> None:
    task = await cut_off(crew)
    number = (await crew.session(task))["id"]

    def earlier(tx: Any) -> None:
        tx.update("sessions", {"id": number}, unreachable_since=tx.now - 48 * 3_600_000)

    await crew.store.write(earlier)
    asked = crew.far.asked

    async def again() -> bool:
        return crew.far.asked > asked + 2

    await crew.until(again, "it is asked again")
    assert (await crew.session(task))["state"] == "running"


async def test_nobody_else_waits_for_it(crew: Crew) -> None:
    await cut_off(crew)
    other = await crew.add("near", "echo made > made.txt")
    await crew.until(lambda: crew.is_(other, "suspended"), "the other has its result")
    (crew.folder / "go").touch()


async def lost(crew: Crew, task: Task) -> None:
    """The policy's time is over."""
    setup = crew.home.setup
    short = replace(setup.policy, lost_after=0.1)
    crew.home.current.adopt(crew.home.current.configured, replace(setup, policy=short))
    await crew.until(lambda: crew.is_(task, "terminating"), "it counts as lost")


async def test_past_its_time_it_is_lost_and_tried_again_on_proof_only(crew: Crew) -> None:
    task = await cut_off(crew)
    await lost(crew, task)
    row = await crew.session(task)
    assert row["outcome"] == "lost" and "could not be reached" in row["reason"]
    with pytest.raises(Refused):
        await crew.store.write(lambda tx: acts.retry(tx, crew.home, tasks.get(tx, task.id), ""))
    assert len(await crew.store.read("SELECT 1 FROM sessions")) == 1
    crew.far.mend()

    async def second() -> bool:
        return len(await crew.store.read("SELECT 1 FROM sessions")) == 2

    await crew.until(second, "it is tried again")
    first, *_ = await crew.store.read("SELECT * FROM sessions ORDER BY created_at")
    assert (first["state"], first["outcome"]) == ("terminated", "lost")
    assert (await crew.task(task)).attempts == 1
    (crew.folder / "go").touch()
    await crew.until(lambda: crew.is_(task, "suspended"), "the second has its result")


async def given_up(crew: Crew) -> tuple[Task, str]:
    """One that can't be reached, and a person's word that it is gone: its task and session."""
    task = await cut_off(crew)
    await lost(crew, task)

    def kill(tx: Any) -> list[str]:
        acts.kill(tx, crew.home, tasks.get(tx, task.id), ANN)
        return acts.without_mercy(tx, tasks.get(tx, task.id), ANN)

    (gone,) = await crew.store.write(kill)
    return task, gone


async def test_a_person_may_say_that_it_is_gone_and_that_is_kept(crew: Crew) -> None:
    task, gone = await given_up(crew)
    row = await crew.session(task)
    assert (gone, row["state"], row["outcome"]) == (row["id"], "terminated", "lost")
    assert "Ann (console:1) says that it is gone" in row["reason"]
    await crew.store.write(lambda tx: acts.retry(tx, crew.home, tasks.get(tx, task.id), ""))
    crew.far.mend()
    (crew.folder / "go").touch()
    await crew.until(lambda: crew.is_(task, "suspended"), "a new one has its result")


async def test_what_was_given_up_is_ended_once_it_answers(crew: Crew) -> None:
    task, gone = await given_up(crew)
    folder = crew.home.attempt_folder(gone, 1)
    ((handle,),) = await crew.store.read("SELECT handle FROM attempts")
    order = folder / "order.json"
    assert (await HostSandbox().status(folder, handle)).alive and "env" in order.read_text()
    crew.far.mend()

    async def over() -> bool:
        return not await crew.store.read("SELECT 1 FROM attempts WHERE given_up = 1")

    await crew.until(over, "its process is ended")
    assert not (await HostSandbox().status(folder, handle)).alive
    assert "env" not in order.read_text()
    row = await crew.session(task)
    assert (row["state"], row["outcome"]) == ("terminated", "lost")
    assert (await crew.told())[-1] == "session.reachable"


@pytest.mark.parametrize("deed", [Act.CANCEL, Act.DONE])
async def test_cancel_and_done_work_meanwhile(crew: Crew, deed: Act) -> None:
    task = await cut_off(crew)
    await lost(crew, task)
    await crew.store.write(
        lambda tx: acts.end(tx, crew.home, tasks.get(tx, task.id), deed, ANN, "enough"))
    crew.far.mend()
    await crew.until(lambda: crew.is_(task, "terminated"), "its end is proven")
    assert (await crew.task(task)).state.value == {"cancel": "cancelled"}.get(deed, "done")
    assert len(await crew.store.read("SELECT 1 FROM sessions")) == 1


async def kept_alive(crew: Crew) -> Task:
    """A task whose process is to be ended, and can't be, though its engine answers."""
    task = await crew.add("far", waits(crew.folder))
    await crew.until(lambda: crew.is_(task, "running"), "it runs")
    crew.far.clings = "you may not end it"
    await crew.store.write(lambda tx: acts.kill(tx, crew.home, tasks.get(tx, task.id), ANN))

    async def again() -> bool:
        return crew.far.asked > 2

    await crew.until(again, "it is tried again")
    return task


async def test_what_can_t_be_ended_is_told_once_and_when_it_is(crew: Crew) -> None:
    task = await kept_alive(crew)
    (words,) = [row["text"] for row in await crew.store.read(
        "SELECT text FROM events WHERE type = 'session.unreachable'")]
    assert "can't be ended (you may not end it)" in words and " --sure" in words
    assert await crew.told() == ["session.unreachable"]
    crew.far.clings = ""
    await crew.until(lambda: crew.is_(task, "terminated"), "its end")
    assert await crew.told() == ["session.unreachable", "session.reachable"]


async def test_a_person_may_say_that_what_can_t_be_ended_is_gone(crew: Crew) -> None:
    task = await kept_alive(crew)
    (gone,) = await crew.store.write(
        lambda tx: acts.without_mercy(tx, tasks.get(tx, task.id), ANN))
    row = await crew.session(task)
    assert (row["id"], row["state"]) == (gone, "terminated")
    crew.far.clings = ""

    async def over() -> bool:
        return not await crew.store.read("SELECT 1 FROM attempts WHERE given_up = 1")

    await crew.until(over, "its process is ended")
