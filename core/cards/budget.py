"""The card of a budget that is nearly, or wholly, used up."""

from __future__ import annotations

from core.cards.words import duration
from core.commands.reply import Button
from core.model import Gate
from core.planning.budgets import Amount, share
from core.store import budgets
from core.store.database import Tx


def budget_lines(tx: Tx, gate: Gate) -> list[str]:
    """How much of how much, how long it lasts, and what happens if nobody answers."""
    spent = budgets.get(tx, gate.scope, gate.subject or "")
    limit = Amount(gate.request.get("limit_tokens"), gate.request.get("limit_usd"))
    used = share(spent.tokens, spent.cost_usd, limit)
    lines = [f"{spoken(spent.tokens, spent.cost_usd, limit)} spent ({used:.0%})"]
    if spent.unpriced:
        lines.append(f"Not in it: {tokens(spent.unpriced)} of models without a price.")
    if spent.stopped:
        return [*lines, "Work on it stops until you answer."]
    lasts = gate.request.get("lasts")
    if lasts is not None:
        lines.append(f"At this pace it is used up in about {duration(lasts)}.")
    return [*lines, "Work goes on; when all is spent it stops until you answer."]


def budget_buttons(gate: Gate) -> tuple[Button, ...]:
    """More, only this step, or stop."""
    more = Amount(gate.request.get("more_tokens"), gate.request.get("more_usd"))
    words = amount(more)
    return (
        Button(f"+{words}", f"approve {gate.ref} +{words}", "primary", gate.id),
        Button("Finish this step", f"approve {gate.ref} finish", "default", gate.id),
        Button("Stop, keep the branch", f"reject {gate.ref}", "danger", gate.id),
    )


def spoken(used_tokens: int, used_usd: float, limit: Amount) -> str:
    """`1.62 of 2 USD`, by what is limited."""
    parts = []
    if limit.usd is not None:
        parts.append(f"{used_usd:.2f} of {limit.usd:g} USD")
    if limit.tokens is not None:
        parts.append(f"{short(used_tokens)} of {tokens(limit.tokens)}")
    return " and ".join(parts)


def amount(more: Amount) -> str:
    """`2 USD`, `200k tokens`; as it can be typed, too."""
    parts = [f"{more.usd:g} USD"] if more.usd else []
    return " and ".join([*parts, *([tokens(more.tokens)] if more.tokens else [])])


def tokens(number: int) -> str:
    return f"{short(number)} tokens"


def short(number: int) -> str:
    """`200k`, `1.5M`, `950`."""
    if number >= 1_000_000:
        return f"{number / 1e6:.3g}M"
    return f"{number / 1000:.3g}k" if number >= 1000 else str(number)
