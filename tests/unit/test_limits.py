"""Usage limits: how long an account rests, what is told of it, and whom it concerns."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import acts, holding, limits
from core.days import clock, day_of
from core.house import House
from core.lifecycle import Situation
from core.model import AgentEvent, AgentEventKind, Event, Session, Task, TaskState
from core.planning.budgets import LONGEST_REST, rests_until
from core.store import sessions, tasks
from core.store.database import Store, Tx
from tests.fakes.clock import FakeClock
from tests.house_bench import bring, house

NOW = 1_700_000_000_000
MINUTE = 60_000
moments = st.integers(0, 2**43)


@given(st.integers(NOW, NOW + 10**9), st.none() | moments, st.floats(1, 10**5),
       st.integers(1, 50))
def test_an_account_is_tried_again_later_and_never_much_later_than_need_be(
        now: int, reset: int | None, pause: float, tries: int) -> None:
    until = rests_until(now, reset, pause, tries)
    assert until > now
    if reset is not None:
        assert until == max(reset, now + 1000)
    else:
        assert until <= now + LONGEST_REST


@given(st.floats(1, 10**4), st.integers(1, 20))
def test_each_try_rests_at_least_as_long_as_the_one_before(pause: float, tries: int) -> None:
    assert rests_until(NOW, None, pause, tries) <= rests_until(NOW, None, pause, tries + 1)


def test_times_are_said_in_the_timezone_of_the_configuration() -> None:
    assert clock(NOW, "UTC", NOW) == "22:13 UTC"
    assert clock(NOW, "Europe/Berlin", NOW) == "23:13 CET"
    assert clock(NOW + 3 * 3_600_000, "UTC", NOW) == "Wed 15 Nov, 01:13 UTC"
    assert (day_of(NOW, "UTC"), day_of(NOW, "Asia/Tokyo")) == ("2023-11-14", "2023-11-15")


@given(st.integers(-2**70, 2**70), st.sampled_from(["UTC", "Pacific/Kiritimati", "Etc/GMT+12"]))
def test_no_time_is_beyond_what_can_be_said(ms: int, timezone: str) -> None:
    assert clock(ms, timezone, NOW) and len(day_of(ms, timezone)) == 10


class At:
    """A house, and a clock that the test moves."""

    def __init__(self, home: House, time: FakeClock) -> None:
        self.house, self.clock = home, time

    def working(self, tx: Tx, account: str | None = "team",
                situation: Situation = Situation.WORKING) -> Task:
        task = bring(tx, self.house, situation)
        tx.run("UPDATE sessions SET account = ? WHERE task_id = ?", (account, task.id))
        return task

    def hits(self, tx: Tx, task: Task, reset: int | None = None) -> list[Event]:
        """Its agent is told that the limit is reached; the events told of limits."""
        before = len(tx.events)
        event = AgentEvent(AgentEventKind.LIMIT, "Usage limit reached", {"reset_at": reset})
        limits.reached(tx, self.house, session_of(tx, task), event)
        return [one for one in tx.events[before:] if one.type.startswith("limit.")]


def session_of(tx: Tx, task: Task) -> Session:
    return sessions.open_of_task(tx, task.id)[0]


@pytest.fixture
async def at(tmp_path: Path) -> AsyncIterator[At]:
    time = FakeClock(NOW)
    store = await Store(tmp_path / "data", time.now).open()
    yield At(house(store, tmp_path), time)
    await store.close()


async def test_of_two_sessions_on_two_accounts_the_one_that_was_stopped_counts(at: At) -> None:
    def act(tx: Tx) -> list[TaskState]:
        task = at.working(tx, "second")
        earlier = dict(tx.all("SELECT * FROM sessions WHERE task_id = ?", (task.id,))[0])
        more = {"id": "earlier", "step": "plan", "account": "first", "state": "suspended",
                "created_at": earlier["created_at"] - 1}
        tx.insert("sessions", **earlier | more)
        now = sessions.of_step(tx, task.id, task.step)
        assert now is not None
        reset = AgentEvent(AgentEventKind.LIMIT, "", {"reset_at": tx.now + 60 * MINUTE})
        limits.reached(tx, at.house, now, reset)
        tx.insert("limits", account="first", until=tx.now, known=1, words="now", since=tx.now)
        seen = []
        for account in ("first", "second"):
            limits.lift(tx, at.house, account)
            seen.append(tasks.get(tx, task.id).state)
        return seen

    assert await at.house.store.write(act) == [TaskState.BLOCKED, TaskState.IN_FLIGHT]


async def test_the_task_rests_and_one_message_tells_until_when(at: At) -> None:
    def act(tx: Tx) -> None:
        task = at.working(tx)
        (told,) = at.hits(tx, task, NOW + 17 * MINUTE)
        assert told.text == ("Claude's usage limit is reached (account team): its agents rest "
                             "until 22:30 UTC. Others go on.")
        assert told.payload["key"] == "limit:team" and told.task_id is None
        assert tasks.get(tx, task.id).state is TaskState.BLOCKED
        assert session_of(tx, task).held_for == "limit"
        assert limits.standing(tx) == {"team": NOW + 17 * MINUTE}
        assert min(limits.standing(tx).values()) == NOW + 17 * MINUTE

    await at.house.store.write(act)


async def test_a_time_that_no_limit_has_is_not_believed(at: At) -> None:
    """An agent can't have its account rest for years."""
    far = (NOW + 33 * 24 * 60 * MINUTE, 253_402_300_799_000, 2**70, -1)

    def act(tx: Tx) -> None:
        for number, reset in enumerate(far):
            (told,) = at.hits(tx, at.working(tx, f"team{number}"), reset)
            assert "and try again at 22:43 UTC" in told.text
        assert set(limits.standing(tx).values()) == {NOW + 30 * MINUTE}
        (told,) = at.hits(tx, at.working(tx, "month"), NOW + 31 * 24 * 60 * MINUTE)
        assert "until Fri 15 Dec, 22:13 UTC" in told.text

    await at.house.store.write(act)


async def test_one_that_rests_already_does_not_move_its_time_on_and_on(at: At) -> None:
    def act(tx: Tx) -> None:
        task = at.working(tx)
        assert len(at.hits(tx, task)) == 1
        assert len(at.hits(tx, task, NOW + 60 * MINUTE)) == 1, "now it says until when"
        told = [at.hits(tx, task, NOW + 60 * MINUTE * hour) for hour in range(2, 500)]
        assert sum(map(len, told)) == 0
        assert limits.standing(tx) == {"team": NOW + 60 * MINUTE}

    await at.house.store.write(act)


async def test_an_agent_without_an_account_rests_alone(at: At) -> None:
    def act(tx: Tx) -> str:
        (told,) = at.hits(tx, at.working(tx, None), NOW + 17 * MINUTE)
        assert list(limits.standing(tx)) == ["claude"]
        return told.text

    assert await at.house.store.write(act) == (
        "Claude's usage limit is reached: claude rests until 22:30 UTC. Others go on.")


async def test_a_second_one_of_the_account_is_told_only_where_the_time_changes(at: At) -> None:
    """Two tellings of one reset, to the second and to the minute, are no change."""
    def act(tx: Tx) -> list[int]:
        first, second, third, fourth = (at.working(tx) for _ in range(4))
        told = [len(at.hits(tx, first, NOW + MINUTE)), len(at.hits(tx, second, NOW + 2 * MINUTE)),
                len(at.hits(tx, third, None)), len(at.hits(tx, fourth, NOW + 4 * MINUTE))]
        assert limits.standing(tx) == {"team": NOW + 4 * MINUTE}
        blocked = {tasks.get(tx, one.id).state for one in (first, second, third, fourth)}
        assert blocked == {TaskState.BLOCKED}
        return told

    assert await at.house.store.write(act) == [1, 0, 0, 1]


async def test_what_is_due_is_let_go_and_only_that(at: At) -> None:
    def begin(tx: Tx) -> tuple[int, int]:
        soon, late = at.working(tx), at.working(tx, "other")
        at.hits(tx, soon, NOW + MINUTE)
        at.hits(tx, late, NOW + 9 * MINUTE)
        assert limits.lift_due(tx, at.house) == 0
        return soon.id, late.id

    soon, late = await at.house.store.write(begin)
    at.clock.forward(60)

    def turn(tx: Tx) -> tuple[int, TaskState, TaskState, list[str]]:
        count = limits.lift_due(tx, at.house)
        told = [event.text for event in tx.events if event.payload.get("key") == "limit:team"]
        return count, tasks.get(tx, soon).state, tasks.get(tx, late).state, told

    assert await at.house.store.write(turn) == (
        1, TaskState.IN_FLIGHT, TaskState.BLOCKED, ["The account team works again."])


async def test_again_at_the_limit_soon_after_it_rests_longer_where_no_time_is_known(
        at: At) -> None:
    rested = []
    for _ in range(6):
        def act(tx: Tx) -> int:
            at.hits(tx, at.working(tx), None)
            return limits.standing(tx)["team"] - tx.now

        rested.append(await at.house.store.write(act))
        at.clock.forward(rested[-1] / 1000)
        await at.house.store.write(lambda tx: limits.lift_due(tx, at.house))
    hour = 60 * MINUTE
    assert rested == [hour // 2, hour, 2 * hour, 4 * hour, 4 * hour, 4 * hour]
    at.clock.forward(7200)  # it has worked for two hours: the next rest is a short one
    assert await at.house.store.write(act) == hour // 2


async def test_a_time_that_has_passed_is_believed_once(at: At) -> None:
    def act(tx: Tx) -> list[int]:
        rested = []
        for _ in range(2):
            at.hits(tx, at.working(tx), NOW - MINUTE)
            rested.append(limits.standing(tx)["team"] - NOW)
            limits.lift(tx, at.house, "team")
        return rested

    assert await at.house.store.write(act) == [1000, 60 * MINUTE]


async def test_by_hand_the_whole_account_is_tried_again_now(at: At) -> None:
    def act(tx: Tx) -> None:
        one, other = at.working(tx), at.working(tx)
        for task in (one, other):
            at.hits(tx, task, NOW + MINUTE)
        task, left = acts.resume(tx, at.house, tasks.get(tx, one.id))
        assert (task.state, left) == (TaskState.IN_FLIGHT, "")
        assert tasks.get(tx, other.id).state is TaskState.IN_FLIGHT
        assert not limits.standing(tx)

    await at.house.store.write(act)


async def test_a_task_that_is_paused_too_stays_so_when_the_limit_is_over(at: At) -> None:
    def act(tx: Tx) -> tuple[TaskState, list[str]]:
        task = at.working(tx)
        at.hits(tx, task, NOW + MINUTE)
        holding.hold_task(tx, at.house, tasks.get(tx, task.id), "paused")
        limits.lift(tx, at.house, "team")
        fresh = tasks.get(tx, task.id)
        return fresh.state, holding.reasons(tx, fresh)

    assert await at.house.store.write(act) == (TaskState.BLOCKED, ["paused"])


async def test_an_agent_that_is_being_stopped_is_not_held(at: At) -> None:
    def act(tx: Tx) -> tuple[TaskState, str | None]:
        task = at.working(tx)
        acts.stop_session(tx, session_of(tx, task), "killed")
        tasks.fail(tx, tasks.get(tx, task.id), "killed")
        at.hits(tx, task, NOW + MINUTE)
        return tasks.get(tx, task.id).state, session_of(tx, task).held_for

    assert await at.house.store.write(act) == (TaskState.FAILED, None)
