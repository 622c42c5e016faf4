"""Chats in which a task's live message shows what its agent says."""

from __future__ import annotations

from core.store.database import Tx


def begin(tx: Tx, task_id: int, platform: str, chat: str) -> None:
    tx.run("INSERT OR IGNORE INTO follows VALUES (?, ?, ?)", (task_id, platform, chat))


def end(tx: Tx, task_id: int, platform: str, chat: str) -> bool:
    """False where nobody followed it there."""
    where = (task_id, platform, chat)
    return tx.run("DELETE FROM follows WHERE task_id = ? AND platform = ? AND chat = ?", where) > 0


def places(tx: Tx, task_id: int) -> frozenset[tuple[str, str]]:
    found = tx.all("SELECT platform, chat FROM follows WHERE task_id = ?", (task_id,))
    return frozenset((row["platform"], row["chat"]) for row in found)
