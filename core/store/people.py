"""Who may do what: the configuration first, then who was let in by pairing or by an admin."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from core.model import Actor, Role
from core.store.database import Row, Tx

Configured = Mapping[str, Mapping[str, Role]]
"""Roles as configured: platform → user id → role."""

CODE_LIFE = 3_600_000
WRONG_TRIES = 5
# Without the letters and digits that are mistaken for one another.
_ALPHABET = "ABCDEFGHJKMNPQRSTUVWXYZ23456789"


class Readable(Protocol):
    """What rows can be read from: a transaction under way."""

    def one(self, sql: str, params: Sequence[Any] = ()) -> Row | None: ...


@dataclass(frozen=True, slots=True)
class Paired:
    """How a pairing went: the role that the person has now, or a line that says why not."""

    role: Role | None
    problem: str = ""


def role_of(rows: Readable, actor: Actor, configured: Configured) -> Role:
    """What somebody may do, by platform and user id alone. Unknown people are NOBODY."""
    fixed = configured.get(actor.platform, {}).get(actor.user_id)
    if fixed is not None:
        return fixed
    row = rows.one(
        "SELECT role FROM people WHERE platform = ? AND user_id = ?",
        (actor.platform, actor.user_id),
    )
    return Role.NOBODY if row is None else Role(row["role"])


def let_in(tx: Tx, actor: Actor, role: Role, by: str) -> None:
    """Give somebody a role; NOBODY shows them out."""
    tx.run(
        "INSERT INTO people (platform, user_id, name, role, added_by, created_at)"
        " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET role = excluded.role,"
        " name = excluded.name, added_by = excluded.added_by",
        (actor.platform, actor.user_id, actor.name, int(role), by, tx.now),
    )


def has_admin(rows: Readable, configured: Configured, platform: str | None = None) -> bool:
    """Whether somebody is an admin already (on that platform, where one is named)."""
    fixed = (roles for name, roles in configured.items() if platform in (None, name))
    if any(role is Role.ADMIN for roles in fixed for role in roles.values()):
        return True
    return (
        rows.one(
            "SELECT 1 FROM people WHERE role = ? AND (? IS NULL OR platform = ?)",
            (int(Role.ADMIN), platform, platform),
        )
        is not None
    )


def new_pairing_code(tx: Tx) -> str:
    """A code for one person, good for an hour. Any earlier code is void from now on."""
    tx.run("DELETE FROM pairing WHERE used_at IS NULL")
    code = "".join(secrets.choice(_ALPHABET) for _ in range(8))
    tx.insert("pairing", code_hash=_hash(code), expires_at=tx.now + CODE_LIFE)
    return f"{code[:4]}-{code[4:]}"


def pair(tx: Tx, actor: Actor, code: str, configured: Configured) -> Paired:
    """Let somebody in who knows the code. The first on a platform becomes its admin, the
    others viewers. A wrong try counts against every live code: the fifth ends it.

    Never raises, since an act that raises would take the counted try back.
    """
    live = tx.all(
        "SELECT code_hash FROM pairing WHERE used_at IS NULL AND expires_at > ? AND tries < ?",
        (tx.now, WRONG_TRIES),
    )
    if not live:
        return Paired(None, "No pairing code is open. A new one is shown in Bullpen's terminal.")
    given = _hash(code)
    matches = [row["code_hash"] for row in live if hmac.compare_digest(row["code_hash"], given)]
    if not matches:
        tx.run("UPDATE pairing SET tries = tries + 1 WHERE used_at IS NULL")
        return Paired(None, "That is not the code. Type it as Bullpen's terminal shows it.")
    tx.update(
        "pairing", {"code_hash": matches[0], "used_at": None}, used_at=tx.now, used_by=actor.key
    )
    return Paired(_admit(tx, actor, configured))


def _admit(tx: Tx, actor: Actor, configured: Configured) -> Role:
    first = not has_admin(tx, configured, actor.platform)
    role = max(role_of(tx, actor, configured), Role.ADMIN if first else Role.VIEWER)
    let_in(tx, actor, role, by="pairing")
    return role


def _hash(code: str) -> str:
    plain = "".join(char for char in code.upper() if char.isalnum())
    return hashlib.sha256(plain.encode()).hexdigest()
