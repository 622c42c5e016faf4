"""One-time keys of buttons. A press brings its key back; what it says is looked up here.

A button that is bound to a gate counts once. One that only looks (Show, Logs, Diff) may be
pressed again until it expires. Whether the gate still stands as it was shown, and whether
this person may press, is for the interpreter to say.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace

from core.commands.reply import Button
from core.model import Actor
from core.store.database import Row, Tx

DAY = 86_400_000
VIEW_LIFE = 7 * DAY
GATE_LIFE = 30 * DAY
"""How long a button lives, in ms."""


@dataclass(frozen=True, slots=True)
class Minted:
    """A button as it was drawn. `message` is None until the send that drew it is settled."""

    key: str
    platform: str
    chat: str
    message: str | None
    delivery: int | None
    label: str
    command: str
    ask: str | None
    gate_id: int | None
    hash: str | None
    expires_at: int
    used_at: int | None
    used_by: str | None

    @property
    def once(self) -> bool:
        """Whether it counts once only."""
        return self.gate_id is not None

    def expired(self, now: int) -> bool:
        return now >= self.expires_at


def mint(
    tx: Tx,
    *,
    platform: str,
    chat: str,
    delivery: int,
    buttons: Sequence[Button],
    message: str | None = None,
    expires: int | None = None,
) -> tuple[Button, ...]:
    """The buttons, each with a key. One that stands on `message` already keeps its key, so
    that an edit which changes nothing changes nothing. `expires` (ms) overrides the default."""
    return tuple(
        button if button.key else _keyed(tx, button, platform, chat, delivery, message, expires)
        for button in buttons
    )


def _keyed(
    tx: Tx,
    button: Button,
    platform: str,
    chat: str,
    delivery: int,
    message: str | None,
    expires: int | None,
) -> Button:
    key = _kept(tx, button, platform, chat, delivery, message)
    if key is None:
        life = VIEW_LIFE if button.gate is None else GATE_LIFE
        key = secrets.token_urlsafe(18)
        tx.insert(
            "buttons",
            key=key,
            platform=platform,
            chat=chat,
            message=message,
            delivery=delivery,
            label=button.label,
            command=button.command,
            ask=button.ask,
            gate_id=button.gate,
            hash=button.hash,
            expires_at=tx.now + life if expires is None else expires,
        )
    return replace(button, key=key)


def _kept(
    tx: Tx, button: Button, platform: str, chat: str, delivery: int, message: str | None
) -> str | None:
    """The key that this button has already: on this message, or from an earlier try."""
    found = tx.value(
        "SELECT key FROM buttons WHERE platform = ? AND chat = ?"
        " AND (message = ? OR (message IS NULL AND delivery = ?))"
        " AND command = ? AND label = ? AND ask IS ? AND gate_id IS ? AND hash IS ?"
        " AND used_at IS NULL AND expires_at > ? LIMIT 1",
        (platform, chat, message, delivery, button.command, button.label, button.ask,
         button.gate, button.hash, tx.now + DAY),
    )  # fmt: skip
    return None if found is None else str(found)


def bind(tx: Tx, shown: Sequence[Button], message: str) -> None:
    """These buttons stand on this message from now on."""
    for button in shown:
        tx.run(
            "UPDATE buttons SET message = ? WHERE key = ? AND message IS NOT ?",
            (message, button.key, message),
        )


def find(tx: Tx, key: str) -> Minted | None:
    """What a pressed key stands for; None when no such button was ever drawn (or swept)."""
    row = tx.one("SELECT * FROM buttons WHERE key = ?", (key,))
    return None if row is None else _minted(row)


def use(tx: Tx, key: str, actor: Actor) -> bool:
    """Count a press. False when it is expired, or counts once and has been pressed before."""
    return (
        tx.run(
            "UPDATE buttons SET used_at = ?, used_by = ? WHERE key = ? AND expires_at > ?"
            " AND (gate_id IS NULL OR used_at IS NULL)",
            (tx.now, actor.key, key, tx.now),
        )
        > 0
    )


def sweep(tx: Tx) -> int:
    """Forget buttons that expired a week ago or longer; returns how many."""
    return tx.run("DELETE FROM buttons WHERE expires_at < ?", (tx.now - 7 * DAY,))


def _minted(row: Row) -> Minted:
    return Minted(**{name: row[name] for name in Minted.__slots__})
