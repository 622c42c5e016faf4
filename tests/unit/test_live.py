"""Who listens to agents misses nothing, hears nothing twice, and holds nobody up."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core.house import House
from core.lifecycle import Situation
from core.live import Heard, Live
from core.model import AgentEvent, AgentEventKind, Event
from core.ports import Line
from core.store import logs, sessions, tasks
from core.store.database import Store
from core.store.logs import Entry
from tests.fakes.clock import FakeClock
from tests.house_bench import bring, house

PATIENCE = 30.0


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    store = await Store(tmp_path / "data", FakeClock().now).open()
    yield house(store, tmp_path)
    await store.close()


async def working(home: House) -> tuple[int, str]:
    task = await home.store.write(lambda tx: bring(tx, home, Situation.WORKING))
    (row,) = await home.store.read("SELECT id FROM sessions WHERE task_id = ?", (task.id,))
    return task.id, row["id"]


class Says:
    """What a session says, as its tailer writes it: numbered from 1."""

    def __init__(self, home: House, session: str) -> None:
        self._home, self._session, self._end = home, session, 0

    async def __call__(self, count: int) -> None:
        numbers = range(self._end + 1, self._end + count + 1)
        self._end += count
        entries = [Entry(Line("out", n, str(n), n), (AgentEvent(AgentEventKind.TEXT, str(n)),))
                   for n in numbers]
        written = await self._home.store.logs.write(
            lambda tx: logs.append(tx, self._session, 1, 1, entries))
        assert written is not None
        self._home.store.tell(written)

    async def ends(self, task: int | None = None) -> None:
        def act(tx):  # type: ignore[no-untyped-def]
            if task is not None:
                tx.run("UPDATE tasks SET state = 'done', ended_at = 1 WHERE id = ?", (task,))
                tx.emit(Event("task.completed", task_id=task))
                return
            fresh = sessions.get(tx, self._session)
            sessions.end(tx, fresh, sessions.SessionOutcome.COMPLETED, None)
        await self._home.store.write(act)


async def texts(heard: AsyncIterator[Heard]) -> list[str]:
    found: list[str] = []
    async with asyncio.timeout(PATIENCE):
        async for one in heard:
            found += [line.text for line in one.lines]
    return found


def numbers(last: int, first: int = 1) -> list[str]:
    return [str(n) for n in range(first, last + 1)]


async def test_what_was_said_before_and_what_is_said_now_each_once(home: House) -> None:
    _, session = await working(home)
    live, says = Live(home.store), Says(home, session)
    await says(2500)
    listening = asyncio.create_task(texts(live.subscribe(session=session)))
    chance = random.Random(7)
    for _ in range(60):
        await says(chance.randrange(1, 40))
        for _ in range(chance.randrange(4)):
            await asyncio.sleep(0)
    await says.ends()
    assert await listening == numbers(says._end)
    assert not live._sessions and not live._tasks


async def test_one_goes_on_from_a_number(home: House) -> None:
    _, session = await working(home)
    live, says = Live(home.store), Says(home, session)
    await says(10)
    (row,) = await home.store.view(lambda db: db.execute(
        "SELECT seq FROM logs.lines WHERE text = '6'").fetchall())
    listening = asyncio.create_task(texts(live.subscribe(session=session, after=row[0])))
    await says(5)
    await says.ends()
    assert await listening == numbers(15, first=7)


async def test_a_session_that_has_ended_is_read_to_its_end(home: House) -> None:
    _, session = await working(home)
    live, says = Live(home.store), Says(home, session)
    await says(1500)
    await says.ends()
    assert await texts(live.subscribe(session=session)) == numbers(1500)
    assert await texts(live.subscribe(session="none-0")) == []


async def test_a_task_is_followed_over_its_sessions(home: House) -> None:
    task, first = await working(home)
    live, says = Live(home.store), Says(home, first)
    await says(3)
    listening = asyncio.create_task(texts(live.subscribe(task=task)))
    await says(3)
    await says.ends()

    def begin(tx):  # type: ignore[no-untyped-def]
        session = sessions.begin(tx, tasks.get(tx, task), home.agents["claude"], "x", "/no/{id}")
        tx.emit(Event("session.started", task_id=task, session_id=session.id))
        return session.id
    second = Says(home, await home.store.write(begin))
    await second(4)
    await second.ends()
    await second.ends(task)
    assert sorted(await listening) == sorted(numbers(6) + numbers(4))


async def test_a_slow_one_is_told_and_holds_nobody_up(home: House) -> None:
    _, session = await working(home)
    live, says = Live(home.store), Says(home, session)
    slow = live.subscribe(session=session, most=100)
    await says(1)
    assert [line.text for line in (await anext(slow)).lines] == ["1"]
    quick = asyncio.create_task(texts(live.subscribe(session=session)))
    waiting = asyncio.create_task(anext(slow))  # up to here: from now on it hears directly
    while not live._sessions or any(ear.behind for ear in live._sessions[session]):
        await asyncio.sleep(0.001)
    await says(1)
    assert [line.text for line in (await waiting).lines] == ["2"]
    for _ in range(50):
        await says(10)
    assert max(len(ear._waiting) for ear in live._sessions[session]) <= 100
    heard = await anext(slow)
    assert heard.lagged is not None and heard.lines[-1].text == "502"
    missed = await home.store.view(lambda db: db.execute(
        "SELECT text FROM logs.lines WHERE seq > ? AND seq < ? ORDER BY seq",
        (heard.lagged, heard.lines[0].seq)).fetchall())
    assert [row[0] for row in missed] + [line.text for line in heard.lines] == numbers(502, 3)
    await says.ends()
    assert await quick == numbers(502)
    with pytest.raises(StopAsyncIteration):
        await anext(slow)


async def test_who_goes_away_leaves_nothing_behind(home: House) -> None:
    _, session = await working(home)
    live, says = Live(home.store), Says(home, session)
    listening = asyncio.create_task(texts(live.subscribe(session=session)))
    await says(5)
    listening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await listening
    assert not live._sessions and not live._tasks
    await says(5)
