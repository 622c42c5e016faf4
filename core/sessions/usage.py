"""What an attempt has used so far, out of what its agent says; and what that costs.

A usage event is a total of the process, or what one message of the model's used: the messages
since the last total are added to it, so that a budget is kept also between two totals. A total
of the whole conversation is this attempt's less what the earlier ones of it have used.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from core import budgets, prices
from core.house import House
from core.model import AgentEvent, Attempt, Event, Session, Severity
from core.store.budgets import LARGEST_TOKENS, LARGEST_USD
from core.store.database import Tx

MOST_TOKENS, MOST_USD = 10**12, 1e9
"""What one telling may name: far more than any agent uses in its life."""
MOST_MODELS = 3
"""Models without a price of which is told while an attempt runs: it may name any."""
_PRICEABLE = re.compile(r"[\w.:/@+-]{1,100}")
_LAST = 8
"""Messages that may still be told again with more: several lines tell of one."""


@dataclass(frozen=True, slots=True)
class Used:
    """Tokens in and out, US dollars, and the tokens whose cost nobody knows."""

    tokens_in: int = 0
    tokens_out: int = 0
    usd: float = 0.0
    unpriced: int = 0

    def __add__(self, other: Used) -> Used:
        return Used(
            min(self.tokens_in + other.tokens_in, LARGEST_TOKENS),
            min(self.tokens_out + other.tokens_out, LARGEST_TOKENS),
            min(self.usd + other.usd, LARGEST_USD),
            min(self.unpriced + other.unpriced, LARGEST_TOKENS),
        )

    @property
    def tokens(self) -> int:
        return self.tokens_in + self.tokens_out


@dataclass(slots=True)
class Account:
    """The last total (with messages that are long over), and the newest messages since; of
    which conversation, where its totals go beyond the attempt; and of how many models without a
    price is told."""

    total: Used = field(default_factory=Used)
    messages: dict[str, Used] = field(default_factory=dict)
    conversation: str | None = None
    told: int = 0

    def sum(self) -> Used:
        return sum(self.messages.values(), self.total)

    def message(self, name: str, used: Used) -> None:
        """What one message used; said again it replaces what was said."""
        self.messages[name] = used
        while len(self.messages) > _LAST:
            self.total += self.messages.pop(next(iter(self.messages)))

    def said(self, total: Used) -> None:
        """A total: what the messages before it used is in it. Its cost is believed where no
        tokens are missing in it; else nothing falls below what was told before."""
        before = self.sum()
        self.total, self.messages = total if _whole(total, before) else _most(total, before), {}

    def to_json(self) -> str:
        rows = {name: _row(used) for name, used in self.messages.items()}
        kept = {"total": _row(self.total), "messages": rows}
        more = {"of": self.conversation, "told": self.told}
        return json.dumps(kept | {name: value for name, value in more.items() if value})

    @staticmethod
    def from_json(text: str | None) -> Account:
        if not text:
            return Account()
        kept = json.loads(text)
        messages = {name: Used(*row) for name, row in kept["messages"].items()}
        return Account(Used(*kept["total"]), messages, kept.get("of"), kept.get("told", 0))


def _whole(total: Used, before: Used) -> bool:
    """Whether all that was told of before is in it, and its cost is known."""
    fewer = total.tokens_in < before.tokens_in or total.tokens_out < before.tokens_out
    return not fewer and not total.unpriced


def _most(one: Used, other: Used) -> Used:
    return Used(
        max(one.tokens_in, other.tokens_in),
        max(one.tokens_out, other.tokens_out),
        max(one.usd, other.usd),
        max(one.unpriced, other.unpriced),
    )


def _row(used: Used) -> list[float]:
    return [used.tokens_in, used.tokens_out, used.usd, used.unpriced]


def take_in(tx: Tx, house: House, session: Session, attempt: Attempt, event: AgentEvent) -> None:
    """Count it for attempt, session, task, run, agent and day."""
    kept = tx.value(
        "SELECT usage FROM attempts WHERE session_id = ? AND number = ?",
        (session.id, attempt.number),
    )
    account = Account.from_json(kept)
    before = account.sum()
    message = event.data.get("message")
    if message:
        account.message(str(message)[:100], _used(house, session, event.data))
    else:
        used = _used(house, session, event.data)
        if event.data.get("conversation"):
            account.conversation = session.driver_session
            used = _less(used, _earlier(tx, session, attempt))
        account.said(used)
        _say_unpriced(tx, session, account)
    now = account.sum()
    _store(tx, session, attempt, account, now)
    budgets.spend(
        tx,
        house,
        session,
        now.tokens - before.tokens,
        now.usd - before.usd,
        now.unpriced - before.unpriced,
    )


def _earlier(tx: Tx, session: Session, attempt: Attempt) -> Used:
    """What the attempts before this one have used of the same conversation."""
    rows = tx.all(
        "SELECT usage FROM attempts WHERE session_id = ? AND number < ? AND usage IS NOT NULL",
        (session.id, attempt.number),
    )
    accounts = [Account.from_json(row["usage"]) for row in rows]
    own = [one.sum() for one in accounts if one.conversation == session.driver_session]
    return sum(own, Used())


def _less(whole: Used, part: Used) -> Used:
    return Used(
        max(0, whole.tokens_in - part.tokens_in),
        max(0, whole.tokens_out - part.tokens_out),
        max(0.0, whole.usd - part.usd),
        max(0, whole.unpriced - part.unpriced),
    )


def _used(house: House, session: Session, data: Mapping[str, Any]) -> Used:
    """What the agent says it cost; where it says nothing, by the model's price."""
    tokens_in, tokens_out = _count(data, "tokens_in"), _count(data, "tokens_out")
    if cost := min(float(data.get("cost_usd") or 0.0), MOST_USD):
        return Used(tokens_in, tokens_out, cost)
    price = prices.find(house.prices, data.get("model") or session.model)
    if price is None:
        return Used(tokens_in, tokens_out, 0.0, tokens_in + tokens_out)
    cost = price.of(tokens_in, tokens_out, _count(data, "cached"))
    return Used(tokens_in, tokens_out, min(cost, MOST_USD))


def _count(data: Mapping[str, Any], name: str) -> int:
    return min(int(data.get(name) or 0), MOST_TOKENS)


def _say_unpriced(tx: Tx, session: Session, account: Account) -> None:
    """Once for each model; what no model can be called is not repeated."""
    named = session.model is not None and _PRICEABLE.fullmatch(session.model)
    model = session.model if named else session.agent
    key = f"unpriced:{model}"
    if not account.total.unpriced or account.told >= MOST_MODELS:
        return
    if tx.value("SELECT 1 FROM meta WHERE key = ?", (key,)):
        return
    account.told += 1
    tx.insert("meta", key=key, value=str(tx.now))
    words = (
        f"There is no price for {model}: its tokens are counted, its cost is not. "
        "Add it to config/prices.toml"
    )
    tx.emit(Event("budget.unpriced", words, Severity.WARNING, agent=session.agent))


def _store(tx: Tx, session: Session, attempt: Attempt, account: Account, now: Used) -> None:
    tx.run(
        "UPDATE attempts SET tokens_in = ?, tokens_out = ?, cost_usd = ?, usage = ? "
        "WHERE session_id = ? AND number = ?",
        (
            now.tokens_in,
            now.tokens_out,
            now.usd,
            account.to_json(),
            session.id,
            attempt.number,
        ),
    )
    tx.run(
        "UPDATE sessions SET (tokens_in, tokens_out, cost_usd) = "
        "(SELECT min(sum(tokens_in), ?), min(sum(tokens_out), ?), min(sum(cost_usd), ?) "
        "FROM attempts WHERE session_id = sessions.id) WHERE id = ?",
        (LARGEST_TOKENS, LARGEST_TOKENS, LARGEST_USD, session.id),
    )
