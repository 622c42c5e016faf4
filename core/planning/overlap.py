"""Which tasks may work at the same time: no two of one batch touch the same files.

A glob knows `*` (within a segment), `**` (any number of segments), `?` and `[…]`; a plain
folder, or whatever ends in `/`, means everything below it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

_DEEP = "**"
"""A segment that stands for any number of segments, none included."""
_SOME = "*"
_WILD = frozenset("*?[")
_LAST = 0x10FFFF

Ranges = tuple[tuple[int, int], ...]
"""A set of characters: code points from … to …, both included, in order."""
_ANY: Ranges = ((1, 0x2E), (0x30, _LAST))
"""Every character that a file's name can have."""


@dataclass(frozen=True, slots=True)
class Work:
    """A task as far as its files go. `globs` are relative to the repository's root."""

    id: int
    repo: str | None
    globs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Clash:
    """Waits for the task `by`, since both touch `where`."""

    by: int
    where: str


@dataclass(frozen=True, slots=True)
class Batch:
    """Those that go, in order, and those that wait."""

    go: tuple[int, ...]
    held: Mapping[int, Clash]


def batch(tasks: Sequence[Work], running: Iterable[Work] = ()) -> Batch:
    """Take in the given order whatever overlaps with nothing that was taken or is running."""
    taken: dict[str | None, _Taken] = {}
    for work in running:
        taken.setdefault(work.repo, _Taken()).add(work)
    go, held = [], {}
    for work in tasks:
        here = taken.setdefault(work.repo, _Taken())
        clash = here.clash(work)
        if clash is None:
            here.add(work)
            go.append(work.id)
        else:
            held[work.id] = clash
    return Batch(tuple(go), held)


def overlap(a: str, b: str) -> bool:
    """Whether some path is matched by both globs."""
    one, other = _segments(a), _segments(b)
    return _ends_meet(one, other) and _share(one, other)


def exactly(path: str) -> str:
    """The glob that means this one file, whatever its name."""
    return "".join(f"[{mark}]" if mark in _WILD else mark for mark in path)


def shown(glob: str) -> str:
    """The glob as people read it."""
    for mark in _WILD:
        glob = glob.replace(f"[{mark}]", mark)
    return glob


# -- what is taken: a tree by literal prefix ---------------------------------------------------


@dataclass(slots=True)
class _Node:
    below: dict[str, _Node] = field(default_factory=dict)
    globs: list[tuple[int, int, str]] = field(default_factory=list)


class _Taken:
    """The globs of one repository. Two can only meet where the literal beginning of one is a
    beginning of the other's, so that distinct paths are never compared."""

    def __init__(self) -> None:
        self._root = _Node()
        self._count = 0

    def add(self, work: Work) -> None:
        self._count += 1
        for glob in work.globs:
            node = self._root
            for segment in _literal(glob):
                node = node.below.setdefault(segment, _Node())
            node.globs.append((self._count, work.id, glob))

    def clash(self, work: Work) -> Clash | None:
        """With whichever of them was taken first."""
        found: list[tuple[int, int, str]] = []
        for glob in work.globs:
            met = min((one for one in self._near(glob) if overlap(one[2], glob)), default=None)
            if met is not None:
                found.append((*met[:2], max(met[2], glob, key=len)))
        if not found:
            return None
        _, by, where = min(found)
        return Clash(by, where)

    def _near(self, glob: str) -> Iterator[tuple[int, int, str]]:
        node = self._root
        for segment in _literal(glob):
            yield from node.globs
            if segment not in node.below:
                return
            node = node.below[segment]
        waiting = [node]
        while waiting:
            node = waiting.pop()
            yield from node.globs
            waiting += node.below.values()


def _literal(glob: str) -> tuple[str, ...]:
    """The segments before the first that holds a wildcard."""
    segments = _segments(glob)
    wild = next((n for n, one in enumerate(segments) if not _WILD.isdisjoint(one)), len(segments))
    return segments[:wild]


# -- segments ----------------------------------------------------------------------------------


@lru_cache(maxsize=4096)
def _segments(glob: str) -> tuple[str, ...]:
    """`src/api` as `src`, `api` and whatever is below; `src/` as whatever is below `src`."""
    parts = [part for part in glob.split("/") if part not in ("", ".")]
    if not parts:
        return (_DEEP,)
    if glob.endswith("/") or parts[-1] == _DEEP:
        return (*parts[: -1 if parts[-1] == _DEEP else None], _SOME, _DEEP)
    plain = all(_WILD.isdisjoint(part) for part in parts)
    return (*parts, _DEEP) if plain else tuple(parts)


def _ends_meet(a: tuple[str, ...], b: tuple[str, ...]) -> bool:
    """Whether the last segments can be the same, back to the first that stands for any number:
    quickly said, and mostly no where both begin with a wildcard."""
    for one, other in zip(reversed(a), reversed(b), strict=False):
        if _DEEP in (one, other):
            return True
        if not _meet(one, other):
            return False
    return True


@lru_cache(maxsize=16384)
def _share(a: tuple[str, ...], b: tuple[str, ...]) -> bool:
    """Walk both at once; a state is how far either has come."""
    end = (len(a), len(b))
    seen = {(0, 0)}
    waiting = [(0, 0)]
    while waiting:
        at = waiting.pop()
        if at == end:
            return True
        for then in _steps(a, b, *at):
            if then not in seen:
                seen.add(then)
                waiting.append(then)
    return False


def _steps(a: tuple[str, ...], b: tuple[str, ...], i: int, j: int) -> Iterator[tuple[int, int]]:
    one = a[i] if i < len(a) else None
    other = b[j] if j < len(b) else None
    if one == _DEEP:
        yield i + 1, j
        if other is not None and other != _DEEP and _meet(other, _SOME):
            yield i, j + 1
    if other == _DEEP:
        yield i, j + 1
        if one is not None and one != _DEEP and _meet(one, _SOME):
            yield i + 1, j
    if one is not None and other is not None and _DEEP not in (one, other) and _meet(one, other):
        yield i + 1, j + 1


# -- inside a segment --------------------------------------------------------------------------


@lru_cache(maxsize=16384)
def _meet(a: str, b: str) -> bool:
    """Whether some name, not empty, is matched by both segments."""
    if _WILD.isdisjoint(a) and _WILD.isdisjoint(b):
        return a == b
    first, second = _marks(a), _marks(b)
    if {*first, *second} == {None}:
        return True  # nothing but stars on both sides
    end = (len(first), len(second))
    seen = {(0, 0)}
    waiting = [(0, 0)]
    while waiting:
        i, j = waiting.pop()
        if (i, j) == end:
            return True
        for then in _mark_steps(first, second, i, j):
            if then not in seen:
                seen.add(then)
                waiting.append(then)
    return False


def _mark_steps(
    a: Sequence[Ranges | None], b: Sequence[Ranges | None], i: int, j: int
) -> Iterator[tuple[int, int]]:
    """None is a star: it takes any characters, or none."""
    star, other = i < len(a) and a[i] is None, j < len(b) and b[j] is None
    if star:
        yield i + 1, j
    if other:
        yield i, j + 1
    one = _ANY if star else a[i] if i < len(a) else ()
    two = _ANY if other else b[j] if j < len(b) else ()
    if _common(one or (), two or ()):
        yield i + (not star), j + (not other)


def _common(a: Ranges, b: Ranges) -> bool:
    return any(low <= end and start <= high for low, high in a for start, end in b)


@lru_cache(maxsize=4096)
def _marks(segment: str) -> tuple[Ranges | None, ...]:
    """Each character's set; None for a star. A `[` that is never closed is itself."""
    found: list[Ranges | None] = []
    at = 0
    while at < len(segment):
        mark, at = segment[at], at + 1
        close = segment.find("]", at + 1 + segment.startswith(("!", "^"), at)) if mark == "[" else 0
        if mark == "*":
            if not found or found[-1] is not None:
                found.append(None)
        elif mark == "?":
            found.append(_ANY)
        elif mark == "[" and close > 0:
            found.append(_set(segment[at:close]))
            at = close + 1
        else:
            found.append(((ord(mark), ord(mark)),))
    return tuple(found)


def _set(inner: str) -> Ranges:
    """`a-z_` or, of all others, `!a-z_`."""
    negated = inner.startswith(("!", "^"))
    marks = inner[negated:]
    ranges: list[tuple[int, int]] = []
    at = 0
    while at < len(marks):
        last = marks[at + 2] if marks[at + 1 : at + 2] == "-" and at + 2 < len(marks) else marks[at]
        ranges.append((ord(marks[at]), ord(last)))
        at += 3 if marks[at + 1 : at + 2] == "-" and at + 2 < len(marks) else 1
    ranges = sorted(one for one in ranges if one[0] <= one[1])
    return _without(_ANY, ranges) if negated else _without(tuple(ranges), [(0, 0), (0x2F, 0x2F)])


def _without(ranges: Ranges, gone: Iterable[tuple[int, int]]) -> Ranges:
    left = list(ranges)
    for start, end in gone:
        left = [
            part
            for low, high in left
            for part in ((low, min(high, start - 1)), (max(low, end + 1), high))
            if part[0] <= part[1]
        ]
    return tuple(left)
