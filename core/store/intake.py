"""What platforms delivered: stored before it is confirmed, executed once."""

from __future__ import annotations

from collections.abc import Iterable

from core.errors import Refused
from core.store.database import Tx


def keep(tx: Tx, platform: str, bot: str, updates: Iterable[tuple[str, str]]) -> int:
    """Store updates (key, payload); one that is here already changes nothing. Returns how
    many were new."""
    new = 0
    for key, payload in updates:
        new += tx.run(
            "INSERT INTO intake (platform, bot, update_key, payload, received_at) "
            "VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (platform, bot, key, payload, tx.now),
        )
    return new


def settle(tx: Tx, intake_id: int, refused: str | None = None) -> None:
    """Mark it executed, or refused with the reason. Raises Refused when it was before: then
    the act in the same transaction is taken back, so that nothing happens twice."""
    state = "stored" if refused is None else "refused"
    changed = tx.run(
        "UPDATE intake SET state = ?, note = ?, executed_at = ? WHERE id = ? AND state = 'stored'",
        ("executed" if refused is None else state, refused, tx.now, intake_id),
    )
    if not changed:
        raise Refused("That was done before.")


NEXT = "SELECT id, platform, payload FROM intake WHERE state = 'stored' ORDER BY id LIMIT 50"
