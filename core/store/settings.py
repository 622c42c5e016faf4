"""Settings changed by hand: rows over the configured ones, until they are set back."""

from __future__ import annotations

import json
from dataclasses import dataclass

from core.store.database import Tx

PAUSED = "queue.paused"
"""Its value says besides which task's failure paused it: `{"paused": true, "because": 42}`."""


@dataclass(frozen=True, slots=True)
class Changed:
    """One setting: its value as JSON has it, who set it (platform:id) and when (ms)."""

    key: str
    value: object
    by: str
    at: int


def changed(tx: Tx, section: str = "") -> dict[str, Changed]:
    """Key → what was set by hand; only those of one section where it is named."""
    return {
        row["key"]: Changed(row["key"], json.loads(row["value"]), row["set_by"], row["updated_at"])
        for row in tx.all(
            "SELECT * FROM settings WHERE key >= ? AND key < ? ORDER BY key",
            (f"{section}.", f"{section}/") if section else ("", "\x7f"),
        )
    }


def put(tx: Tx, key: str, value: object, by: str) -> None:
    tx.run(
        "INSERT INTO settings VALUES (?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET "
        "value = excluded.value, set_by = excluded.set_by, updated_at = excluded.updated_at",
        (key, json.dumps(value), by, tx.now),
    )


def forget(tx: Tx, key: str) -> bool:
    """Back to what is configured; False where nothing was set."""
    return tx.run("DELETE FROM settings WHERE key = ?", (key,)) > 0
