"""An update as Telegram sends it → Incoming. Pure; imports no Telegram library."""

from __future__ import annotations

import json
from typing import Any

from core.commands.incoming import File, Incoming
from core.model import Actor, Place

Json = dict[str, Any]


def understand(payload: str, username: str | None = None) -> Incoming | None:
    """What somebody did; None where there is nothing to act on (a sticker, a command for
    another bot, a kind of update that we don't know). `username`: this bot's own."""
    try:
        update = json.loads(payload)
        return _update(update, username)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _update(update: Json, username: str | None) -> Incoming | None:
    if "callback_query" in update:
        return _press(update["callback_query"])
    for kind in ("message", "edited_message"):
        if kind in update:
            return _message(update[kind], username, edited=kind == "edited_message")
    return None


def _press(query: Json) -> Incoming | None:
    message = query.get("message")
    if message is None or "data" not in query:
        return None
    return Incoming(
        actor=_actor(query["from"]),
        place=_place(message, reply_to=None),
        button=query["data"],
        callback=query["id"],
        genuine=not query["from"].get("is_bot", False),
    )


def _message(message: Json, username: str | None, *, edited: bool) -> Incoming | None:
    text = _for_us(message.get("text") or message.get("caption") or "", username)
    files = _files(message)
    if text is None or not (text or files):
        return None
    sender = message.get("from") or {"id": 0}
    answered = message.get("reply_to_message")
    return Incoming(
        actor=_actor(sender),
        place=_place(message, reply_to=_answered(message, answered)),
        text=text,
        files=files,
        genuine=_genuine(message),
        edited=edited,
    )


def _for_us(text: str, username: str | None) -> str | None:
    """The text with `/add@our_bot` made `/add`; None when it names another bot."""
    if not text.startswith("/"):
        return text
    end = next((at for at, char in enumerate(text) if char.isspace()), len(text))
    name, at, bot = text[:end].partition("@")
    if not at:
        return text
    if username is not None and bot.lower() != username.lower():
        return None
    return name + text[end:]


def _answered(message: Json, answered: Json | None) -> str | None:
    """The message that this one answers. In a topic every message points at the one that
    opened it: that is no answer."""
    if answered is None:
        return None
    if message.get("is_topic_message") and "forum_topic_created" in answered:
        return None
    return str(answered["message_id"])


def _genuine(message: Json) -> bool:
    """Whether a person is known to stand behind it: no channel, no anonymous admin, no bot."""
    sender = message.get("from")
    hidden = "sender_chat" in message or message["chat"]["type"] == "channel"
    return sender is not None and not sender.get("is_bot", False) and not hidden


def _actor(sender: Json) -> Actor:
    names = (sender.get("first_name"), sender.get("last_name"))
    name = " ".join(part for part in names if part) or sender.get("username", "")
    return Actor("telegram", str(sender["id"]), name)


def _place(message: Json, *, reply_to: str | None) -> Place:
    chat = message["chat"]
    thread = message.get("message_thread_id") if message.get("is_topic_message") else None
    return Place(
        platform="telegram",
        chat=str(chat["id"]),
        message=str(message["message_id"]),
        thread=None if thread is None else str(thread),
        reply_to=reply_to,
        private=chat["type"] == "private",
    )


def _files(message: Json) -> tuple[File, ...]:
    if document := message.get("document"):
        return (_file(document, document.get("file_name") or "document"),)
    if photos := message.get("photo"):
        largest = max(photos, key=lambda photo: photo.get("file_size", 0))
        return (_file(largest, "photo.jpg"),)
    return ()


def _file(found: Json, name: str) -> File:
    return File(name=name, size=int(found.get("file_size", 0)), ref=found["file_id"])
