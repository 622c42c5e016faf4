"""Telegram's refusals, turned into ours in this one place."""

from __future__ import annotations

from aiogram import exceptions as telegram

from core.errors import Broken, BullpenError, ChatGone, Flooded, MessageGone, Refused


class Unparsed(Refused):
    """Telegram could not read the markup; the same words go through plain."""


class Unchanged(Refused):
    """The message says that already."""


class NoAccess(Broken):
    """The token is not valid (any more)."""


class SecondPoller(Broken):
    """Somebody else asks for this bot's updates."""


_MESSAGE_GONE = (
    "message to edit not found",
    "message can't be edited",
    "message_id_invalid",
    "there is no text in the message to edit",
)
_CHAT_GONE = (
    "chat not found",
    "peer_id_invalid",
    "group chat was upgraded",
    "not enough rights",
    "have no rights",
    "chat_write_forbidden",
    "user is deactivated",
)


def ours(error: Exception, token: str) -> BullpenError:
    """The same error as one of the family, without the token in it."""
    words = str(getattr(error, "message", error)).replace(token, "TOKEN").replace("\n", " ")
    match error:
        case telegram.TelegramRetryAfter():
            return Flooded(
                f"Telegram asks for a pause of {error.retry_after} s.", error.retry_after
            )
        case telegram.TelegramMigrateToChat():
            return ChatGone(
                f"The group is now {error.migrate_to_chat_id}: name it so in the configuration."
            )
        case telegram.TelegramForbiddenError():
            return ChatGone(f"Telegram lets nothing into that chat: {words}")
        case telegram.TelegramUnauthorizedError() | telegram.TelegramNotFound():
            return NoAccess("Telegram refuses the token. Set TELEGRAM_BOT_TOKEN to a valid one.")
        case telegram.TelegramConflictError():
            return SecondPoller(
                "Another process reads this Telegram bot's messages. Stop it, or use another token."
            )
        case telegram.TelegramEntityTooLarge():
            return Refused("The file is too big for Telegram.")
        case telegram.TelegramBadRequest():
            return _bad_request(words)
    return Broken(f"Telegram can't be reached: {words}")


def _bad_request(words: str) -> BullpenError:
    low = words.lower()
    if "message is not modified" in low:
        return Unchanged(words)
    if "can't parse" in low:
        return Unparsed(words)
    if any(sign in low for sign in _MESSAGE_GONE):
        return MessageGone(f"That message is gone: {words}")
    if any(sign in low for sign in _CHAT_GONE):
        return ChatGone(f"Telegram knows no such chat: {words}")
    return Refused(f"Telegram refused it: {words}")
