"""What the way back asks of the rows: whose token it is, what an attempt may see, its lease."""

from __future__ import annotations

from dataclasses import dataclass

from core.model import Attempt, Gate
from core.store import rows
from core.store.database import Store
from core.store.tx import Row, Tx

API = "api"
"""`request.via` of a gate that was opened over the way back: its answer is fetched there."""

_WHOSE = "SELECT * FROM attempts WHERE token_hash = ? AND state <> 'ended'"
_LIVE = "SELECT * FROM attempts WHERE session_id = ? AND state <> 'ended'"
_GATE = """
SELECT * FROM gates WHERE id = ? AND session_id = ? AND attempt = ? AND request ->> '$.via' = 'api'
"""
_GATES = """
SELECT * FROM gates WHERE session_id = ? AND attempt = ? AND request_key IS NOT NULL
  AND request ->> '$.via' = 'api' ORDER BY id DESC
"""
_LATELY = """
SELECT count(*) FROM (SELECT type, at FROM events WHERE task_id = ? ORDER BY seq DESC LIMIT ?)
WHERE type = 'task.progress' AND at > ?
"""
_INPUTS = """
SELECT number, data, last FROM inputs WHERE session_id = ? AND attempt = ? AND number > ?
ORDER BY number LIMIT 100
"""
_ARTIFACTS = """
SELECT name, max(version) AS version, size, sha256, author FROM artifacts
WHERE task_id = (SELECT task_id FROM sessions WHERE id = ?) GROUP BY name ORDER BY name LIMIT 1000
"""


@dataclass(frozen=True, slots=True)
class Known:
    """An attempt that has not ended, and the hash of its token (None: it has none yet)."""

    attempt: Attempt
    token_hash: str | None


async def by_token(store: Store, token_hash: str) -> Known | None:
    """The living attempt that this is the token of."""
    found = await store.read(_WHOSE, (token_hash,))
    return _known(found)


async def living(store: Store, session_id: str) -> Known | None:
    """The session's attempt that has not ended."""
    return _known(await store.read(_LIVE, (session_id,)))


def _known(found: list[Row]) -> Known | None:
    return Known(rows.attempt(found[0]), found[0]["token_hash"]) if found else None


async def gate(store: Store, attempt: Attempt, gate_id: int) -> Gate | None:
    """A gate that this very attempt has opened over the way back."""
    found = await store.read(_GATE, (gate_id, attempt.session_id, attempt.number))
    return rows.gate(found[0]) if found else None


async def inputs(store: Store, attempt: Attempt, after: int) -> list[Row]:
    """What is said to this attempt, from the number after that one on."""
    return await store.read(_INPUTS, (attempt.session_id, attempt.number, after))


async def artifacts(store: Store, session_id: str) -> list[Row]:
    """The newest version of each artifact of the session's task."""
    return await store.read(_ARTIFACTS, (session_id,))


def keep_token(tx: Tx, attempt: Attempt, token_hash: str) -> None:
    """From now on, until the attempt has ended, its token counts."""
    tx.update(
        "attempts",
        {"session_id": attempt.session_id, "number": attempt.number},
        token_hash=token_hash,
    )


def take_lease(tx: Tx, attempt: Attempt, holder: str) -> bool:
    """The first who asks holds the attempt; to the same one it is granted again."""
    where = (attempt.session_id, attempt.number)
    tx.run(
        "UPDATE attempts SET lease = ?, leased_at = ? "
        "WHERE session_id = ? AND number = ? AND lease IS NULL AND state <> 'ended'",
        (holder, tx.now, *where),
    )
    sql = "SELECT lease FROM attempts WHERE session_id = ? AND number = ?"
    return bool(tx.value(sql, where) == holder)


def asked_lately(tx: Tx, task_id: int, since: int, most: int) -> int:
    """How many of the task's last events are progress said since then; `most` are looked at."""
    return int(tx.value(_LATELY, (task_id, most, since)))


def gates_of(tx: Tx, attempt: Attempt) -> list[Gate]:
    """The gates of this attempt that were opened over the way back, newest first."""
    return [rows.gate(row) for row in tx.all(_GATES, (attempt.session_id, attempt.number))]


@dataclass(frozen=True, slots=True)
class Written:
    """What one author has written to a task; `there`: that name among it."""

    names: int = 0
    versions: int = 0
    size: int = 0
    there: bool = False


def written(tx: Tx, task_id: int, name: str, author: str) -> Written:
    row = tx.one(
        "SELECT count(DISTINCT name), count(*), coalesce(sum(size), 0), "
        "coalesce(max(name = ?), 0) FROM artifacts WHERE task_id = ? AND author = ?",
        (name, task_id, author),
    )
    return Written() if row is None else Written(row[0], row[1], row[2], bool(row[3]))


def newest(tx: Tx, task_id: int, name: str) -> tuple[int, str] | None:
    """Version and sha256 of the newest version."""
    row = tx.one(
        "SELECT version, sha256 FROM artifacts WHERE task_id = ? AND name = ? "
        "ORDER BY version DESC LIMIT 1",
        (task_id, name),
    )
    return None if row is None else (row["version"], row["sha256"])
