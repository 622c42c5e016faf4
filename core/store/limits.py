"""Accounts at their provider's usage limit, and when they are tried again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from core.store.database import Tx


@dataclass(frozen=True, slots=True)
class Limit:
    """`until`: when it is tried again, in `words` for people; `known`: the provider said so;
    `tries`: how often it was at its limit one after the other."""

    account: str
    until: int
    known: bool
    tries: int
    words: str
    since: int
    lifted_at: int | None = None


def _limit(row: Any) -> Limit:
    values = {key: row[key] for key in row.keys()}  # noqa: SIM118 - not a dict
    return Limit(**{**values, "known": bool(row["known"])})


def find(tx: Tx, account: str) -> Limit | None:
    row = tx.one("SELECT * FROM limits WHERE account = ?", (account,))
    return None if row is None else _limit(row)


def standing(tx: Tx) -> list[Limit]:
    """Those that rest now."""
    sql = "SELECT * FROM limits INDEXED BY limits_standing WHERE lifted_at IS NULL"
    return [_limit(row) for row in tx.all(sql)]


def put(tx: Tx, limit: Limit) -> None:
    """Store it over what was known of that account."""
    tx.run(
        "INSERT OR REPLACE INTO limits (account, until, known, tries, words, since, lifted_at) "
        "VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            limit.account,
            limit.until,
            int(limit.known),
            limit.tries,
            limit.words,
            limit.since,
            limit.lifted_at,
        ),
    )


def lift(tx: Tx, account: str) -> bool:
    """It works again; False when it did not rest."""
    sql = "UPDATE limits SET lifted_at = ? WHERE account = ? AND lifted_at IS NULL"
    return tx.run(sql, (tx.now, account)) > 0
