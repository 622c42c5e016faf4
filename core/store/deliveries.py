"""Messages owed to chats, and what stands in those chats.

delivery: owed → sent | dropped (superseded, chat gone, refused). What the outbox does with
the world lies between two acts here: `begin` marks a delivery as being tried and mints its
buttons, `sent`, `put_off` or `drop` tells how it went. Every update names the state it
expects, so a delivery that was superseded meanwhile is left alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from core.commands.reply import Button, Reply
from core.model import Event, Severity
from core.store import buttons
from core.store.database import Row, Store, Tx

DECISIONS, ANSWERS, NEWS, PROGRESS = range(4)
"""How urgent a delivery is: what waits for a person first, progress last."""

# A message that is replaced keeps the place in the queue of the one that it replaces.
_ORDER = "urgency, created_at, seq"


@dataclass(frozen=True, slots=True)
class Waiting:
    """A chat to which something is owed; nothing may go there before `not_before` (ms)."""

    chat: str
    not_before: int


@dataclass(frozen=True, slots=True)
class Attempt:
    """One delivery being tried. `reply` carries its minted keys, `plain` is the reply as it
    was owed. `message` is what stands under its key, to be edited; None: post anew."""

    seq: int
    platform: str
    chat: str
    reply: Reply
    plain: Reply
    urgency: int
    silent: bool
    reply_to: str | None
    tries: int
    message: str | None


def owe(
    tx: Tx,
    *,
    platform: str,
    chat: str,
    reply: Reply,
    urgency: int,
    silent: bool = False,
    task_id: int | None = None,
    gate_id: int | None = None,
    reply_to: str | None = None,
) -> int:
    """Owe a message to a chat; returns its number. One owed under the same key is dropped as
    superseded; its urgency, its sound, its place in the queue and its pause are inherited."""
    old = _supersede(tx, platform, chat, reply.key) if reply.key else None
    silent = silent or reply.silent
    return tx.insert(
        "deliveries",
        platform=platform,
        chat=chat,
        key=reply.key,
        urgency=urgency if old is None else min(urgency, old["urgency"]),
        silent=int(silent if old is None else silent and old["silent"]),
        task_id=task_id,
        gate_id=gate_id,
        reply_to=reply_to,
        reply=reply.to_json(),
        not_before=None if old is None else old["not_before"],
        created_at=tx.now if old is None else old["created_at"],
    )


def let_go(tx: Tx, platform: str, chat: str, key: str) -> None:
    """What is owed under that key and was never tried is not owed any more."""
    tx.run(
        "UPDATE deliveries SET state = 'dropped', note = 'superseded', ended_at = ?"
        " WHERE platform = ? AND chat = ? AND key = ? AND state = 'owed' AND tries = 0"
        " AND NOT EXISTS (SELECT 1 FROM messages WHERE messages.platform = deliveries.platform"
        " AND messages.chat = deliveries.chat AND messages.key = deliveries.key)",
        (tx.now, platform, chat, key),
    )


def _supersede(tx: Tx, platform: str, chat: str, key: str) -> Row | None:
    return tx.one(
        "UPDATE deliveries SET state = 'dropped', note = 'superseded', ended_at = ?"
        " WHERE platform = ? AND chat = ? AND key = ? AND state = 'owed' RETURNING *",
        (tx.now, platform, chat, key),
    )


async def waiting(store: Store, platform: str) -> Sequence[Waiting]:
    """The chats of a platform to which something is owed, the most urgent first."""
    rows = await store.read(
        "SELECT chat, max(coalesce(not_before, 0)) AS not_before, min(urgency) AS first,"
        " min(created_at) AS since FROM deliveries WHERE platform = ? AND state = 'owed'"
        " GROUP BY chat ORDER BY first, since",
        (platform,),
    )
    return [Waiting(row["chat"], row["not_before"]) for row in rows]


def begin(tx: Tx, platform: str, chat: str) -> Attempt | None:
    """Take up what is first for a chat: counts the try and mints its buttons. None when
    nothing is owed there."""
    row = tx.one(
        "SELECT * FROM deliveries WHERE platform = ? AND chat = ? AND state = 'owed'"  # noqa: S608
        f" ORDER BY {_ORDER} LIMIT 1",
        (platform, chat),
    )
    if row is None:
        return None
    tx.run("UPDATE deliveries SET tries = tries + 1 WHERE seq = ?", (row["seq"],))
    message = standing(tx, platform, chat, row["key"]) if row["key"] else None
    return _attempt(tx, row, message)


def _attempt(tx: Tx, row: Row, message: str | None) -> Attempt:
    plain = Reply.from_json(row["reply"])
    minted = buttons.mint(
        tx,
        platform=row["platform"],
        chat=row["chat"],
        delivery=row["seq"],
        buttons=plain.buttons,
        message=message,
    )
    return Attempt(
        seq=row["seq"],
        platform=row["platform"],
        chat=row["chat"],
        reply=replace(plain, buttons=minted),
        plain=plain,
        urgency=row["urgency"],
        silent=bool(row["silent"]),
        reply_to=row["reply_to"],
        tries=row["tries"] + 1,
        message=message,
    )


def standing(tx: Tx, platform: str, chat: str, key: str) -> str | None:
    """The id of the message that stands in a chat under a key."""
    found = tx.value(
        "SELECT message FROM messages WHERE platform = ? AND chat = ? AND key = ?",
        (platform, chat, key),
    )
    return None if found is None else str(found)


def places_of(tx: Tx, key: str) -> list[tuple[str, str]]:
    """The chats in which a message stands under a key, or is on its way there."""
    return [
        (row["platform"], row["chat"])
        for row in tx.all(
            "SELECT platform, chat FROM messages INDEXED BY messages_keyed"
            " WHERE key IS NOT NULL AND key = ?1 UNION"
            " SELECT platform, chat FROM deliveries INDEXED BY deliveries_newest"
            " WHERE state = 'owed' AND key IS NOT NULL AND key = ?1",
            (key,),
        )
    ]


def sent(
    tx: Tx, seq: int, message: str, shown: Sequence[Button] = (), rest: Sequence[Reply] = ()
) -> bool:
    """It stands in the chat as `message`, with the buttons `shown`; what didn't fit into it
    (`rest`) is owed as answers to it. False when it was superseded on its way: then it stands
    there all the same, and the newer one will edit it."""
    row = tx.one("SELECT * FROM deliveries WHERE seq = ?", (seq,))
    if row is None:
        return False
    _record(tx, row, message)
    buttons.bind(tx, shown, message)
    settled = tx.update(
        "deliveries", {"seq": seq, "state": "owed"}, state="sent", message=message, ended_at=tx.now
    )
    for reply in rest if settled else ():
        owe(
            tx,
            platform=row["platform"],
            chat=row["chat"],
            reply=reply,
            urgency=row["urgency"],
            silent=True,
            task_id=row["task_id"],
            gate_id=row["gate_id"],
            reply_to=message,
        )
    return settled


def _record(tx: Tx, row: Row, message: str) -> None:
    platform, chat, key = row["platform"], row["chat"], row["key"]
    if key is not None:  # a message that was posted anew takes the key over
        tx.run(
            "UPDATE messages SET key = NULL"
            " WHERE platform = ? AND chat = ? AND key = ? AND message <> ?",
            (platform, chat, key, message),
        )
    prompt = Reply.from_json(row["reply"]).extra.get("prompt")
    tx.run(
        "INSERT INTO messages (platform, chat, message, key, task_id, gate_id, prompt, created_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET key = excluded.key,"
        " task_id = excluded.task_id, gate_id = excluded.gate_id, prompt = excluded.prompt",
        (platform, chat, message, key, row["task_id"], row["gate_id"], prompt, tx.now),
    )


def forget(tx: Tx, platform: str, chat: str, message: str) -> None:
    """A message no longer stands in its chat."""
    tx.run(
        "DELETE FROM messages WHERE platform = ? AND chat = ? AND message = ?",
        (platform, chat, message),
    )


def put_off(tx: Tx, seq: int, until: int, note: str) -> bool:
    """Try it again at `until` (ms), and nothing else to that chat before."""
    return tx.update("deliveries", {"seq": seq, "state": "owed"}, not_before=until, note=note)


def drop(tx: Tx, seq: int, note: str) -> bool:
    """It will never be sent; `note` says why."""
    return tx.update(
        "deliveries", {"seq": seq, "state": "owed"}, state="dropped", note=note, ended_at=tx.now
    )


def drop_chat(tx: Tx, platform: str, chat: str) -> int:
    """The chat is gone: everything owed to it is dropped, said in one event. Returns how many."""
    dropped = tx.run(
        "UPDATE deliveries SET state = 'dropped', note = 'chat gone', ended_at = ?"
        " WHERE platform = ? AND chat = ? AND state = 'owed'",
        (tx.now, platform, chat),
    )
    if dropped:
        tx.emit(
            Event(
                type="chat.gone",
                severity=Severity.WARNING,
                text=f"The {platform} chat {chat} can't be written to any more. "
                "Let the bot back in, or name another chat in the configuration.",
                payload={"platform": platform, "chat": chat, "dropped": dropped},
            )
        )
    return dropped
