"""Budgets as decisions: which threshold is reached, how much more to offer, how long it lasts."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum


class Level(IntEnum):
    """How far a budget is used up."""

    FINE = 0
    WARN = 1
    OVER = 2


@dataclass(frozen=True, slots=True)
class Amount:
    """Tokens and US dollars. As a limit: None is unlimited."""

    tokens: int | None = None
    usd: float | None = None

    @property
    def none(self) -> bool:
        return self.tokens is None and self.usd is None

    def plus(self, tokens: int, usd: float) -> Amount:
        """The limit with what was granted on top."""
        return Amount(
            None if self.tokens is None else self.tokens + tokens,
            None if self.usd is None else self.usd + usd,
        )


def share(tokens: int, usd: float, limit: Amount) -> float:
    """How much of the limit is used, by the unit of which more is: 0.8 is 80 %."""
    parts = [0.0]
    if limit.tokens is not None:
        parts.append(tokens / limit.tokens if limit.tokens > 0 else math.inf)
    if limit.usd is not None:
        parts.append(usd / limit.usd if limit.usd > 0 else math.inf)
    return max(parts)


def level(tokens: int, usd: float, limit: Amount, warn_at: float) -> Level:
    """At `warn_at` a gate is due, at all of it work stops."""
    used = share(tokens, usd, limit)
    return Level.OVER if used >= 1 else Level.WARN if used >= warn_at else Level.FINE


def step(tokens: int, usd: float, limit: Amount, warn_at: float) -> Amount:
    """How much more to offer, in the unit of which more is used: about a quarter of the budget,
    rounded as people would, and enough not to be asked again at once."""
    enough = max(1.1, 1.05 / max(warn_at, 0.5))
    in_tokens = limit.tokens is not None and (
        limit.usd is None
        or share(tokens, 0, Amount(tokens=limit.tokens)) > share(0, usd, Amount(usd=limit.usd))
    )
    if in_tokens:
        most = limit.tokens or 0
        return Amount(tokens=max(1, round(_round_up(max(most / 4, tokens * enough - most)))))
    most_usd = limit.usd or 0.0
    return Amount(usd=_round_up(max(most_usd / 4, usd * enough - most_usd)))


def _round_up(value: float) -> float:
    """To the next of 1, 2, 5, 10, 20, 50, …; also below 1."""
    if value <= 0:
        return 1.0
    power = math.floor(math.log10(value))
    for head in (1, 2, 5, 10):
        found = head * 10.0**power if power >= 0 else head / 10.0**-power
        if found >= value * (1 - 1e-9):
            return found
    return 10.0 ** (power + 1)


def lasts(left: float, spent: Iterable[tuple[float, int]], at_work: int) -> int | None:
    """In how many ms `left` is used up: by what the last sessions spent in how many ms each, with
    so many at work. None: nobody can know."""
    pairs = [(amount, ms) for amount, ms in spent if amount > 0 and ms > 0]
    time = sum(ms for _, ms in pairs)
    if not pairs or time < _ENOUGH or at_work < 1 or left <= 0:
        return None
    found = left * time / (sum(amount for amount, _ in pairs) * at_work)
    return round(found) if math.isfinite(found) else None


_ENOUGH = 10_000
"""Ms of work below which nothing is foretold."""


# -- usage limits ----------------------------------------------------------------------------

LONGEST_REST = 4 * 3_600_000
"""Ms that an account rests at most where its provider names no time."""


def rests_until(now: int, reset_at: int | None, pause: float, tries: int) -> int:
    """When an account is tried again (ms): when its provider says, else after `pause` seconds,
    longer with each try."""
    if reset_at is not None:
        return max(reset_at, now + 1000)
    doubled: float = pause * 1000 * 2.0 ** min(tries - 1, 20)
    return now + max(1000, round(min(doubled, LONGEST_REST)))
