"""Recorded lines with something in them replaced by anything: what no parser may break on."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


def replaced(value: Any, where: Any, new: Any) -> Any:
    """The value with something at a random place in it replaced."""
    if not isinstance(value, dict | list) or not value or where.random() < 0.2:
        return new
    if isinstance(value, list):
        at = where.randrange(len(value))
        return [replaced(x, where, new) if i == at else x for i, x in enumerate(value)]
    key = where.choice(sorted(value))
    return {**value, key: replaced(value[key], where, new)}
