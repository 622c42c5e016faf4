"""What an attempt used, out of what its agent says: counted once, and priced."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from core import cards
from core.house import House
from core.lifecycle import Situation
from core.model import AgentEvent, AgentEventKind, Session, Task
from core.ports import Exit
from core.prices import Price
from core.sessions.usage import MOST_TOKENS, take_in
from core.store import budgets, sessions, tasks
from core.store.budgets import LARGEST_TOKENS, LARGEST_USD
from core.store.database import Store, Tx
from tests.fakes.clock import FakeClock
from tests.house_bench import bring, house

PRICE = Price("model-1", 1000.0, 2000.0, date(2026, 11, 21), 100.0)
"""A token in costs 0.001 USD, one out 0.002, one that was kept 0.0001."""


@dataclass
class At:
    house: House
    clock: FakeClock
    prices: dict[str, Price]

    def said(self, tx: Tx, session_id: str, **data: Any) -> Session:
        session = sessions.get(tx, session_id)
        attempt = sessions.get_attempt(tx, session_id)
        take_in(tx, self.house, session, attempt, AgentEvent(AgentEventKind.USAGE, "", data))
        return sessions.get(tx, session_id)

    def working(self, tx: Tx) -> tuple[Task, Session]:
        task = bring(tx, self.house, Situation.WORKING)
        session = sessions.open_of_task(tx, task.id)[0]
        tx.run("UPDATE sessions SET model = 'model-1' WHERE id = ?", (session.id,))
        return task, session


@pytest.fixture
async def at(tmp_path: Path) -> AsyncIterator[At]:
    clock = FakeClock()
    store = await Store(tmp_path / "data", clock.now).open()
    prices = {"model-1": PRICE}
    yield At(with_prices(house(store, tmp_path), prices), clock, prices)
    await store.close()


def with_prices(home: House, prices: dict[str, Price]) -> House:
    current = home.current
    current.setup = replace(current.setup, prices=prices)
    return home


async def test_messages_are_priced_until_the_agent_says_what_it_cost(at: At) -> None:
    def act(tx: Tx) -> None:
        task, session = at.working(tx)
        at.said(tx, session.id, message="a", tokens_in=100, tokens_out=10)
        at.said(tx, session.id, message="a", tokens_in=100, tokens_out=50)
        seen = at.said(tx, session.id, message="b", tokens_in=1000, tokens_out=0, cached=1000)
        assert (seen.tokens_in, seen.tokens_out) == (1100, 50)
        assert seen.cost_usd == pytest.approx(0.1 + 0.1 + 0.1)
        seen = at.said(tx, session.id, tokens_in=1100, tokens_out=60, cost_usd=0.25)
        assert (seen.tokens_in, seen.tokens_out, seen.cost_usd) == (1100, 60, 0.25)
        kept = budgets.get(tx, "task", str(task.id))
        assert (kept.tokens, kept.unpriced) == (1160, 0)
        assert kept.cost_usd == pytest.approx(0.25)
        assert tasks.get(tx, task.id).cost_usd == pytest.approx(0.25)

    await at.house.store.write(act)


async def test_the_same_total_again_spends_nothing(at: At) -> None:
    def act(tx: Tx) -> None:
        task, session = at.working(tx)
        for _ in range(3):
            at.said(tx, session.id, tokens_in=10, tokens_out=5, cost_usd=0.5)
        assert tasks.get(tx, task.id).tokens == 15
        assert budgets.get(tx, "day", "2023-11-14").cost_usd == pytest.approx(0.5)

    await at.house.store.write(act)


async def test_a_further_attempt_begins_to_count_anew(at: At) -> None:
    def act(tx: Tx) -> None:
        task, session = at.working(tx)
        at.said(tx, session.id, tokens_in=10, tokens_out=0, cost_usd=0.5)
        sessions.attempt_ended(tx, sessions.get_attempt(tx, session.id), Exit(status=0))
        sessions.new_attempt(tx, session.id)
        seen = at.said(tx, session.id, tokens_in=20, tokens_out=0, cost_usd=0.25)
        assert (seen.tokens_in, seen.cost_usd) == (30, 0.75)
        assert tasks.get(tx, task.id).tokens == 30

    await at.house.store.write(act)


async def test_without_a_price_tokens_count_and_it_is_said_once_a_model(at: At) -> None:
    at.prices.clear()

    def act(tx: Tx) -> list[str]:
        for _ in range(2):
            _, session = at.working(tx)
            at.said(tx, session.id, message="a", tokens_in=100, tokens_out=10)
            at.said(tx, session.id, tokens_in=100, tokens_out=10)
        assert budgets.get(tx, "day", "2023-11-14").unpriced == 220
        return [event.text for event in tx.events if event.type == "budget.unpriced"]

    (words,) = await at.house.store.write(act)
    assert words == ("There is no price for model-1: its tokens are counted, its cost is not. "
                     "Add it to config/prices.toml")


async def test_an_agent_cannot_make_up_models_to_be_told_of(at: At) -> None:
    at.prices.clear()

    def act(tx: Tx) -> list[str]:
        _, session = at.working(tx)
        for number, name in enumerate(["a b", "no\nmodel", "x" * 200, *map(str, range(50))]):
            tx.run("UPDATE sessions SET model = ? WHERE id = ?", (name, session.id))
            at.said(tx, session.id, tokens_in=100 + number, tokens_out=10)
        return [event.text.partition(":")[0] for event in tx.events
                if event.type == "budget.unpriced"]

    assert await at.house.store.write(act) == [
        f"There is no price for {name}" for name in ("claude", "0", "1")]


async def test_what_one_agent_claims_holds_no_other_up(at: At) -> None:
    """Sums end where they fit into the database, whatever is said how often."""
    most = 2**53 - 1

    def act(tx: Tx) -> None:
        task, session = at.working(tx)
        for number in range(3000):
            at.said(tx, session.id, message=str(number), tokens_in=most, tokens_out=most,
                    cached=most, cost_usd=float(most))
        _, other = at.working(tx)
        for _ in range(3):
            sessions.attempt_ended(tx, sessions.get_attempt(tx, other.id), Exit(status=0))
            sessions.new_attempt(tx, other.id)
            seen = at.said(tx, other.id, tokens_in=10**30, tokens_out=0, cost_usd=1e300)
        assert seen.tokens_in == 3 * MOST_TOKENS
        sums = [tasks.get(tx, task.id).tokens, budgets.get(tx, "day", "2023-11-14").tokens,
                sessions.get(tx, session.id).tokens_in]
        assert sums == [LARGEST_TOKENS] * 3
        assert budgets.get(tx, "day", "2023-11-14").cost_usd == LARGEST_USD
        assert tasks.get(tx, task.id).cost_usd == LARGEST_USD

    await at.house.store.write(act)


async def test_the_card_foretells_by_the_pace_so_far(at: At) -> None:
    def begin(tx: Tx) -> str:
        task, session = at.working(tx)
        tx.run("UPDATE tasks SET budget_usd = 1 WHERE id = ?", (task.id,))
        return session.id

    session_id = await at.house.store.write(begin)
    at.clock.forward(480)

    def act(tx: Tx) -> tuple[str, ...]:
        at.said(tx, session_id, tokens_in=800, tokens_out=0)
        return cards.gate_card(tx, budgets.open_gates(tx)[0]).lines

    lines = await at.house.store.write(act)
    assert "0.80 of 1 USD spent (80%)" in lines
    assert "At this pace it is used up in about 2 min." in lines
