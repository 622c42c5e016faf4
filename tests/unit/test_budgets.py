"""Budgets: the thresholds, what is offered, what is foretold; and what a day's end lets go."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import acts, budgets, cards
from core.acts import money
from core.commands.reply import Reply
from core.errors import Refused, Unclear
from core.lifecycle import Act, Situation
from core.model import Gate, GateState, Session, Task, TaskState
from core.planning import budgets as planning
from core.planning.budgets import Amount, Level
from core.sessions.usage import Account, Used
from core.store import budgets as rows
from core.store import gates, sessions, tasks
from core.store.database import Store, Tx
from tests.fakes.clock import FakeClock
from tests.house_bench import ANN, HERE, bring, house

T = TypeVar("T")
usd = st.floats(0.01, 1e5, allow_nan=False)
spent_usd = st.floats(0, 2e5, allow_nan=False)
tokens = st.integers(1, 10**9)

# -- thresholds ----------------------------------------------------------------------------


@given(spent_usd, usd, st.floats(0.05, 1))
def test_a_level_is_reached_at_its_share_and_not_before(
        spent: float, limit: float, warn_at: float) -> None:
    found = planning.level(0, spent, Amount(usd=limit), warn_at)
    used = spent / limit
    assert found is (Level.OVER if used >= 1 else Level.WARN if used >= warn_at else Level.FINE)


@given(st.integers(0, 10**9), spent_usd)
def test_without_a_limit_nothing_is_ever_used_up(used_tokens: int, used_usd: float) -> None:
    assert planning.level(used_tokens, used_usd, Amount(), 0.8) is Level.FINE


@given(st.integers(0, 10**9), tokens, spent_usd, usd)
def test_of_two_limits_the_nearer_one_counts(
        used_tokens: int, most: int, used_usd: float, most_usd: float) -> None:
    both = planning.level(used_tokens, used_usd, Amount(most, most_usd), 0.8)
    each = (planning.level(used_tokens, 0, Amount(tokens=most), 0.8),
            planning.level(0, used_usd, Amount(usd=most_usd), 0.8))
    assert both is max(each)


# -- what is offered -----------------------------------------------------------------------


@given(spent_usd, usd)
def test_what_is_offered_is_enough_not_to_be_asked_again(spent: float, limit: float) -> None:
    more = planning.step(0, spent, Amount(usd=limit), 0.8)
    assert more.usd and more.tokens is None and more.usd >= limit / 4 * 0.999
    assert planning.level(0, spent, Amount(usd=limit + more.usd), 0.8) is Level.FINE


@given(st.integers(0, 10**9), tokens)
def test_what_is_offered_in_tokens_is_enough_too(spent: int, limit: int) -> None:
    more = planning.step(spent, 0, Amount(tokens=limit), 0.8)
    assert more.tokens and more.usd is None
    if spent < limit or spent > 10:
        assert planning.level(spent, 0, Amount(tokens=limit + more.tokens), 0.8) is Level.FINE


@given(spent_usd, usd)
def test_what_is_offered_is_a_number_as_people_say_it(spent: float, limit: float) -> None:
    more = planning.step(0, spent, Amount(usd=limit), 0.8).usd
    assert more is not None
    head = more / 10 ** math.floor(math.log10(more) + 1e-9)
    assert any(math.isclose(head, one, rel_tol=1e-6) for one in (1, 2, 5, 10))


@pytest.mark.parametrize(("spent", "limit", "more"), [
    (1.7, 8.0, 2.0), (6.5, 8.0, 2.0), (2.1, 2.0, 1.0), (10.0, 2.0, 20.0), (0.9, 1.0, 0.5),
    (8.1, 8.0, 5.0)])
def test_about_a_quarter_is_offered(spent: float, limit: float, more: float) -> None:
    assert planning.step(0, spent, Amount(usd=limit), 0.8).usd == pytest.approx(more)


# -- what is foretold ----------------------------------------------------------------------


def test_the_pace_of_the_last_sessions_tells_how_long_it_lasts() -> None:
    assert planning.lasts(1.0, [(0.5, 60_000), (0.5, 60_000)], 1) == 120_000
    assert planning.lasts(1.0, [(0.5, 60_000), (0.5, 60_000)], 2) == 60_000


@pytest.mark.parametrize("known", [[], [(0.0, 60_000)], [(0.5, 0)], [(0.5, 5_000)]])
def test_what_nobody_can_know_is_left_out(known: list[tuple[float, int]]) -> None:
    assert planning.lasts(1.0, known, 1) is None


@given(st.floats(-10, 10), st.lists(st.tuples(st.floats(0, 10), st.integers(0, 10**8))),
       st.integers(0, 8))
def test_a_forecast_is_a_time_to_come_or_none(
        left: float, paces: list[tuple[float, int]], at_work: int) -> None:
    found = planning.lasts(left, paces, at_work)
    assert found is None or found >= 0


# -- what an attempt used ------------------------------------------------------------------


@given(st.lists(st.tuples(st.sampled_from("abcdefghijkl"), st.integers(0, 100))))
def test_a_message_told_again_counts_once_and_a_total_takes_the_place_of_all(
        told: list[tuple[str, int]]) -> None:
    account = Account()
    for name, used in told:
        account = Account.from_json(account.to_json())
        account.message(name, Used(tokens_in=used))
    last = dict(told)
    assert account.sum().tokens_in >= sum(last.values()) or len(set(last)) > 8
    if len(last) <= 8:
        assert account.sum().tokens_in == sum(last.values())
    all_of_it = account.sum().tokens_in + 7
    account.said(Used(tokens_in=all_of_it, usd=0.5))
    account.message("next", Used(tokens_in=1))
    assert account.sum() == Used(tokens_in=all_of_it + 1, usd=0.5)


used = st.builds(Used, st.integers(0, 100), st.integers(0, 100), st.floats(0, 9))


@given(st.lists(st.tuples(st.sampled_from(["", "a", "b"]), used), min_size=1))
def test_no_total_takes_away_what_was_told_before(told: list[tuple[str, Used]]) -> None:
    account, messages = Account(), dict[str, Used]()
    for name, said in told:
        before = account.sum()
        if name:
            account.message(name, said)
            messages[name] = said
        else:
            account.said(said)
            now = account.sum()
            assert (now.tokens_in >= max(before.tokens_in, said.tokens_in)
                    and now.tokens_out >= max(before.tokens_out, said.tokens_out))
            if said.tokens_in < before.tokens_in:  # something is missing in it
                assert now.usd >= before.usd


# -- in the rows ---------------------------------------------------------------------------


class At:
    """A house with a task at work, and a clock that the test moves."""

    def __init__(self, store: Store, data: Path, clock: FakeClock) -> None:
        self.store, self.clock = store, clock
        self.house = house(store, data, day_usd=10.0)

    async def do(self, act: Callable[[Tx], T]) -> T:
        return await self.store.write(act)

    def working(self, tx: Tx, situation: Situation = Situation.WORKING,
                budget: float | None = 2.0) -> Task:
        task = bring(tx, self.house, situation)
        tx.run("UPDATE tasks SET budget_usd = ? WHERE id = ?", (budget, task.id))
        return tasks.get(tx, task.id)

    def session(self, tx: Tx, task: Task) -> Session:
        return sessions.open_of_task(tx, task.id)[0]

    def spend(self, tx: Tx, task: Task, money_spent: float, count: int = 100) -> None:
        budgets.spend(tx, self.house, self.session(tx, task), count, money_spent)


@pytest.fixture
async def at(tmp_path: Path) -> AsyncIterator[At]:
    clock = FakeClock()
    store = await Store(tmp_path / "data", clock.now).open()
    yield At(store, tmp_path, clock)
    await store.close()


def budget_gates(tx: Tx) -> list[Gate]:
    return rows.open_gates(tx)


async def test_spending_is_kept_for_task_agent_and_day(at: At) -> None:
    def act(tx: Tx) -> dict[str, tuple[int, float]]:
        task = at.working(tx, budget=None)
        at.spend(tx, task, 0.25)
        at.spend(tx, task, 0.5, 50)
        assert (tasks.get(tx, task.id).tokens, tasks.get(tx, task.id).cost_usd) == (150, 0.75)
        return {row["scope"]: (row["tokens"], row["cost_usd"])
                for row in tx.all("SELECT * FROM budgets")}

    assert await at.do(act) == dict.fromkeys(("task", "agent", "day"), (150, 0.75))


async def test_a_gate_opens_once_at_80_percent_and_again_at_80_percent_of_the_new_limit(
        at: At) -> None:
    def act(tx: Tx) -> list[int]:
        task = at.working(tx)
        seen = []
        for amount in (1.0, 0.7, 0.1):  # 50, 85, 90 %
            at.spend(tx, task, amount)
            seen.append(len(budget_gates(tx)))
        money.grant(tx, at.house, budget_gates(tx)[0], ANN, HERE, Amount(usd=2.0))
        for amount in (1.0, 0.5):  # 70, 82 % of 4
            at.spend(tx, task, amount)
            seen.append(len(budget_gates(tx)))
        assert at.session(tx, task).held_for is None
        return seen

    assert await at.do(act) == [0, 1, 1, 0, 1]


async def test_at_100_percent_the_session_is_held_and_no_review_is_mistaken_for_it(
        at: At) -> None:
    def act(tx: Tx) -> tuple[str | None, TaskState, Situation]:
        task = at.working(tx)
        at.spend(tx, task, 2.0)
        fresh = tasks.get(tx, task.id)
        return at.session(tx, task).held_for, fresh.state, acts.situation(tx, at.house, fresh)

    assert await at.do(act) == ("budget", TaskState.BLOCKED, Situation.HELD)


async def test_a_budgets_gate_is_no_decision_about_the_change(at: At) -> None:
    def act(tx: Tx) -> tuple[Situation, int]:
        task = at.working(tx, Situation.DECIDING)
        at.spend(tx, task, 1.7)
        return acts.situation(tx, at.house, tasks.get(tx, task.id)), len(budget_gates(tx))

    assert await at.do(act) == (Situation.DECIDING, 1)


async def test_the_end_of_a_task_ends_its_gate(at: At) -> None:
    def act(tx: Tx) -> GateState:
        task = at.working(tx)
        at.spend(tx, task, 2.5)
        gate = budget_gates(tx)[0]
        acts.end(tx, at.house, tasks.get(tx, task.id), Act.CANCEL, ANN, "cancelled")
        assert not rows.stopped(tx)
        return gates.get(tx, gate.id).state

    assert await at.do(act) is GateState.CANCELLED


async def test_finish_lets_the_sessions_of_the_scope_go_on_and_asks_only_when_it_is_needed(
        at: At) -> None:
    def act(tx: Tx) -> list[object]:
        task = at.working(tx)
        at.spend(tx, task, 2.5)
        money.finish(tx, at.house, budget_gates(tx)[0], ANN, HERE)
        seen: list[object] = [tasks.get(tx, task.id).state, at.session(tx, task).unstoppable]
        at.spend(tx, task, 3.0)
        seen += [len(budget_gates(tx)), tasks.get(tx, task.id).state]
        seen.append(budgets.refuses(tx, at.house, tasks.get(tx, task.id), "claude"))
        seen.append(len(budget_gates(tx)))  # nobody is asked while it is being finished
        tx.run("UPDATE sessions SET unstoppable = 0")
        budgets.refuses(tx, at.house, tasks.get(tx, task.id), "claude")
        return [*seen, len(budget_gates(tx))]

    assert await at.do(act) == [TaskState.IN_FLIGHT, True, 0, TaskState.IN_FLIGHT, "task", 0, 1]


async def test_stop_for_a_day_ends_what_is_at_work_and_nothing_else(at: At) -> None:
    def act(tx: Tx) -> tuple[TaskState, TaskState, str]:
        at_work = at.working(tx, budget=None)
        waits = at.working(tx, Situation.DECIDING, budget=None)
        at.spend(tx, at_work, 10.0)
        gate = budget_gates(tx)[0]
        assert (gate.scope, gate.task_id) == ("day", None)
        _, words = money.stop(tx, at.house, gate, ANN, HERE, "")
        return tasks.get(tx, at_work.id).state, tasks.get(tx, waits.id).state, words

    failed, review, words = await at.do(act)
    assert (failed, review) == (TaskState.FAILED, TaskState.REVIEW)
    assert "the branch is kept" in words


async def test_that_less_was_spent_lets_nothing_go_but_a_larger_limit_does(at: At) -> None:
    def act(tx: Tx) -> list[object]:
        task = at.working(tx)
        at.spend(tx, task, 2.1)
        at.spend(tx, task, -1.5, -50)
        seen: list[object] = [budgets.roll_over(tx, at.house), len(budget_gates(tx)),
                              tasks.get(tx, task.id).state]
        tx.run("UPDATE tasks SET budget_usd = 5 WHERE id = ?", (task.id,))
        seen.append(budgets.roll_over(tx, at.house))
        return [*seen, len(budget_gates(tx)), tasks.get(tx, task.id).state]

    assert await at.do(act) == [0, 1, TaskState.BLOCKED, 1, 0, TaskState.IN_FLIGHT]


async def test_after_a_stop_nobody_is_asked_again_until_the_limit_is_another(at: At) -> None:
    def act(tx: Tx) -> list[object]:
        task, waits = at.working(tx, budget=None), at.working(tx, Situation.READY, budget=None)
        at.spend(tx, task, 10.0)
        money.stop(tx, at.house, budget_gates(tx)[0], ANN, HERE, "no more")
        seen: list[object] = []
        for limit in (10.0, 5.0, 5.0, 20.0):
            setup = at.house.current.setup
            at.house.current.setup = replace(setup, policy=replace(setup.policy, day_usd=limit))
            budgets.roll_over(tx, at.house)
            seen.append((budgets.refuses(tx, at.house, waits, "claude"), len(budget_gates(tx))))
        return seen

    assert await at.do(act) == [("day", 0), ("day", 1), ("day", 1), (None, 0)]


@pytest.mark.parametrize("spent", [1.7, 2.5])
@pytest.mark.parametrize("how", [Act.DONE, Act.CANCEL, Act.KILL])
async def test_what_comes_in_after_the_end_is_counted_and_asks_nothing(
        at: At, how: Act, spent: float) -> None:
    def act(tx: Tx) -> tuple[int, int, float]:
        task = at.working(tx)
        session = at.session(tx, task)
        acts.end(tx, at.house, task, how, ANN, "so")
        budgets.spend(tx, at.house, session, 100, spent)
        return (len(budget_gates(tx)), len(rows.stopped(tx)),
                rows.get(tx, "task", str(task.id)).cost_usd)

    assert await at.do(act) == (0, 0, spent)


async def test_a_new_day_lets_go_what_the_old_one_held(at: At) -> None:
    def hold(tx: Tx) -> int:
        task = at.working(tx, budget=None)
        at.spend(tx, task, 10.0)
        assert tasks.get(tx, task.id).state is TaskState.BLOCKED
        assert budgets.roll_over(tx, at.house) == 0
        return task.id

    task_id = await at.do(hold)
    at.clock.forward(86_400)

    def turn(tx: Tx) -> tuple[int, TaskState, int, str | None]:
        freed = budgets.roll_over(tx, at.house)
        task = tasks.get(tx, task_id)
        return (freed, task.state, len(budget_gates(tx)),
                budgets.stopped(tx, at.house, task, "claude"))

    assert await at.do(turn) == (1, TaskState.IN_FLIGHT, 0, None)


async def test_a_task_that_two_budgets_hold_goes_on_when_both_let_go(at: At) -> None:
    def act(tx: Tx) -> list[TaskState]:
        task = at.working(tx)
        at.spend(tx, task, 10.0)
        seen = []
        for gate in budget_gates(tx):
            money.grant(tx, at.house, gate, ANN, HERE, Amount(usd=20.0))
            seen.append(tasks.get(tx, task.id).state)
        return seen

    assert await at.do(act) == [TaskState.BLOCKED, TaskState.IN_FLIGHT]


async def test_too_little_is_refused_and_changes_nothing(at: At) -> None:
    def act(tx: Tx) -> None:
        task = at.working(tx)
        at.spend(tx, task, 5.0)
        gate = budget_gates(tx)[0]
        with pytest.raises(Refused, match="is not enough"):
            money.grant(tx, at.house, gate, ANN, HERE, Amount(usd=1.0))
        with pytest.raises(Unclear, match="counts USD"):
            money.grant(tx, at.house, gate, ANN, HERE, Amount(tokens=1000))
        assert gates.get(tx, gate.id).state is GateState.OPEN
        assert rows.get(tx, "task", str(task.id)).more_usd == 0

    await at.do(act)


async def test_the_card_says_how_much_of_how_much_and_offers_three_answers(at: At) -> None:
    def act(tx: Tx) -> Reply:
        task = at.working(tx, budget=8.0)
        at.spend(tx, task, 6.5)
        return cards.gate_card(tx, budget_gates(tx)[0])

    card = await at.do(act)
    assert "6.50 of 8 USD spent (81%)" in card.lines
    assert [button.label for button in card.buttons] == [
        "+2 USD", "Finish this step", "Stop, keep the branch"]
    assert [button.command for button in card.buttons] == [
        "approve G-1 +2 USD", "approve G-1 finish", "reject G-1"]


@given(st.lists(st.floats(0, 3), max_size=8))
def test_a_gate_is_asked_for_each_limit_at_most_once(amounts: list[float]) -> None:
    """The pure part: once asked, a limit is not asked for again below it."""
    asked, opened, used = rows.Spent("task", "1"), 0, 0.0
    limit = Amount(usd=4.0)
    for amount in amounts:
        used += amount
        if planning.level(0, used, limit, 0.8) is Level.WARN and not asked.asked_for(limit):
            opened += 1
            asked = replace(asked, asked_usd=limit.usd or 0.0)
    assert opened <= 1
