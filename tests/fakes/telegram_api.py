"""The Bot API's methods, with the platform's limits and its words for what it refuses."""

from __future__ import annotations

import asyncio
import json
import re
import time
from typing import Any

from aiohttp import web

from tests.fakes.telegram_chats import Chats, Shown
from tests.fakes.telegram_html import CantParse, parse, units


class Failure(Exception):
    """An answer that is none: HTTP status and the server's description."""

    def __init__(self, status: int, words: str, retry_after: int | None = None) -> None:
        super().__init__(words)
        self.status, self.words, self.retry_after = status, words, retry_after


def bad(words: str) -> Failure:
    return Failure(400, f"Bad Request: {words}")


class Api:
    """One bot's side of the server."""

    def __init__(self, chats: Chats) -> None:
        self.bot_id = 4200
        self.notes: dict[str, str] = {}
        self.commands: list[dict[str, str]] = []
        self.files: dict[str, tuple[str, bytes]] = {}
        self.gone: set[int] = set()
        self._chats = chats
        self._updates: list[dict[str, Any]] = []
        self._next_update = 7000
        self._queries: set[str] = set()
        self._arrived = asyncio.Condition()
        self._poll = 0

    async def perform(self, method: str, params: dict[str, Any]) -> Any:
        handler = getattr(self, f"do_{method.lower()}", None)
        if handler is None:
            raise Failure(404, "Not Found: method not found")
        result = handler(params)
        return await result if asyncio.iscoroutine(result) else result

    # -- Updates ----------------------------------------------------------------------

    async def queue(self, update: dict[str, Any]) -> None:
        async with self._arrived:
            self._updates.append({"update_id": self._next_update, **update})
            self._next_update += 1
            self._arrived.notify_all()

    async def end_polls(self) -> None:
        async with self._arrived:
            self._poll += 1
            self._arrived.notify_all()

    async def do_getupdates(self, params: dict[str, Any]) -> list[dict[str, Any]]:
        """Long polling. A newer poll ends an older one with a conflict, as the real one does."""
        offset = int(params.get("offset", 0))
        allowed = json.loads(params.get("allowed_updates", "[]"))
        deadline = time.monotonic() + int(params.get("timeout", 0))
        async with self._arrived:
            self._poll += 1
            mine = self._poll
            self._arrived.notify_all()
            self._updates = [u for u in self._updates if u["update_id"] >= offset]
            while not (found := self._allowed(allowed)):
                left = deadline - time.monotonic()
                if left <= 0:
                    break
                try:
                    await asyncio.wait_for(self._arrived.wait(), left)
                except TimeoutError:
                    break
                if self._poll != mine:
                    raise Failure(409, "Conflict: terminated by other getUpdates request; make "
                                       "sure that only one bot instance is running")  # fmt: skip
            return found[: int(params.get("limit", 100))]

    def _allowed(self, kinds: list[str]) -> list[dict[str, Any]]:
        return [u for u in self._updates if not kinds or any(kind in u for kind in kinds)]

    def new_query(self) -> str:
        query = str(len(self._queries) + 1)
        self._queries.add(query)
        return query

    def keep_file(self, name: str, content: bytes) -> str:
        ref = f"file-{len(self.files) + 1}"
        self.files[ref] = (name, content)
        return ref

    # -- Shapes -----------------------------------------------------------------------

    def person(self, user: int) -> dict[str, Any]:
        if user == self.bot_id:
            return {"id": user, "is_bot": True, "first_name": "Bullpen", "username": "bullpen_bot"}
        return {"id": user, "is_bot": False, "first_name": f"User {user}"}

    def message(self, shown: Shown, depth: int = 0) -> dict[str, Any]:
        kind = {"type": "private"} if shown.chat > 0 else {"type": "supergroup", "title": "Group"}
        body: dict[str, Any] = {
            "message_id": shown.id,
            "date": int(time.time()),
            "chat": {"id": shown.chat, **kind},
            "from": self.person(shown.sender),
            "text": shown.text,
        }
        if shown.buttons:
            body["reply_markup"] = {"inline_keyboard": shown.buttons}
        answered = self._chats.find(shown.chat, shown.reply_to) if shown.reply_to else None
        if answered is not None and depth == 0:
            body["reply_to_message"] = self.message(answered, 1)
        return body

    # -- Methods ----------------------------------------------------------------------

    def do_getme(self, _params: dict[str, Any]) -> dict[str, Any]:
        return self.person(self.bot_id)

    def do_deletewebhook(self, _params: dict[str, Any]) -> bool:
        return True

    def do_setmycommands(self, params: dict[str, Any]) -> bool:
        commands = json.loads(params["commands"])
        if len(commands) > 100:
            raise bad("too many commands")
        for command in commands:
            if not re.fullmatch(r"[a-z0-9_]{1,32}", command["command"]):
                raise bad("BOT_COMMAND_INVALID")
            if not 1 <= len(command["description"]) <= 256:
                raise bad("BOT_COMMAND_DESCRIPTION_INVALID")
        self.commands = commands
        return True

    def do_sendmessage(self, params: dict[str, Any]) -> dict[str, Any]:
        chat = self._chat(params)
        text, source = _text(params, "text", 4096)
        if not text:
            raise bad("message text is empty")
        markup = json.loads(params.get("reply_markup") or "{}")
        asked = markup.get("input_field_placeholder", "") if "force_reply" in markup else None
        shown = self._chats.add(
            chat, self.bot_id, text, html=source, buttons=_keyboard(markup), force_reply=asked,
            reply_to=self._reply_to(chat, params), silent=_true(params, "disable_notification"),
        )  # fmt: skip
        return self.message(shown)

    def do_senddocument(self, params: dict[str, Any]) -> dict[str, Any]:
        chat = self._chat(params)
        text, source = _text(params, "caption", 1024)
        name, content = params[str(params["document"]).removeprefix("attach://")]
        if not content:
            raise bad("file must be non-empty")
        if len(content) > 50 << 20:
            raise Failure(413, "Request Entity Too Large")
        markup = json.loads(params.get("reply_markup") or "{}")
        shown = self._chats.add(
            chat, self.bot_id, text, html=source, document=name, buttons=_keyboard(markup),
            content=content.decode(errors="replace"), reply_to=self._reply_to(chat, params),
            silent=_true(params, "disable_notification"),
        )  # fmt: skip
        ref = self.keep_file(name, content)
        body = self.message(shown)
        body.pop("text")
        return body | {"document": {"file_id": ref, "file_unique_id": ref, "file_name": name}}

    def do_editmessagetext(self, params: dict[str, Any]) -> dict[str, Any]:
        shown = self._mine(params)
        if shown.document is not None:
            raise bad("there is no text in the message to edit")
        text, source = _text(params, "text", 4096)
        if not text:
            raise bad("message text is empty")
        keyboard = _keyboard(json.loads(params.get("reply_markup") or "{}"))
        return self._edit(shown, text, source, keyboard)

    def do_editmessagereplymarkup(self, params: dict[str, Any]) -> dict[str, Any]:
        shown = self._mine(params)
        keyboard = _keyboard(json.loads(params.get("reply_markup") or "{}"))
        return self._edit(shown, shown.text, shown.html, keyboard)

    def do_answercallbackquery(self, params: dict[str, Any]) -> bool:
        query = str(params["callback_query_id"])
        if query not in self._queries or query in self.notes:
            raise bad("query is too old and response timeout expired or query ID is invalid")
        if units(params.get("text", "")) > 200:
            raise bad("MESSAGE_TOO_LONG")
        self.notes[query] = params.get("text", "")
        return True

    def do_getfile(self, params: dict[str, Any]) -> dict[str, Any]:
        ref = params["file_id"]
        if ref not in self.files:
            raise bad("invalid file_id")
        size = len(self.files[ref][1])
        if size > 20 << 20:
            raise bad("file is too big")
        return {"file_id": ref, "file_unique_id": ref, "file_size": size, "file_path": ref}

    # -- Checks -----------------------------------------------------------------------

    def _chat(self, params: dict[str, Any]) -> int:
        chat = int(params["chat_id"])
        if chat in self.gone:
            raise Failure(403, "Forbidden: bot was blocked by the user")
        if chat == 0:
            raise bad("chat not found")
        return chat

    def _mine(self, params: dict[str, Any]) -> Shown:
        shown = self._chats.find(self._chat(params), int(params["message_id"]))
        if shown is None:
            raise bad("message to edit not found")
        if shown.sender != self.bot_id:
            raise bad("message can't be edited")
        return shown

    def _reply_to(self, chat: int, params: dict[str, Any]) -> int | None:
        given = json.loads(params.get("reply_parameters") or "{}")
        if not given:
            return None
        if self._chats.find(chat, given["message_id"]) is not None:
            return int(given["message_id"])
        if given.get("allow_sending_without_reply"):
            return None
        raise bad("message to be replied not found")

    def _edit(self, shown: Shown, text: str, source: str, keyboard: list[Any]) -> dict[str, Any]:
        if (text, source, keyboard) == (shown.text, shown.html, shown.buttons):
            raise bad(
                "message is not modified: specified new message content and reply markup are "
                "exactly the same as a current content and reply markup of the message"
            )
        shown.versions.append(shown.text)
        shown.text, shown.html, shown.buttons = text, source, keyboard
        shown.edits += 1
        return self.message(shown)


def _text(params: dict[str, Any], name: str, limit: int) -> tuple[str, str]:
    source = str(params.get(name, ""))
    text = source.strip()
    if params.get("parse_mode") == "HTML":
        try:
            text = parse(source)
        except CantParse as error:
            raise bad(f"can't parse entities: {error}") from None
    if units(text) > limit:
        raise bad("message is too long" if limit == 4096 else "message caption is too long")
    return text, source


def _keyboard(markup: dict[str, Any]) -> list[list[dict[str, Any]]]:
    rows: list[list[dict[str, Any]]] = markup.get("inline_keyboard", [])
    for button in (button for row in rows for button in row):
        if not button.get("text"):
            raise bad("inline keyboard button text is empty")
        if not 1 <= len(button.get("callback_data", "").encode()) <= 64:
            raise bad("BUTTON_DATA_INVALID")
    return rows


def _true(params: dict[str, Any], name: str) -> bool:
    return str(params.get(name, "")).lower() in {"true", "1"}


async def read_params(request: web.Request) -> dict[str, Any]:
    """What a call says, however it is encoded; a file is (name, content)."""
    if request.content_type == "application/json":
        return dict(await request.json())
    params: dict[str, Any] = dict(request.query)
    for key, value in (await request.post()).items():
        if isinstance(value, web.FileField):
            params[key] = (value.filename, value.file.read())
        else:
            params[key] = value
    return params
