"""Agents as chat or API changed them: rows over those of the files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.store.database import Row, Tx


@dataclass(frozen=True, slots=True)
class Override:
    """One agent's changes, in the words of `agents.toml`. `own`: it was registered by hand;
    then they are all of it that isn't as usual."""

    name: str
    changes: Mapping[str, Any]
    own: bool
    created_by: str


def overrides(tx: Tx) -> dict[str, Override]:
    """By name."""
    return {row["name"]: _override(row) for row in tx.all("SELECT * FROM agents ORDER BY name")}


def find(tx: Tx, name: str) -> Override | None:
    row = tx.one("SELECT * FROM agents WHERE name = ?", (name,))
    return None if row is None else _override(row)


def _override(row: Row) -> Override:
    changes = json.loads(row["changes"])
    return Override(row["name"], changes, bool(row["own"]), row["created_by"])


def put(tx: Tx, override: Override) -> None:
    """Keep these changes instead of any before; without any, nothing is kept."""
    if not override.changes and not override.own:
        forget(tx, override.name)
        return
    tx.run(
        "INSERT INTO agents VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET "
        "changes = excluded.changes, own = excluded.own, updated_at = excluded.updated_at",
        (
            override.name,
            json.dumps(dict(override.changes), sort_keys=True),
            int(override.own),
            override.created_by,
            tx.now,
            tx.now,
        ),
    )


def forget(tx: Tx, name: str) -> None:
    tx.run("DELETE FROM agents WHERE name = ?", (name,))


def open_sessions(tx: Tx, name: str) -> int:
    """How many sessions of that agent are not over."""
    found: int = tx.value(
        "SELECT count(*) FROM sessions INDEXED BY sessions_open "
        "WHERE state <> 'terminated' AND agent = ?",
        (name,),
    )
    return found
