"""Accounts at their provider's usage limit: their agents rest until it is over."""

from __future__ import annotations

from core.house import House
from core.store.database import Tx

NEXT_DUE = "SELECT min(until) FROM limits INDEXED BY limits_standing WHERE lifted_at IS NULL"


def standing(tx: Tx) -> dict[str, int]:
    """Account → when it is tried again, ms since the epoch."""
    return {
        row["account"]: row["until"]
        for row in tx.all(
            "SELECT account, until FROM limits INDEXED BY limits_standing WHERE lifted_at IS NULL"
        )
    }


def lift_due(tx: Tx, house: House) -> int:
    """Let go what rested until now; returns how many accounts."""
    return tx.run("UPDATE limits SET lifted_at = ? WHERE lifted_at IS NULL AND until <= ?", (tx.now, tx.now))
