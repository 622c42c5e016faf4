"""A Bot API server on loopback, with people at the other end whom a test moves.

It keeps the platform's limits, redelivers what was not confirmed, and does harm on command:
floods, lost answers, outages, blocked chats. `python -m tests.fakes.telegram_server --port N`
runs it as a process of its own; `POST /control/NAME` with a JSON object then calls the same
methods that a test would call.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from aiohttp import web

from tests.fakes.telegram_api import Api, Failure, read_params
from tests.fakes.telegram_chats import Chats, Shown

TOKEN = "4200:the-fake-token"
CHAT = 100
GROUP = -1000
PEOPLE = ("says", "press", "sends_file", "edits_message", "deletes", "posts_as_channel")
LOOKS = ("screen", "notes", "calls", "commands")
HARM = ("flood", "block", "unblock", "lose_answers", "down", "up", "revoke")
CONTROLS = frozenset((*PEOPLE, *LOOKS, *HARM))


class TelegramServer:
    """`async with TelegramServer() as telegram:`; the bot's API base is `telegram.url`."""

    def __init__(self, token: str = TOKEN) -> None:
        self.token = token
        self.chats = Chats()
        self.api = Api(self.chats)
        self.port = 0
        self.calls_made: list[tuple[str, dict[str, Any]]] = []
        self.hammered = 0
        self._floods: dict[int, float] = {}
        self._lost: Counter[str] = Counter()
        self._down = False
        self._revoked = False
        self._changed = asyncio.Condition()
        self._runner: web.AppRunner | None = None

    # -- The process ------------------------------------------------------------------

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> TelegramServer:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self, port: int = 0) -> None:
        app = web.Application(client_max_size=60 << 20)
        app.router.add_route("*", "/bot{token}/{method}", self._call)
        app.router.add_get("/file/bot{token}/{path:.*}", self._download)
        app.router.add_post("/control/{name}", self._control)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", port)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        await self.api.end_polls()
        if self._runner is not None:
            await self._runner.cleanup()

    # -- People -----------------------------------------------------------------------

    async def says(
        self, text: str, chat: int = CHAT, user: int = 100, reply_to: int | None = None
    ) -> int:
        """Somebody types; returns the message's id."""
        message = self.chats.add(chat, user, text, reply_to=reply_to)
        await self._update("message", self.api.message(message))
        return message.id

    async def edits_message(self, message: int, text: str, chat: int = CHAT) -> None:
        found = self._found(chat, message)
        found.text = text
        body = self.api.message(found) | {"edit_date": int(time.time())}
        await self._update("edited_message", body)

    async def sends_file(
        self, name: str, content: str, caption: str = "", chat: int = CHAT, user: int = 100,
        reply_to: int | None = None,
    ) -> int:  # fmt: skip
        ref = self.api.keep_file(name, content.encode())
        message = self.chats.add(
            chat, user, caption, document=name, content=content, reply_to=reply_to
        )
        body = self.api.message(message)
        body.pop("text", None)
        document = {"file_id": ref, "file_unique_id": ref, "file_name": name,
                    "file_size": len(content.encode())}  # fmt: skip
        await self._update("message", body | {"caption": caption, "document": document})
        return message.id

    async def posts_as_channel(self, text: str, chat: int = GROUP) -> int:
        """A message whose author Telegram hides behind a chat."""
        message = self.chats.add(chat, 1087968824, text)
        hidden = {"id": chat, "type": "supergroup", "title": "The group"}
        await self._update("message", self.api.message(message) | {"sender_chat": hidden})
        return message.id

    async def press(
        self, label: str, chat: int = CHAT, user: int = 100, message: int | None = None
    ) -> str:
        """Somebody presses the (newest) button of that label; returns the query's id."""
        found = self._found(chat, message) if message else self.chats.with_button(chat, label)
        data = found.data_of(label) if found else None
        if found is None or data is None:
            labels = [m.labels for m in self.chats.screen(chat) if m.labels]
            raise AssertionError(f"no button {label!r} in chat {chat}; there are {labels}")
        query = self.api.new_query()
        body = {"id": query, "from": self.api.person(user), "chat_instance": str(chat),
                "message": self.api.message(found), "data": data}  # fmt: skip
        await self._update("callback_query", body)
        return query

    async def deletes(self, message: int, chat: int = CHAT) -> None:
        self.chats.delete(chat, message)
        await self._tell()

    def screen(self, chat: int = CHAT) -> list[Shown]:
        """What stands in a chat now."""
        return self.chats.screen(chat)

    def from_bot(self, chat: int = CHAT) -> list[Shown]:
        return [m for m in self.chats.screen(chat) if m.sender == self.api.bot_id]

    def notes(self) -> dict[str, str]:
        """What presses were acknowledged with: query id → text."""
        return self.api.notes

    def commands(self) -> list[dict[str, str]]:
        return self.api.commands

    def calls(self, method: str | None = None) -> int:
        """How many calls of a method (of all but getUpdates) came in."""
        names = [name for name, _ in self.calls_made]
        return names.count(method) if method else len(names) - names.count("getUpdates")

    async def until(
        self, ready: Callable[[], Any], what: str = "the chat to look right", within: float = 20
    ) -> Any:
        """Wait until `ready()` is true; fails loudly, with the screen, when it never is."""
        deadline = time.monotonic() + within
        async with self._changed:
            while not (found := ready()):
                try:
                    left = deadline - time.monotonic()
                    await asyncio.wait_for(self._changed.wait(), max(0.001, min(left, 0.25)))
                except TimeoutError:
                    if time.monotonic() >= deadline:
                        raise AssertionError(f"waited for {what}; {self._picture()}") from None
        return found

    # -- Harm -------------------------------------------------------------------------

    def flood(self, retry_after: int, chat: int = CHAT) -> None:
        """Refuse writes to that chat for so many seconds; each write meanwhile is hammering."""
        self._floods[chat] = time.monotonic() + retry_after

    def block(self, chat: int = CHAT) -> None:
        self.api.gone.add(chat)

    def unblock(self, chat: int = CHAT) -> None:
        self.api.gone.discard(chat)

    def lose_answers(self, method: str = "sendMessage", times: int = 1) -> None:
        """Do what is asked, then cut the line before the answer."""
        self._lost[method] += times

    def down(self) -> None:
        """Cut every line, until `up()`."""
        self._down = True

    def up(self) -> None:
        self._down = False

    def revoke(self) -> None:
        """The token is no longer valid."""
        self._revoked = True

    # -- The wire ---------------------------------------------------------------------

    async def _call(self, request: web.Request) -> web.StreamResponse:
        method = request.match_info["method"]
        if self._down:
            return _cut(request)
        if self._revoked or request.match_info["token"] != self.token:
            return _answer(Failure(401, "Unauthorized"))
        params = await read_params(request)
        self.calls_made.append((method, params))
        try:
            self._check_flood(method, params)
            result = await self.api.perform(method, params)
        except Failure as failure:
            return _answer(failure)
        await self._tell()
        if self._lost[method] > 0:
            self._lost[method] -= 1
            return _cut(request)
        if self._down:
            return _cut(request)
        return web.json_response({"ok": True, "result": result})

    def _check_flood(self, method: str, params: dict[str, Any]) -> None:
        if not method.startswith(("send", "edit")):
            return
        left = self._floods.get(int(params.get("chat_id", 0)), 0) - time.monotonic()
        if left > 0:
            self.hammered += 1
            raise Failure(429, f"Too Many Requests: retry after {math.ceil(left)}", math.ceil(left))

    async def _download(self, request: web.Request) -> web.StreamResponse:
        if request.match_info["token"] != self.token:
            return _answer(Failure(401, "Unauthorized"))
        content = self.api.files.get(request.match_info["path"])
        if content is None:
            return _answer(Failure(404, "Not Found"))
        return web.Response(body=content[1])

    async def _control(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        if name not in CONTROLS:
            return web.json_response({"error": f"no control {name}"}, status=404)
        try:
            result = getattr(self, name)(**await request.json())
            if asyncio.iscoroutine(result):
                result = await result
        except (AssertionError, TypeError) as error:
            return web.json_response({"error": str(error)}, status=400)
        if isinstance(result, list):
            result = [item.plain() if isinstance(item, Shown) else item for item in result]
        return web.json_response({"result": result})

    async def _update(self, kind: str, body: dict[str, Any]) -> None:
        await self.api.queue({kind: body})
        await self._tell()

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    def _found(self, chat: int, message: int) -> Shown:
        found = self.chats.find(chat, message)
        assert found is not None, f"no message {message} in chat {chat}"
        return found

    def _picture(self) -> str:
        lines = [f"[{m.chat}] {m.sender}: {m.text!r} {m.labels}" for m in self.chats.everything()]
        return "the screens show:\n" + "\n".join(lines[-30:])


def _cut(request: web.Request) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


def _answer(failure: Failure) -> web.Response:
    body: dict[str, Any] = {"ok": False, "error_code": failure.status, "description": failure.words}
    if failure.retry_after:
        body["parameters"] = {"retry_after": failure.retry_after}
    return web.json_response(body, status=failure.status)


async def serve(port: int, token: str) -> None:
    server = TelegramServer(token)
    await server.start(port)
    print(json.dumps({"url": server.url}), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--token", default=TOKEN)
    options = parser.parse_args()
    asyncio.run(serve(options.port, options.token))
