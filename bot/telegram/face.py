"""Telegram as a Face: replies become messages, keyboards and files."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from aiogram.methods import (
    AnswerCallbackQuery,
    DeleteWebhook,
    EditMessageText,
    GetFile,
    GetMe,
    SendDocument,
    SendMessage,
    SetMyCommands,
)
from aiogram.types import (
    BotCommand,
    BufferedInputFile,
    ForceReply,
    InlineKeyboardButton,
    InlineKeyboardMarkup,
    LinkPreviewOptions,
    ReplyParameters,
)

from bot.telegram import render
from bot.telegram.errors import Unchanged, Unparsed
from bot.telegram.wire import DOWNLOAD_LIMIT, PUBLIC, Wire
from bot.words import clean, cut, one_line
from core.commands.incoming import File, Incoming
from core.commands.reply import Reply
from core.errors import BullpenError, Refused

T = TypeVar("T")

_NO_PREVIEW = LinkPreviewOptions(is_disabled=True)
_COMMAND = re.compile(r"[a-z0-9_]{1,32}")


class TelegramFace:
    """One bot. Besides what every Face raises: Refused for what Telegram will never take."""

    platform = "telegram"

    def __init__(self, token: str, base_url: str = PUBLIC) -> None:
        """Raises Unclear when that is no token. Connects at the first call."""
        self.wire = Wire(token, base_url)
        self.bot_id = self.wire.bot_id

    async def close(self) -> None:
        await self.wire.close()

    async def hello(self) -> str:
        """The bot's user name. Ends a webhook, which would keep updates from us."""
        await self.wire.call(DeleteWebhook())
        me = await self.wire.call(GetMe())
        return me.username or me.first_name

    def pieces(self, reply: Reply) -> Sequence[Reply]:
        return render.pieces(reply)

    async def post(
        self, chat: str, reply: Reply, *, silent: bool = False, reply_to: str | None = None
    ) -> str:
        first, *rest = render.pieces(reply)
        message = await self._post(chat, first, silent, reply_to)
        for piece in rest:
            await self._post(chat, piece, True, message)
        return message

    async def edit(self, chat: str, message: str, reply: Reply) -> None:
        main = render.fitted(reply)

        async def send(text: str, mode: str | None) -> None:
            await self.wire.call(
                EditMessageText(
                    chat_id=chat,
                    message_id=_number(message),
                    text=text,
                    parse_mode=mode,
                    reply_markup=_inline(main),
                    link_preview_options=_NO_PREVIEW,
                )
            )

        try:
            await _marked_up(main, send)
        except Unchanged:
            return

    async def acknowledge(self, incoming: Incoming, note: str = "") -> None:
        """Tell Telegram that a press has arrived; `note` is shown for a moment. What goes
        wrong here is of no consequence: the press has been stored."""
        if incoming.callback is None:
            return
        try:
            await self.wire.call(
                AnswerCallbackQuery(
                    callback_query_id=incoming.callback, text=render.toast(note) or None
                ),
                timeout=10,
            )
        except BullpenError:
            return

    async def fetch(self, file: File) -> bytes:
        """The content of a file that came with a message. Raises Refused above 20 MB."""
        if file.size > DOWNLOAD_LIMIT:
            raise Refused(f"{one_line(file.name)} is larger than 20 MB: Telegram won't give it.")
        found = await self.wire.call(GetFile(file_id=file.ref))
        if found.file_path is None:
            raise Refused(f"Telegram doesn't have {one_line(file.name)} any more: send it again.")
        return await self.wire.download(found.file_path)

    async def set_commands(self, commands: Sequence[tuple[str, str]]) -> None:
        """Fill the bot's menu with (name, help); names that Telegram can't take are left out."""
        menu = [
            BotCommand(command=name, description=cut(one_line(words), 256) or name)
            for name, words in commands
            if _COMMAND.fullmatch(name)
        ]
        await self.wire.call(SetMyCommands(commands=menu[:100]))

    async def _post(self, chat: str, reply: Reply, silent: bool, reply_to: str | None) -> str:
        answered = None
        if reply_to is not None and reply_to.isdigit():
            answered = ReplyParameters(message_id=int(reply_to), allow_sending_without_reply=True)
        if render.is_file(reply):
            return await self._post_file(chat, reply, silent, answered)

        async def send(text: str, mode: str | None) -> str:
            message = await self.wire.call(
                SendMessage(
                    chat_id=chat,
                    text=text,
                    parse_mode=mode,
                    disable_notification=silent or None,
                    reply_parameters=answered,
                    reply_markup=_markup(reply),
                    link_preview_options=_NO_PREVIEW,
                )
            )
            return str(message.message_id)

        return await _marked_up(reply, send)

    async def _post_file(
        self, chat: str, reply: Reply, silent: bool, answered: ReplyParameters | None
    ) -> str:
        file = reply.attachments[0]
        content = clean(file.text).encode() or b"(empty)\n"
        message = await self.wire.call(
            SendDocument(
                chat_id=chat,
                document=BufferedInputFile(content, filename=_file_name(file.name)),
                caption=render.caption(reply) or None,
                parse_mode=None,
                disable_notification=silent or None,
                reply_parameters=answered,
            )
        )
        return str(message.message_id)


async def _marked_up(reply: Reply, send: Callable[[str, str | None], Awaitable[T]]) -> T:
    """Send as HTML; once again plain when Telegram can't read that."""
    try:
        return await send(render.to_html(reply), "HTML")
    except Unparsed:
        return await send(render.to_text(reply), None)


def _markup(reply: Reply) -> InlineKeyboardMarkup | ForceReply | None:
    asked = render.placeholder(reply)
    if asked is not None and not reply.buttons:
        return ForceReply(force_reply=True, input_field_placeholder=asked or None)
    return _inline(reply)


def _inline(reply: Reply) -> InlineKeyboardMarkup | None:
    rows = render.keyboard(reply.buttons)
    if not rows:
        return None
    return InlineKeyboardMarkup(
        inline_keyboard=[
            [InlineKeyboardButton(text=key.label, callback_data=key.data) for key in row]
            for row in rows
        ]
    )


def _file_name(name: str) -> str:
    """A name without a path and without characters that a file system refuses."""
    safe = re.sub(r"[^\w.+ -]", "_", one_line(name).replace("\\", "/").rsplit("/", 1)[-1])
    return safe[-100:].strip(" .") or "file.txt"


def _number(message: str) -> int:
    return int(message) if message.isdigit() else 0
