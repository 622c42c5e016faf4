"""A reason in a sentence: one full stop, whoever wrote it."""

from __future__ import annotations

import pytest

from core.cards.words import sentence


@pytest.mark.parametrize(("words", "said"), [
    ("it is gone", "it is gone."),
    ("it is gone.", "it is gone."),
    ("it is gone..", "it is gone."),
    ("it goes on …", "it goes on …"),
    ("is it gone?", "is it gone?"),
    ("gone \n", "gone."),
])
def test_it_ends_once(words: str, said: str) -> None:
    assert sentence(words) == said
