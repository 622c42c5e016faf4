"""How long a run may still take, from how long such tasks took. Times are in ms."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

FEWEST = 3
"""Tasks that must have ended before anything is said."""

_MINUTE, _HOUR, _DAY = 60_000, 3_600_000, 86_400_000


@dataclass(frozen=True, slots=True)
class Forecast:
    """Between `low` and `high` ms, judged by `tasks` tasks: of the run's lane, or the crew's."""

    low: int
    high: int
    tasks: int
    of_lane: bool


def forecast(
    lane: Sequence[int], crew: Sequence[int], remaining: Sequence[int], slots: int
) -> Forecast | None:
    """`lane` and `crew`: how long tasks took; `remaining`: how many are left in each wave;
    `slots`: how many go at once. None where too few tasks have ended."""
    taken = lane if len(lane) >= FEWEST else crew
    if len(taken) < FEWEST:
        return None
    quarters = statistics.quantiles(taken, n=4, method="inclusive")
    rounds = sum(math.ceil(left / max(1, slots)) for left in remaining)
    return Forecast(
        round(rounds * quarters[0]), round(rounds * quarters[2]), len(taken), taken is lane
    )


def words(found: Forecast | None) -> str:
    """`about 40–70 min, from 12 tasks of this lane`."""
    if found is None:
        return "no estimate yet: fewer than three tasks have ended"
    whose = "of this lane" if found.of_lane else "of the whole crew"
    return f"{span(found.low, found.high)}, from {found.tasks} tasks {whose}"


def span(low: int, high: int) -> str:
    """`about 2–3 h`: as a person would say it, never exact."""
    if high < 2 * _MINUTE:
        return "under 2 min"
    unit, name = next(
        ((unit, name) for unit, name in ((_DAY, "d"), (_HOUR, "h")) if high >= 2 * unit),
        (_MINUTE, "min"),
    )
    first, last = _round(low / unit, math.floor), _round(high / unit, math.ceil)
    if first == 0:
        return f"up to {last} {name}"
    return f"about {last} {name}" if first == last else f"about {first}–{last} {name}"


def _round(number: float, towards: Callable[[float], int]) -> int:
    """Outwards, to a step that fits the size."""
    step = 1 if number < 10 else 5 if number < 60 else 10
    return int(towards(number / step) * step)
