"""How many lines a change adds and takes away, in bounded time."""

from __future__ import annotations

from collections import Counter
from difflib import SequenceMatcher

_EXACT = 400
"""Lines on both sides up to which the count is a diff's; above, of lines whatever their order."""


def counted(before: str, after: str) -> tuple[int, int]:
    """Lines added, lines removed."""
    old, new = before.splitlines(), after.splitlines()
    start = 0
    while start < min(len(old), len(new)) and old[start] == new[start]:
        start += 1
    end = 0
    while end < min(len(old), len(new)) - start and old[-1 - end] == new[-1 - end]:
        end += 1
    old, new = old[start : len(old) - end], new[start : len(new) - end]
    if len(old) > _EXACT or len(new) > _EXACT:
        return (Counter(new) - Counter(old)).total(), (Counter(old) - Counter(new)).total()
    blocks = SequenceMatcher(None, old, new, autojunk=False).get_matching_blocks()
    kept = sum(block.size for block in blocks)
    return len(new) - kept, len(old) - kept
