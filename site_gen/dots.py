"""A run as a picture: each wave a column of dots, the critical path a line through them.

Only where things lie is decided here; a template draws it. Lengths are in pixels.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

ROWS = 12
"""Dots below each other; what a wave has more stands beside them."""
MOST = 4 * ROWS
"""Dots of one wave that are drawn; the others are counted."""
WAVES = 24
"""Waves that are drawn, around the one under way; the others are counted."""

RADIUS = 9
_X, _Y, _GAP, _TOP, _LEFT = 24, 26, 26, 40, 18


@dataclass(frozen=True, slots=True)
class Item:
    """A task in the picture; `state`: as seen from the run."""

    id: int
    title: str
    state: str


@dataclass(frozen=True, slots=True)
class Dot:
    x: int
    y: int
    item: Item
    critical: bool


@dataclass(frozen=True, slots=True)
class Column:
    """One wave. `more`: its dots that are not drawn."""

    number: int
    x: int
    dots: tuple[Dot, ...]
    more: int


@dataclass(frozen=True, slots=True)
class Drawing:
    """`path`: the points of the line through what is left, `behind`: through what is done.
    `before` and `after`: waves that are not drawn."""

    width: int
    height: int
    columns: tuple[Column, ...]
    path: str
    behind: str
    before: int
    after: int


def draw(
    waves: Sequence[tuple[int, Sequence[Item]]],
    path: Sequence[int],
    behind: Sequence[int],
    at: int,
) -> Drawing:
    """The waves as (number, tasks), those of the critical path on top; `path` is what is left of
    it, `behind` what is done; `at`: the wave under way."""
    chain = {*path, *behind}
    first = window(len(waves), at)
    shown = waves[first : first + WAVES]
    columns: list[Column] = []
    x = _LEFT
    for number, items in shown:
        column = _column(number, x, items, chain)
        columns.append(column)
        x = max((dot.x for dot in column.dots), default=x) + _X + _GAP
    lowest = max((dot.y for column in columns for dot in column.dots), default=_TOP)
    more = any(column.more for column in columns)
    return Drawing(
        width=x - _GAP - _X + _LEFT,
        height=lowest + (_Y if more else 0) + RADIUS + 5,
        columns=tuple(columns),
        path=_line(columns, path),
        behind=_line(columns, [*behind, *path[:1]]),
        before=first,
        after=len(waves) - first - len(shown),
    )


def window(count: int, at: int) -> int:
    """How many waves are left out before those that are drawn."""
    return max(0, min(at - WAVES // 3, count - WAVES))


def shown_first(items: Iterable[Item], path: Collection[int]) -> list[Item]:
    """The critical path's tasks first, so that its line is straight; then by age."""
    return sorted(items, key=lambda item: (item.id not in path, item.id))


def _column(number: int, x: int, items: Sequence[Item], path: Collection[int]) -> Column:
    drawn = shown_first(items, path)[:MOST]
    dots = tuple(
        Dot(x + n // ROWS * _X, _TOP + n % ROWS * _Y, item, item.id in path)
        for n, item in enumerate(drawn)
    )
    return Column(number, x, dots, len(items) - len(drawn))


def _line(columns: Sequence[Column], chain: Collection[int]) -> str:
    dots = [dot for column in columns for dot in column.dots if dot.item.id in chain]
    return " ".join(f"{dot.x},{dot.y}" for dot in dots) if len(dots) > 1 else ""
