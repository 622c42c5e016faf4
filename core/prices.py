"""What tokens cost, by model."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

_VARIANT = re.compile(r"[-@]\d{6,8}.*|-\d{4}-\d\d-\d\d|-latest|\[\w+\]|:\w+")
"""What may follow a configured name: a date, or the mark of a variant. Not a further version
or size: `gpt-5-mini` has not the price of `gpt-5`."""


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars for a million tokens, as of a day. `cached`: of input that the provider had
    kept (None: as other input)."""

    model: str
    input: float
    output: float
    as_of: date
    cached: float | None = None

    def of(self, tokens_in: int, tokens_out: int, cached: int = 0) -> float:
        """The cost in US dollars; `cached` are those of `tokens_in` that were kept."""
        kept = min(cached, tokens_in)
        rate = self.input if self.cached is None else self.cached
        return ((tokens_in - kept) * self.input + kept * rate + tokens_out * self.output) / 1e6


def find(prices: Mapping[str, Price], model: str | None) -> Price | None:
    """By the exact name, or by the longest configured one that the model's name begins with
    (`claude-sonnet-4-5` fits `claude-sonnet-4-5-20250929`); None: nobody knows."""
    if model is None or model in prices:
        return prices.get(model or "")
    names = [
        name for name in prices if model.startswith(name) and _VARIANT.fullmatch(model, len(name))
    ]
    return prices[max(names, key=len)] if names else None
